// Records of preferences as examples: how long they may be, which are kept, what is said of those that are not, and the log-probabilities of their
// answers.
import { type ScoreCompletionsOptions, scoreCompletions } from '../../alignment/index.ts'
import { ConfigError } from '../../core/index.ts'
import { contextLength, type Model } from '../../models/index.ts'
import { type CompletionEncoder, expectFewSkipped, type TaskExample, type TaskRecord } from '../../tasks/index.ts'
import { describeSkipped } from '../examples/run-data.ts'
import type { AlignmentData, AlignmentPrediction, ScoredCompletion } from './data.ts'
import type { AlignRecipe } from './recipe.ts'

/** Records with their examples, one for each. */
export interface EncodedAnswers {
  records: TaskRecord[]
  examples: TaskExample[]
}

/** Maximum tokens. */
interface AnswerLengths {
  /** Of a prompt with its completion. */
  maxLength: number
  maxPromptLength: number
}

/** Checked and complete lengths. @param virtualTokens positions that an adapter takes @throws ConfigError for more than the model takes */
export const lengthsOf = (
  { maxLength: given, maxPromptLength }: Pick<AlignRecipe, 'maxLength' | 'maxPromptLength'>,
  model: Model,
  virtualTokens: number,
): AnswerLengths => {
  const limit = (contextLength(model) ?? Number.POSITIVE_INFINITY) - virtualTokens
  if (given !== undefined && given > limit)
    throw new ConfigError(
      `Expected at most ${limit} for \`maxLength\`, the limit of the model${virtualTokens > 0 ? ` without ${virtualTokens} virtual tokens` : ''}, got ${given}.`,
    )
  const maxLength = given ?? Math.min(limit, 1024)
  return { maxLength, maxPromptLength: maxPromptLength ?? Math.max(1, Math.floor(maxLength / 2)) }
}

/** Encodes records. Those that are dropped as too long are in the counts of the encoder. */
export const encodeAnswers = (
  data: AlignmentData,
  encoder: CompletionEncoder,
  records: readonly TaskRecord[],
): EncodedAnswers => {
  const kept: EncodedAnswers = { records: [], examples: [] }
  for (const record of records) {
    const example = data.encode(encoder, record)
    if (example === undefined) continue
    kept.records.push(record)
    kept.examples.push(example)
  }
  return kept
}

/** The error for records of which none fits. @param purpose what they are for */
export const noneFits = (noun: string, { maxLength }: AnswerLengths, purpose: string): ConfigError =>
  new ConfigError(
    `Expected ${noun}s that fit in ${maxLength} tokens, got none for ${purpose}. Raise \`maxLength\`, or set \`tooLong\` to truncate.`,
  )

const countOf = (count: number, noun: string) => `${count} ${noun}${count === 1 ? '' : 's'}`

/**
 * Sentences about records that were truncated or left out.
 * @param records all of them, those that were left out included
 * @throws DataError where too many were left out
 */
export const encodingNotes = (
  { skipped, truncated: { prompts, completions }, notes }: CompletionEncoder,
  { maxLength, maxPromptLength }: AnswerLengths,
  { records, columns, path }: { records: number; columns: object; path: string },
): string[] => {
  const { maxSkipped = 0.1 } = columns as { maxSkipped?: number }
  expectFewSkipped(skipped, records, maxSkipped, path)
  const lines = [...notes, ...describeSkipped(skipped)]
  if (prompts + completions > 0)
    lines.unshift(
      `Truncated ${countOf(prompts, 'prompt')} to ${maxPromptLength} tokens, and ${countOf(completions, 'completion')} to ${maxLength} with the prompt: a truncated completion has no end token.`,
    )
  return lines
}

/** The sum over the tokens of a completion, in nats. */
export type AnswerSum = Omit<ScoredCompletion, 'base'>

/** Sums of the log-probabilities of all completions of the examples, in their order. */
export const sumAnswers = async (
  model: Model,
  data: AlignmentData,
  examples: readonly TaskExample[],
  options: ScoreCompletionsOptions,
): Promise<AnswerSum[]> => {
  const completions = examples.flatMap((example) => data.completions(example))
  const scores = await scoreCompletions(model, completions, options)
  return scores.map(({ logProbs }) => ({
    logProb: logProbs.reduce((sum, value) => sum + value, 0),
    tokens: logProbs.length,
  }))
}

/** The lines of predictions.jsonl, from the sums under a model and under the base. */
export const predictionsOf = (
  data: AlignmentData,
  { records, examples }: EncodedAnswers,
  policy: readonly AnswerSum[],
  base: readonly AnswerSum[] | undefined,
): AlignmentPrediction[] => {
  let at = 0
  return examples.map((example, i) => ({
    id: records[i].id,
    completions: data.completions(example).map((): ScoredCompletion => {
      const own = { ...policy[at], ...(base === undefined ? {} : { base: base[at].logProb }) }
      at++
      return own
    }),
  }))
}
