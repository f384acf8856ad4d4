// Whether the number of an answer is that of the reference: after the marker ####, as in gsm8k, else the last number.
// @source arXiv:2110.14168
import { z } from 'zod'
import { findTextMetric } from '../../tasks/index.ts'
import { columnField, referencesOf } from './reference.ts'
import { defineReward, scoreEach } from './reward.ts'

const rules = { value: 0, strict: 1, flexible: 2 } as const

export const numericMatch = defineReward({
  type: 'numeric-match',
  source: 'arXiv:2110.14168',
  summary: 'Whether the number of the answer is that of the reference.',
  readsReference: true,
  config: z.strictObject({
    column: columnField,
    rule: z
      .enum(['value', 'strict', 'flexible'])
      .default('value')
      .describe(
        'comparison: by value, or by the strict or flexible rule of the lm-evaluation-harness for gsm8k, as text',
      ),
    right: z.number().default(1).describe('reward of the right number'),
    wrong: z.number().default(0).describe('reward of another number, or of none'),
  }),
  open({ column, rule, right, wrong }) {
    const measures = findTextMetric('numericMatch')?.create({ stemming: false, normalized: false })
    return {
      score: scoreEach((sample) => {
        const references = referencesOf(sample, column)
        const matches = (prediction: string, against: readonly string[]) =>
          measures?.measure({ prediction, references: against })[rules[rule]] === 1
        // A reference without a number can be matched by nothing, not even by itself.
        const known = rule === 'value' ? references.filter((one) => matches(one, [one])) : references
        if (known.length === 0) return null
        return matches(sample.completion, known) ? right : wrong
      }),
    }
  },
})
