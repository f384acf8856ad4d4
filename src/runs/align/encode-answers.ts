// Records of preferences as examples: how long they may be, which are kept, and what is said of those that are not.
import { ConfigError } from '../../core/index.ts'
import { contextLength, type Model } from '../../models/index.ts'
import { type CompletionEncoder, expectFewSkipped, type TaskExample, type TaskRecord } from '../../tasks/index.ts'
import { describeSkipped } from '../engine/data-splits.ts'
import type { AlignmentData } from './data.ts'
import type { AlignRecipe } from './recipe.ts'

/** Records with their examples, one for each. */
export interface EncodedAnswers {
  records: TaskRecord[]
  examples: TaskExample[]
}

/** Maximum tokens. */
export interface AnswerLengths {
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
  const truncated =
    prompts + completions === 0
      ? []
      : [
          `Truncated ${countOf(prompts, 'prompt')} to ${maxPromptLength} tokens, and ${countOf(completions, 'completion')} to ${maxLength} with the prompt: a truncated completion has no end token.`,
        ]
  return [...truncated, ...notes, ...describeSkipped(skipped)]
}
