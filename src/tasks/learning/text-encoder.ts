// Texts and pairs of texts as ids with the tokenizer's special tokens around them, by the fast road that has no offsets. How texts are
// framed is found by asking the tokenizer once. Knows no tokenizer's kind and no task.
import { ConfigError, invariant } from '../../core/index.ts'
import type { IdArray } from '../../data/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'

export interface EncodedText {
  ids: Uint32Array
  /** Where each sequence begins: one, or two where pairs stand apart. */
  starts: number[]
  typeIds?: Uint8Array
  /** Tokens that did not fit. */
  truncatedTokens: number
}

export type TextEncoder = (text: string, pair?: string) => EncodedText

export interface Frame {
  /** Special tokens before, between and after the texts. */
  parts: Uint32Array[]
  /** Segment ids of those, and of the texts. */
  partTypes: Uint8Array[]
  textTypes: number[]
}

const probe = 'a'

/** How the tokenizer puts special tokens around one text or two. */
export const specialTokenFrame = (tokenizer: Tokenizer, isPair: boolean): Frame => {
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
  invariant(frame.textTypes.length === (isPair ? 2 : 1), 'a tokenizer gives the tokens of each text in one run.')
  return frame
}

/** Whether texts of a pair have segment ids that differ. */
export const hasSegments = (tokenizer: Tokenizer): boolean =>
  tokenizer.encode(probe, { pair: probe }).typeIds.some((type) => type !== 0)

/** Longest first, as transformers does: the shorter text keeps its length as long as it leaves the other at least as much. */
const splitLength = (first: number, second: number, room: number): [number, number] => {
  if (first + second <= room) return [first, second]
  const least = Math.min(first, second)
  const share = least > room ? least : Math.max(least, room - least)
  const [shorter, longer] = least + share > room ? [Math.floor(room / 2), Math.ceil(room / 2)] : [least, share]
  return first > second ? [longer, shorter] : [shorter, longer]
}

/** @throws ConfigError when special tokens leave no room for text */
export const createTextEncoder = (
  tokenizer: Tokenizer,
  maxLength: number,
  { pairs = 'together' }: { pairs?: 'together' | 'apart' } = {},
): TextEncoder => {
  const frames: (Frame | undefined)[] = [undefined, undefined]
  const typed = hasSegments(tokenizer)
  const left = tokenizer.truncationSide === 'left'
  const keep = (ids: IdArray, length: number): IdArray =>
    ids.length <= length ? ids : left ? ids.subarray(ids.length - length) : ids.subarray(0, length)
  const encode: TextEncoder = (text, pair) => {
    const isPair = pair !== undefined
    frames[Number(isPair)] ??= specialTokenFrame(tokenizer, isPair)
    const frame = frames[Number(isPair)]!
    const room = maxLength - frame.parts.reduce((sum, { length }) => sum + length, 0)
    if (room < (isPair ? 2 : 1))
      throw new ConfigError(
        `Expected room for text beside special tokens for \`maxLength\`, got ${maxLength}. Raise it.`,
      )
    const whole: IdArray[] = [tokenizer.encodeIds(text)]
    if (isPair) whole.push(tokenizer.encodeIds(pair))
    const lengths = isPair ? splitLength(whole[0].length, whole[1].length, room) : [Math.min(whole[0].length, room)]
    const texts = whole.map((ids, i) => keep(ids, lengths[i]))
    const size = maxLength - room + lengths[0] + (lengths[1] ?? 0)
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
    const cut = whole.reduce((sum, { length }) => sum + length, 0) - lengths[0] - (lengths[1] ?? 0)
    return { ids, starts: [0], truncatedTokens: cut, ...(typeIds === undefined ? {} : { typeIds }) }
  }
  if (pairs === 'together') return encode
  return (text, pair) => {
    if (pair !== undefined) return joined(encode(text), encode(pair))
    throw new ConfigError('Expected a `pair` beside the text, as pairs stand apart, got none. Give one.')
  }
}

/** Two sequences behind each other. */
const joined = (first: EncodedText, second: EncodedText): EncodedText => {
  const end = first.ids.length
  const ids = new Uint32Array(end + second.ids.length)
  ids.set(first.ids)
  ids.set(second.ids, end)
  // One text alone is all of the first segment.
  const typeIds = first.typeIds === undefined ? {} : { typeIds: new Uint8Array(ids.length) }
  return { ids, starts: [0, end], truncatedTokens: first.truncatedTokens + second.truncatedTokens, ...typeIds }
}

/** The length that a tokenizer's folder allows, up to 512. */
export const defaultMaxLength = ({ maxLength }: Tokenizer): number => Math.min(maxLength ?? 512, 512)
