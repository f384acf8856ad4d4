// Generated answers that are checked against instructions which a program can verify, as in IFEval. Instructions that cannot be
// checked are counted and left out. @source Zhou et al. 2023, arXiv:2311.07911; lm-eval 0.4.13, tasks/ifeval
import { z } from 'zod'
import { DataError } from '../../../core/index.ts'
import { isFields } from '../../records/row.ts'
import { followsInstruction } from '../instructions/checks.ts'
import { compileTemplate, type TemplateRow } from '../template.ts'
import { generateAnswers } from './generate-answers.ts'
import { defineHarnessKind, type ExampleOutcome, type HarnessMetric, templateField } from './kind.ts'

const fields = z.strictObject({
  prompt: templateField.describe('text that the model continues'),
  instructions: z.string().describe('column with the list of ids of instructions'),
  arguments: z.string().describe('column with the list of their arguments'),
  stop: z.array(z.string().min(1)).default([]).describe('texts that end an answer, beside the end token'),
  maxNewTokens: z.int().positive().default(1280).describe('maximum tokens of an answer'),
})

const metrics: HarnessMetric[] = (
  [
    ['prompt_level_strict_acc', 'share of prompts all of whose instructions are followed'],
    ['inst_level_strict_acc', 'share of instructions that are followed'],
    ['prompt_level_loose_acc', 'share of prompts all of whose instructions are followed, loosely'],
    ['inst_level_loose_acc', 'share of instructions that are followed, loosely'],
  ] as const
).map(([name, summary]) => ({ name, direction: 'higher', unit: 'share', summary }))

interface Instruction {
  id: string
  arguments: { [name: string]: unknown }
}

const instructionsOf = (row: TemplateRow, ids: string, given: string): Instruction[] => {
  const [names, all] = [row.values[ids], row.values[given]]
  if (!Array.isArray(names) || !Array.isArray(all) || names.length !== all.length)
    throw new DataError(`Expected lists of equal length for the columns ${ids} and ${given}.`, row.file, row.line)
  return names.map((id, i) => ({ id: String(id), arguments: isFields(all[i]) ? all[i] : {} }))
}

export const instructionsKind = defineHarnessKind({
  type: 'instructions',
  fields,
  compile({ prompt, instructions, arguments: given, ...limits }) {
    const promptOf = compileTemplate(prompt, 'prompt').text
    return {
      metrics,
      question(row) {
        const text = promptOf(row)
        return { prompts: [text], prompt: text, answer: '' }
      },
      async run(rows, engine) {
        const all = rows.map(({ row }) => instructionsOf(row, instructions, given))
        const texts = rows.map(({ prompts }) => prompts[0])
        const { answers, truncated } = await generateAnswers(texts, limits, engine)
        const unchecked: { [name: string]: number } = {}
        const outcomes = answers.map((answer, i): ExampleOutcome => {
          const found = all[i].flatMap(({ id, arguments: own }) => {
            const followed = followsInstruction(answer, id, own)
            if (followed === undefined) unchecked[id] = (unchecked[id] ?? 0) + 1
            return followed === undefined ? [] : [{ id, ...followed }]
          })
          const detail = { answer, instructions: found }
          if (found.length === 0) return { scores: {}, detail }
          const count = (form: 'strict' | 'loose') => found.filter((one) => one[form]).length
          const [strict, loose] = [count('strict'), count('loose')]
          return {
            scores: {
              prompt_level_strict_acc: Number(strict === found.length),
              inst_level_strict_acc: strict,
              prompt_level_loose_acc: Number(loose === found.length),
              inst_level_loose_acc: loose,
            },
            weights: { inst_level_strict_acc: found.length, inst_level_loose_acc: found.length },
            detail,
          }
        })
        return { outcomes, truncated, unchecked }
      },
    }
  },
})
