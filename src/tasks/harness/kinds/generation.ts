// Generated answers that are compared with a reference, as they are or as filters extract them; or checked against instructions.
// @source lm-eval 0.4.13, `generate_until`, the filter `regex` and the metric `exact_match`
import { z } from 'zod'
import { ConfigError, DataError } from '../../../core/index.ts'
import { trimmed } from '../../metrics/white-space.ts'
import { isFields } from '../../records/row.ts'
import { followsInstruction } from '../instructions/checks.ts'
import { compileTemplate, type TemplateRow } from '../template.ts'
import { defineHarnessKind, type ExampleOutcome, generateAnswers, type HarnessMetric, templateField } from './kind.ts'

const filterField = z.strictObject({
  name: z
    .string()
    .regex(/^[\w-]+$/)
    .describe('name of the metric: the share of answers that are right after this filter'),
  pattern: z.string().describe('regular expression; its first group that is not empty is the answer'),
  occurrence: z.enum(['first', 'last']).default('first').describe('which match is the answer'),
  fallback: z.string().default('[invalid]').describe('answer where nothing matches'),
})

const fields = z.strictObject({
  prompt: templateField.describe('text that the model continues'),
  target: templateField.describe('reference answer, also of few-shot examples'),
  stop: z.array(z.string().min(1)).default([]).describe('texts that end an answer, beside the end token'),
  maxNewTokens: z.int().positive().default(256).describe('maximum tokens of an answer'),
  filters: z
    .array(filterField)
    .default([])
    .describe('ways to extract the answer, each with a metric of its own (default: none)'),
  ignoreCase: z.boolean().default(false).describe('compare in lower case'),
  ignorePatterns: z
    .array(z.string())
    .default([])
    .describe('regular expressions whose matches are removed from answer and reference, one after another'),
})

const regex = (source: string, where: string): RegExp => {
  try {
    return new RegExp(source, 'g')
  } catch (error) {
    throw new ConfigError(`Expected a regular expression for \`${where}\`, got ${source}: ${(error as Error).message}.`)
  }
}

/** The answer that a filter extracts from a text. */
const extracted = (
  text: string,
  pattern: RegExp,
  { occurrence, fallback }: Pick<z.output<typeof filterField>, 'occurrence' | 'fallback'>,
): string => {
  const match = [...text.matchAll(pattern)].at(occurrence === 'first' ? 0 : -1)
  if (match === undefined) return fallback
  const [whole, ...groups] = match
  if (groups.length === 0) return trimmed(whole)
  const found = groups.find((group) => group !== undefined && group !== '')
  return trimmed(found ?? (groups.length === 1 ? '' : fallback))
}

type AnswerFields = z.output<typeof fields>

/** Compares answers with references as the fields of a task file say. */
export const answerScorer = ({
  filters,
  ignoreCase,
  ignorePatterns,
}: Pick<AnswerFields, 'filters' | 'ignoreCase' | 'ignorePatterns'>) => {
  const ignored = ignorePatterns.map((source, i) => regex(source, `ignorePatterns[${i}]`))
  const patterns = filters.map(({ pattern }, i) => regex(pattern, `filters[${i}].pattern`))
  const names = filters.length === 0 ? ['exact_match'] : filters.map(({ name }) => name)
  if (new Set(names).size < names.length) throw new ConfigError('Expected different names for `filters`.')
  const bare = (text: string) => {
    const rest = ignored.reduce((left, pattern) => left.replace(pattern, ''), text)
    return ignoreCase ? rest.toLowerCase() : rest
  }
  return {
    names,
    score(answer: string, reference: string) {
      const found = filters.length === 0 ? [answer] : filters.map((filter, k) => extracted(answer, patterns[k], filter))
      return {
        scores: Object.fromEntries(names.map((name, k) => [name, Number(bare(found[k]) === bare(reference))])),
        ...(filters.length === 0 ? {} : { extracted: Object.fromEntries(names.map((name, k) => [name, found[k]])) }),
      }
    },
  }
}

export const generationKind = defineHarnessKind({
  type: 'generation',
  fields,
  compile({ prompt, target, filters, ignoreCase, ignorePatterns, ...limits }) {
    const promptOf = compileTemplate(prompt, 'prompt').text
    const targetOf = compileTemplate(target, 'target').text
    const scorer = answerScorer({ filters, ignoreCase, ignorePatterns })
    return {
      metrics: scorer.names.map(
        (name): HarnessMetric => ({
          name,
          direction: 'higher',
          unit: 'share',
          summary: 'share of generated answers that are equal to the reference',
        }),
      ),
      question(row) {
        const text = promptOf(row)
        return { prompts: [text], prompt: text, answer: targetOf(row) }
      },
      async run(rows, engine) {
        const texts = rows.map(({ prompts }) => prompts[0])
        const { answers, truncated } = await generateAnswers(texts, limits, engine)
        const outcomes = answers.map((answer, i) => {
          const target = targetOf(rows[i].row)
          const { scores, ...found } = scorer.score(answer, target)
          return { scores, detail: { target, answer, ...found } }
        })
        return { outcomes, truncated }
      },
    }
  },
})

// @source Zhou et al. 2023, arXiv:2311.07911; lm-eval 0.4.13, tasks/ifeval
const instructionFields = z.strictObject({
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
  fields: instructionFields,
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
