// The result of encoding: parallel lists over tokens, and the operations that truncate, join and pad them.
// It knows no tokenizer.
import { ConfigError } from '../core/index.ts'

export type Side = 'left' | 'right'

export interface Padding {
  /** The length to reach; without it, that of the longest encoding in the batch. */
  length?: number
  side?: Side
  /** Rounds the length up to a multiple of this. */
  multipleOf?: number
  id: number
  typeId?: number
  token?: string
}

export class Encoding {
  ids: number[] = []
  /** 0 for the first sequence, 1 for the second (as the post-processor decides). */
  typeIds: number[] = []
  tokens: string[] = []
  /** [start, end) in the original text that the token came from; [0, 0] for a token that came from none. */
  offsets: [number, number][] = []
  /** The index of the word (pre-token) in its sequence, or null for a special token. */
  wordIds: (number | null)[] = []
  /** 1 for tokens that the post-processor or padding added. */
  specialTokensMask: number[] = []
  /** 0 for padding. */
  attentionMask: number[] = []
  /** 0 for tokens of the first sequence, 1 for those of the second, null for the rest. */
  sequenceIds: (number | null)[] = []
  /** What truncation cut off, in windows that overlap by its stride. */
  overflowing: Encoding[] = []

  get length(): number {
    return this.ids.length
  }

  push(id: number, token: string, offsets: [number, number], wordId: number | null, typeId: number): void {
    this.ids.push(id)
    this.tokens.push(token)
    this.offsets.push(offsets)
    this.wordIds.push(wordId)
    this.typeIds.push(typeId)
    this.specialTokensMask.push(0)
    this.attentionMask.push(1)
    this.sequenceIds.push(null)
  }

  pushSpecial(id: number, token: string, typeId: number): void {
    this.push(id, token, [0, 0], null, typeId)
    this.specialTokensMask[this.length - 1] = 1
  }

  /** A copy of [start, end), without what overflowed. */
  slice(start: number, end: number): Encoding {
    const part = new Encoding()
    part.ids = this.ids.slice(start, end)
    part.typeIds = this.typeIds.slice(start, end)
    part.tokens = this.tokens.slice(start, end)
    part.offsets = this.offsets.slice(start, end).map(([from, to]) => [from, to])
    part.wordIds = this.wordIds.slice(start, end)
    part.specialTokensMask = this.specialTokensMask.slice(start, end)
    part.attentionMask = this.attentionMask.slice(start, end)
    part.sequenceIds = this.sequenceIds.slice(start, end)
    return part
  }

  setTypeId(typeId: number): void {
    this.typeIds.fill(typeId)
  }

  setSequence(sequence: number): void {
    this.sequenceIds.fill(sequence)
  }

  /** Cut to at most `maxLength` tokens; the rest goes to `overflowing`, in windows that share `stride` tokens. */
  truncated(maxLength: number, stride: number, side: Side): Encoding {
    if (maxLength >= this.length) return this
    if (maxLength === 0) {
      const empty = new Encoding()
      empty.overflowing.push(this)
      return empty
    }
    if (stride >= maxLength)
      throw new ConfigError(
        `Expected fewer than ${maxLength} tokens for \`truncation.stride\` (the room that special tokens leave), got ${stride}. Lower it.`,
      )
    const windows: Encoding[] = []
    const step = maxLength - stride
    for (let at = 0; at < this.length; at += step) {
      const start = side === 'right' ? at : Math.max(0, this.length - at - maxLength)
      const end = side === 'right' ? Math.min(this.length, at + maxLength) : this.length - at
      windows.push(this.slice(start, end))
      if (side === 'right' ? end === this.length : start === 0) break
    }
    const [first, ...rest] = windows
    first.overflowing = rest
    return first
  }

  /** Appends another encoding; every window that overflowed here meets every one that overflowed there. */
  append(other: Encoding): void {
    const windows: Encoding[] = []
    const joined = (left: Encoding, right: Encoding) => {
      const copy = left.slice(0, left.length)
      copy.append(right.slice(0, right.length))
      return copy
    }
    for (const mine of this.overflowing) {
      windows.push(joined(mine, other))
      for (const theirs of other.overflowing) windows.push(joined(mine, theirs))
    }
    for (const theirs of other.overflowing) windows.push(joined(this, theirs))
    this.ids = this.ids.concat(other.ids)
    this.typeIds = this.typeIds.concat(other.typeIds)
    this.tokens = this.tokens.concat(other.tokens)
    this.offsets = this.offsets.concat(other.offsets)
    this.wordIds = this.wordIds.concat(other.wordIds)
    this.specialTokensMask = this.specialTokensMask.concat(other.specialTokensMask)
    this.attentionMask = this.attentionMask.concat(other.attentionMask)
    this.sequenceIds = this.sequenceIds.concat(other.sequenceIds)
    this.overflowing = windows
  }

  /** Grows to `length` tokens by padding; what overflowed grows too. */
  pad(length: number, { id, typeId = 0, token = '[PAD]', side = 'right' }: Padding): void {
    for (const window of this.overflowing) window.pad(length, { id, typeId, token, side })
    const missing = length - this.length
    if (missing <= 0) return
    const grow = <T>(list: T[], filler: () => T): T[] => {
      const padding = Array.from({ length: missing }, filler)
      return side === 'left' ? padding.concat(list) : list.concat(padding)
    }
    this.ids = grow(this.ids, () => id)
    this.typeIds = grow(this.typeIds, () => typeId)
    this.tokens = grow(this.tokens, () => token)
    this.offsets = grow(this.offsets, () => [0, 0])
    this.wordIds = grow(this.wordIds, () => null)
    this.specialTokensMask = grow(this.specialTokensMask, () => 1)
    this.attentionMask = grow(this.attentionMask, () => 0)
    this.sequenceIds = grow(this.sequenceIds, () => null)
  }
}

/** Joins encodings in their order. */
export const joinEncodings = (encodings: readonly Encoding[]): Encoding => {
  const joined = new Encoding()
  for (const encoding of encodings) joined.append(encoding)
  return joined
}

const MAX_PADDED = 2 ** 24

/** Pads all encodings to one length. Throws ConfigError when that is absurd. */
export const padEncodings = (encodings: readonly Encoding[], padding: Padding): void => {
  let length = padding.length ?? encodings.reduce((longest, encoding) => Math.max(longest, encoding.length), 0)
  const multiple = padding.multipleOf ?? 0
  if (multiple > 0) length = Math.ceil(length / multiple) * multiple
  if (!(Number.isInteger(length) && length <= MAX_PADDED))
    throw new ConfigError(`Expected at most ${MAX_PADDED} tokens for \`padding.length\`, got ${length}. Lower it.`)
  for (const encoding of encodings) encoding.pad(length, padding)
}
