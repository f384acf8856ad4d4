// Prompts with their answers as token ids for a reward model: one sequence for each answer. Decoders read prompt and answer as in generation;
// encoders read them as a pair of texts.
import type { BodyFacts, HeadOptions } from '../../models/index.ts'
import { createTextEncoder, type EncodedText, type Tokenizer } from '../../tokenizers/index.ts'
import type { Place, Skipped } from '../records/read-report.ts'
import { type CompletionEncoderOptions, createCompletionEncoder } from './completion-encoder.ts'
import { contentOf, type PromptText } from './records.ts'

/** One prompt with one answer as token ids. */
export type AnswerSequence = Pick<EncodedText, 'ids' | 'typeIds' | 'truncatedTokens'>

/** Encodes answers to prompts. */
export interface RewardEncoder {
  /** Undefined for an answer that is dropped, which `skipped` counts. */
  encode(prompt: PromptText, answer: PromptText, place: Place): AnswerSequence | undefined
  readonly skipped: { readonly [reason: string]: Skipped }
  readonly notes: readonly string[]
}

/** The encoder for a body. @throws ConfigError for a tokenizer that does not fit */
export const createRewardEncoder = (
  tokenizer: Tokenizer,
  facts: Pick<BodyFacts, 'causal'> | undefined,
  options: CompletionEncoderOptions,
  headOptions: Partial<HeadOptions>,
): RewardEncoder => {
  if (facts?.causal ?? true) {
    const encoder = createCompletionEncoder(tokenizer, options)
    return {
      encode: (prompt, answer, place) => encoder.completion(prompt, answer, place),
      get skipped() {
        return encoder.skipped
      },
      get notes() {
        return encoder.notes
      },
    }
  }
  const encodeText = createTextEncoder(tokenizer, options.maxLength, headOptions)
  return {
    encode(prompt, answer) {
      const [question, text] = [contentOf(prompt), contentOf(answer)]
      return question.trim() === '' ? encodeText(text) : encodeText(question, text)
    },
    skipped: {},
    notes: [],
  }
}

/** Sequences end to end. */
export const joinSequences = (
  sequences: readonly AnswerSequence[],
): { ids: Uint32Array; starts: number[]; typeIds?: Uint8Array; truncatedTokens: number } => {
  const starts: number[] = []
  let end = 0
  for (const { ids } of sequences) {
    starts.push(end)
    end += ids.length
  }
  const ids = new Uint32Array(end)
  const typed = sequences.some(({ typeIds }) => typeIds !== undefined)
  const typeIds = new Uint8Array(typed ? end : 0)
  sequences.forEach((one, i) => {
    ids.set(one.ids, starts[i])
    if (one.typeIds !== undefined) typeIds.set(one.typeIds, starts[i])
  })
  const truncatedTokens = sequences.reduce((sum, one) => sum + one.truncatedTokens, 0)
  return { ids, starts, truncatedTokens, ...(typed ? { typeIds } : {}) }
}
