// How an encoder with a decoder is asked and taught: the question goes into the one, the answer comes out of the other. Knows no task.
import { ConfigError, DataError } from '../../core/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'
import { specialTokenFrame } from '../learning/text-encoder.ts'
import type { Place } from '../records/read-report.ts'
import { createSeq2seqCriterion, type Seq2seqExample } from './answer-criterion.ts'
import type { TooLong } from './generation-fields.ts'

export interface Seq2seqEncoderOptions {
  tooLong: TooLong
  /** Most tokens of a question, and of an answer. */
  maxLength: number
  startId: number
}

export interface Seq2seqEncoder {
  criterion: ReturnType<typeof createSeq2seqCriterion>
  encode(question: string, answer: string, place: Place): Seq2seqExample[]
  prompt(question: string, place: Place): { ids: number[]; cut: number }
  eosTokenIds: number[]
}

/** @throws ConfigError for a tokenizer without an end of text, since answers would have none */
export const createSeq2seqEncoder = (
  tokenizer: Tokenizer,
  { tooLong, maxLength, startId }: Seq2seqEncoderOptions,
): Seq2seqEncoder => {
  const { eos, pad } = tokenizer.special
  if (eos === undefined)
    throw new ConfigError('Expected a tokenizer with an end of text for answers to stop at, got one without.')
  if (tooLong === 'split')
    throw new ConfigError(
      'Expected cut, drop or error for `tooLong` of an encoder with a decoder, got split: a part of a question has no answer.',
    )
  const [before, after] = specialTokenFrame(tokenizer, false).parts
  const room = maxLength - before.length - after.length
  if (room < 1)
    throw new ConfigError(`Expected room for text beside special tokens for \`maxLength\`, got ${maxLength}. Raise it.`)
  const specials = tokenizer.addedTokens.filter(({ token }) => token.special)
  const plain = (text: string, { file, line }: Place): Uint32Array => {
    const held = specials.filter(({ token }) => text.includes(token.content))
    if (held.length === 0) return Uint32Array.from(tokenizer.encodeIds(text))
    // What people say is text, also where it looks like a special token.
    const { ids } = tokenizer.encode(text, { addSpecialTokens: false, literal: [[0, text.length]] })
    const still = held.find(({ id }) => ids.includes(id))
    if (still !== undefined)
      throw new DataError(
        `Expected text that the tokenizer can write without special tokens, got ${still.token.content} in it.`,
        file,
        line,
      )
    return Uint32Array.from(ids)
  }
  const read = (question: string, place: Place) => {
    const text = plain(question, place)
    if (text.length === 0)
      throw new DataError('Expected a question with at least one token, got none.', place.file, place.line)
    const kept = text.subarray(0, room)
    return { ids: Uint32Array.from([...before, ...kept, ...after]), cut: text.length - kept.length }
  }
  return {
    criterion: createSeq2seqCriterion(pad?.id ?? 0, startId),
    eosTokenIds: [eos.id],
    encode(question, answer, place) {
      const { ids, cut } = read(question, place)
      const said = plain(answer, place)
      const over = Math.max(0, said.length + 1 - maxLength)
      if (cut + over > 0 && tooLong === 'drop') return []
      if (cut + over > 0 && tooLong === 'error')
        throw new DataError(
          `Expected a question and an answer of at most ${maxLength} tokens each, got ${cut + over} more. Raise maxLength, or say what to do with \`tooLong\`.`,
          place.file,
          place.line,
        )
      // An answer that is cut does not end there.
      const targets = over > 0 ? said.subarray(0, maxLength) : Uint32Array.from([...said, eos.id])
      return [{ ids, starts: [0], targets, truncatedTokens: cut + over }]
    },
    prompt(question, place) {
      const { ids, cut } = read(question, place)
      return { ids: Array.from(ids), cut }
    },
  }
}
