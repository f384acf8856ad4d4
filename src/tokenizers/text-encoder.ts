// Token ids of texts and pairs of texts with the tokenizer's special tokens, on the fast path without offsets, and of texts
// that continue another one. Where the special tokens go is found once, by encoding a probe. Independent of the type of tokenizer.
import { ConfigError, invariant } from '../core/index.ts'
import type { IdArray } from './fast-encoder.ts'
import type { Span } from './text.ts'
import type { Tokenizer } from './tokenizer.ts'

/** A text or a pair of texts as token ids. */
export interface EncodedText {
  ids: Uint32Array
  /** Index of the first token of each sequence: one, or two for pairs that are encoded separately. */
  starts: number[]
  typeIds?: Uint8Array
  /** Tokens beyond `maxLength`. */
  truncatedTokens: number
}

/** Encodes a text, or a pair of texts. */
export type TextEncoder = (text: string, pair?: string) => EncodedText

/** Special tokens around texts. */
export interface Frame {
  /** Special tokens before, between and after the texts. */
  parts: Uint32Array[]
  /** Segment ids of the special tokens, and of the texts. */
  partTypes: Uint8Array[]
  textTypes: number[]
}

const probe = 'a'

/** By tokenizer: what surrounds one text, and two. A post-processor is part of its tokenizer and does not change. */
const knownFrames = new WeakMap<Tokenizer, (Frame | undefined)[]>()

/** The special tokens that the tokenizer puts around one text or two. */
export const specialTokenFrame = (tokenizer: Tokenizer, isPair: boolean): Frame => {
  const known = knownFrames.get(tokenizer) ?? []
  knownFrames.set(tokenizer, known)
  known[Number(isPair)] ??= findFrame(tokenizer, isPair)
  return known[Number(isPair)] as Frame
}

const findFrame = (tokenizer: Tokenizer, isPair: boolean): Frame => {
  const { ids, typeIds, sequenceIds } = tokenizer.encode(probe, isPair ? { pair: probe } : {})
  const frame: Frame = { parts: [], partTypes: [], textTypes: [] }
  let part: number[] = []
  let types: number[] = []
  const close = () => {
    frame.parts.push(Uint32Array.from(part))
    frame.partTypes.push(Uint8Array.from(types))
    part = []
    types = []
  }
  let last: number | null = null
  ids.forEach((id, i) => {
    const sequence = sequenceIds[i]
    if (sequence === null) {
      part.push(id)
      types.push(typeIds[i])
    } else if (sequence !== last) {
      close()
      frame.textTypes.push(typeIds[i])
    }
    if (sequence !== null) last = sequence
  })
  close()
  invariant(frame.textTypes.length === (isPair ? 2 : 1), 'a tokenizer keeps the tokens of each text together.')
  return frame
}

const knownSegments = new WeakMap<Tokenizer, boolean>()

/** Whether the two texts of a pair have different segment ids. */
export const hasSegments = (tokenizer: Tokenizer): boolean => {
  const known =
    knownSegments.get(tokenizer) ?? tokenizer.encode(probe, { pair: probe }).typeIds.some((type) => type !== 0)
  knownSegments.set(tokenizer, known)
  return known
}

const specialTokens = ({ parts }: Frame): number => parts.reduce((sum, { length }) => sum + length, 0)

/** Number of tokens of a text, or of a pair in one sequence, with special tokens and without a limit. */
export const countTokens = (tokenizer: Tokenizer, text: string, pair?: string): number =>
  tokenizer.encodeIds(text).length +
  (pair === undefined ? 0 : tokenizer.encodeIds(pair).length) +
  specialTokens(specialTokenFrame(tokenizer, pair !== undefined))

/** Lengths of a pair truncated longest first, as transformers does. */
const splitLength = (first: number, second: number, capacity: number): [number, number] => {
  if (first + second <= capacity) return [first, second]
  const least = Math.min(first, second)
  const share = least > capacity ? least : Math.max(least, capacity - least)
  const [shorter, longer] =
    least + share > capacity ? [Math.floor(capacity / 2), Math.ceil(capacity / 2)] : [least, share]
  return first > second ? [longer, shorter] : [shorter, longer]
}

/**
 * Encodes texts with at most `maxLength` tokens (`Number.MAX_SAFE_INTEGER` for no limit).
 * @throws ConfigError when special tokens leave no capacity for text
 */
export const createTextEncoder = (
  tokenizer: Tokenizer,
  maxLength: number,
  { pairs = 'together' }: { pairs?: 'together' | 'separate' } = {},
): TextEncoder => {
  const typed = hasSegments(tokenizer)
  const left = tokenizer.truncationSide === 'left'
  const keep = (ids: IdArray, length: number): IdArray =>
    ids.length <= length ? ids : left ? ids.subarray(ids.length - length) : ids.subarray(0, length)
  const encode: TextEncoder = (text, pair) => {
    const isPair = pair !== undefined
    const frame = specialTokenFrame(tokenizer, isPair)
    const capacity = maxLength - specialTokens(frame)
    if (capacity < (isPair ? 2 : 1))
      throw new ConfigError(
        `\`maxLength\` ${maxLength} leaves no tokens for text next to the special tokens: raise it.`,
      )
    const whole: IdArray[] = [tokenizer.encodeIds(text)]
    if (isPair) whole.push(tokenizer.encodeIds(pair))
    const lengths = isPair
      ? splitLength(whole[0].length, whole[1].length, capacity)
      : [Math.min(whole[0].length, capacity)]
    const texts = whole.map((ids, i) => keep(ids, lengths[i]))
    const size = maxLength - capacity + lengths[0] + (lengths[1] ?? 0)
    const ids = new Uint32Array(size)
    const typeIds = typed ? new Uint8Array(size) : undefined
    let at = 0
    frame.parts.forEach((part, i) => {
      ids.set(part, at)
      typeIds?.set(frame.partTypes[i], at)
      at += part.length
      if (i >= texts.length) return
      ids.set(texts[i], at)
      typeIds?.fill(frame.textTypes[i], at, at + texts[i].length)
      at += texts[i].length
    })
    const truncatedTokens = whole.reduce((sum, { length }) => sum + length, 0) - lengths[0] - (lengths[1] ?? 0)
    return { ids, starts: [0], truncatedTokens, ...(typeIds === undefined ? {} : { typeIds }) }
  }
  if (pairs === 'together') return encode
  return (text, pair) => {
    if (pair !== undefined) return joinTexts([encode(text), encode(pair)])
    throw new ConfigError('The model encodes pairs separately and needs a second text: give `pair`.')
  }
}

/** Encoded texts as one, each a sequence of its own. */
export const joinTexts = (texts: readonly EncodedText[]): EncodedText => {
  const total = texts.reduce((sum, { ids }) => sum + ids.length, 0)
  const ids = new Uint32Array(total)
  const typeIds = texts[0].typeIds === undefined ? undefined : new Uint8Array(total)
  const starts: number[] = []
  let at = 0
  for (const text of texts) {
    starts.push(at)
    ids.set(text.ids, at)
    if (text.typeIds !== undefined) typeIds?.set(text.typeIds, at)
    at += text.ids.length
  }
  const truncatedTokens = texts.reduce((sum, text) => sum + text.truncatedTokens, 0)
  return { ids, starts, truncatedTokens, ...(typeIds === undefined ? {} : { typeIds }) }
}

/** The tokenizer's maximum length, up to 512. */
export const defaultMaxLength = ({ maxLength }: Tokenizer): number => Math.min(maxLength ?? 512, 512)

/** Texts to put before a continuation, which must not begin as a text does: the first whose tokens stay apart is used. */
const anchors = ['\n', '.', 'a', '1']

/**
 * Token ids of `text` as the continuation of another text, without special tokens of the post-processor.
 * @param literal sorted ranges of the text in which special tokens are encoded as plain text
 */
export const encodeContinuation = (tokenizer: Tokenizer, text: string, literal: readonly Span[] = []): number[] => {
  if (text === '') return []
  const idsOf = (whole: string, shift: number): number[] =>
    literal.length === 0
      ? Array.from(tokenizer.encodeIds(whole))
      : tokenizer.encode(whole, {
          addSpecialTokens: false,
          literal: literal.map(([start, end]): Span => [start + shift, end + shift]),
        }).ids
  if (!marksBeginnings(tokenizer)) return idsOf(text, 0)
  for (const anchor of anchors) {
    const before = tokenizer.encodeIds(anchor)
    const ids = idsOf(anchor + text, anchor.length)
    if (before.length > 0 && before.every((id, i) => id === ids[i])) return ids.slice(before.length)
  }
  return idsOf(text, 0)
}

const known = new WeakMap<Tokenizer, boolean>()

/** Whether the tokenizer encodes the same characters differently at the beginning of a text. */
const marksBeginnings = (tokenizer: Tokenizer): boolean => {
  const found = known.get(tokenizer)
  if (found !== undefined) return found
  const differs = ['a', 'Is', '.'].some((text) => {
    const alone = tokenizer.encodeIds(text)
    const inside = tokenizer.encodeIds(`\n${text}`)
    return !alone.every((id, i) => id === inside[inside.length - alone.length + i])
  })
  known.set(tokenizer, differs)
  return differs
}
