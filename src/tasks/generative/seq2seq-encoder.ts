// Training examples and prompts for encoder-decoders: the question is the encoder's input, the answer the decoder's output.
import { ConfigError, DataError } from '../../core/index.ts'
import { specialTokenFrame, type Tokenizer } from '../../tokenizers/index.ts'
import type { Place } from '../records/row.ts'
import { createSeq2seqCriterion, type Seq2seqExample } from './answer-criterion.ts'
import type { GenerationSettings } from './generation-fields.ts'

/**
 * The encoder of encoder-decoders.
 * @param options.maxLength maximum tokens of a question, and of an answer
 * @throws ConfigError for a tokenizer without an end-of-text token
 */
export const createSeq2seqEncoder = (
  tokenizer: Tokenizer,
  options: Pick<GenerationSettings, 'tooLong' | 'labelSmoothing'> & { maxLength: number; startId: number },
) => {
  const { tooLong, maxLength, startId, labelSmoothing } = options
  const { eos, pad } = tokenizer.special
  if (eos === undefined)
    throw new ConfigError(
      "Expected a tokenizer with an end-of-text token, which ends answers, got one without. Give the base one: `vocabulary grow --eos '</s>'`.",
    )
  if (tooLong === 'split')
    throw new ConfigError(
      'Expected truncate, drop or error for `tooLong` of an encoder-decoder, got split: a part of a question has no answer.',
    )
  const [before, after] = specialTokenFrame(tokenizer, false).parts
  const capacity = maxLength - before.length - after.length
  if (capacity < 1)
    throw new ConfigError(`\`maxLength\` ${maxLength} leaves no tokens for text next to the special tokens: raise it.`)
  const specials = tokenizer.addedTokens.filter(({ token }) => token.special)
  const plain = (text: string, { file, line }: Place): Uint32Array => {
    const inText = specials.filter(({ token }) => text.includes(token.content))
    if (inText.length === 0) return Uint32Array.from(tokenizer.encodeIds(text))
    // Text stays text, also where it looks like a special token.
    const { ids } = tokenizer.encode(text, { addSpecialTokens: false, literal: [[0, text.length]] })
    const remaining = inText.find(({ id }) => ids.includes(id))
    if (remaining !== undefined)
      throw new DataError(
        `Expected text that the tokenizer can encode without special tokens, got ${remaining.token.content} in it.`,
        file,
        line,
      )
    return Uint32Array.from(ids)
  }
  const read = (question: string, place: Place) => {
    const text = plain(question, place)
    if (text.length === 0)
      throw new DataError('Expected a question with at least one token, got none.', place.file, place.line)
    const kept = text.subarray(0, capacity)
    return { ids: Uint32Array.from([...before, ...kept, ...after]), truncatedTokens: text.length - kept.length }
  }
  return {
    criterion: createSeq2seqCriterion(pad?.id ?? 0, startId, labelSmoothing),
    eosTokenIds: [eos.id],
    encode(question: string, answer: string, place: Place): Seq2seqExample[] {
      const { ids, truncatedTokens } = read(question, place)
      const answerIds = plain(answer, place)
      // Answers begin as texts do: with the token that BART puts before each, with none in T5.
      const room = maxLength - before.length
      const over = Math.max(0, answerIds.length + 1 - room)
      if (truncatedTokens + over > 0 && tooLong === 'drop') return []
      if (truncatedTokens + over > 0 && tooLong === 'error')
        throw new DataError(
          `Expected a question and an answer of at most ${maxLength} tokens each, got ${truncatedTokens + over} more. Raise \`maxLength\`, or set \`tooLong\`.`,
          place.file,
          place.line,
        )
      // A truncated answer gets no end token.
      const targets = Uint32Array.from([
        ...before,
        ...(over > 0 ? answerIds.subarray(0, room) : [...answerIds, eos.id]),
      ])
      return [{ ids, starts: [0], targets, truncatedTokens: truncatedTokens + over }]
    },
    prompt(question: string, place: Place) {
      const { ids, truncatedTokens } = read(question, place)
      return { ids: Array.from(ids), truncatedTokens }
    },
  }
}
