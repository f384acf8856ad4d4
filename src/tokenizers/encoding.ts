// The result of encoding: parallel arrays over tokens, with truncation, concatenation and padding of one or two sequences.
// Independent of the tokenizer.
import { ConfigError } from '../core/index.ts'

/** The side of a sequence that is truncated or padded. */
export type Side = 'left' | 'right'

/** Padding of encodings to one length. */
export interface Padding {
  /** Length in tokens (default: that of the longest encoding in the batch). */
  length?: number
  /** Side that is padded (default: the tokenizer's padding side). */
  side?: Side
  /** Round the length up to a multiple of this number. */
  multipleOf?: number
  /** Id of the padding token. */
  id: number
  typeId?: number
  token?: string
}

/** The parallel arrays of an encoding. */
const COLUMNS = [
  ...(['ids', 'typeIds', 'tokens', 'offsets'] as const),
  ...(['wordIds', 'specialTokensMask', 'attentionMask', 'sequenceIds'] as const),
]

/** An encoded text or pair: parallel arrays with one element per token. */
export class Encoding {
  /** Token ids. */
  ids: number[] = []
  /** Segment ids: 0 for the first sequence, 1 for the second, set by the post-processor. */
  typeIds: number[] = []
  /** Token strings as in the vocabulary. */
  tokens: string[] = []
  /** [start, end) of each token in the original text; [0, 0] for special tokens and padding. */
  offsets: [number, number][] = []
  /** Index of the word (pre-token) in its sequence; null for special tokens and padding. */
  wordIds: (number | null)[] = []
  /** 1 for tokens added by the post-processor or by padding. */
  specialTokensMask: number[] = []
  /** 1 for tokens, 0 for padding. */
  attentionMask: number[] = []
  /** 0 for tokens of the first sequence, 1 for those of the second, null for the rest. */
  sequenceIds: (number | null)[] = []
  /** The truncated rest, in windows that overlap by the stride. */
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

  /** A copy of tokens [start, end), without `overflowing`. */
  slice(start: number, end: number): Encoding {
    const part = new Encoding()
    for (const column of COLUMNS) Object.assign(part, { [column]: this[column].slice(start, end) })
    part.offsets = part.offsets.map(([from, to]) => [from, to])
    return part
  }

  setTypeId(typeId: number): void {
    this.typeIds.fill(typeId)
  }

  setSequence(sequence: number): void {
    this.sequenceIds.fill(sequence)
  }

  /** Truncates to `maxLength` tokens; the rest goes to `overflowing`, in windows that share `stride` tokens. */
  truncated(maxLength: number, stride: number, side: Side): Encoding {
    if (maxLength >= this.length) return this
    if (maxLength === 0) {
      const empty = new Encoding()
      empty.overflowing.push(this)
      return empty
    }
    if (stride >= maxLength)
      throw new ConfigError(
        `Expected fewer than ${maxLength} tokens for \`truncation.stride\` (the maximum length minus special tokens), got ${stride}. Lower it.`,
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

  /** Appends another encoding; every overflowing window of one is combined with every window of the other. */
  append(other: Encoding): void {
    const windows: Encoding[] = []
    const joined = (left: Encoding, right: Encoding) => {
      const copy = left.slice(0, left.length)
      copy.append(right.slice(0, right.length))
      return copy
    }
    for (const own of this.overflowing) {
      windows.push(joined(own, other))
      for (const others of other.overflowing) windows.push(joined(own, others))
    }
    for (const others of other.overflowing) windows.push(joined(this, others))
    for (const column of COLUMNS) Object.assign(this, { [column]: (this[column] as unknown[]).concat(other[column]) })
    this.overflowing = windows
  }

  /** Pads to `length` tokens, overflowing windows included. */
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

/** Concatenates encodings. */
export const joinEncodings = (encodings: readonly Encoding[]): Encoding => {
  const joined = new Encoding()
  for (const encoding of encodings) joined.append(encoding)
  return joined
}

const MAX_PADDED = 2 ** 24

/** Pads all encodings to one length. Throws ConfigError if the length is not an integer up to 2^24. */
export const padEncodings = (encodings: readonly Encoding[], padding: Padding): void => {
  let length = padding.length ?? encodings.reduce((longest, encoding) => Math.max(longest, encoding.length), 0)
  const multiple = padding.multipleOf ?? 0
  if (multiple > 0) length = Math.ceil(length / multiple) * multiple
  if (!(Number.isInteger(length) && length <= MAX_PADDED))
    throw new ConfigError(`Expected at most ${MAX_PADDED} tokens for \`padding.length\`, got ${length}. Lower it.`)
  for (const encoding of encodings) encoding.pad(length, padding)
}

/** Which sequence of a pair is truncated, named as in transformers. */
export type Strategy = 'longest_first' | 'only_first' | 'only_second'

/** Truncation of an encoding. */
export interface Truncation {
  /** Maximum number of tokens, special tokens included. */
  maxLength: number
  /** Which sequence of a pair is truncated (default: longest_first). */
  strategy?: Strategy
  /** Number of tokens that consecutive overflowing windows share (default: 0). */
  stride?: number
  /** Side that is truncated (default: the tokenizer's truncation side). */
  side?: Side
}

/** Truncates encodings so that they and `added` special tokens fit the maximum length. Throws ConfigError. */
export const truncate = (encodings: readonly Encoding[], truncation: Truncation, added: number): Encoding[] => {
  const { maxLength, strategy = 'longest_first', stride = 0, side = 'right' } = truncation
  if (!Number.isInteger(maxLength) || maxLength < 0 || !Number.isInteger(stride) || stride < 0)
    throw new ConfigError(
      `Expected non-negative integers for \`truncation\`, got maxLength ${maxLength} and stride ${stride}.`,
    )
  const capacity = maxLength - added
  if (capacity < 0)
    throw new ConfigError(
      `Expected at least ${added} for \`truncation.maxLength\` (the number of special tokens), got ${maxLength}. Raise it.`,
    )
  const shorten = (encoding: Encoding, length: number) => encoding.truncated(length, stride, side)
  if (capacity === 0) return encodings.map((encoding) => shorten(encoding, 0))
  const total = encodings.reduce((sum, encoding) => sum + encoding.length, 0)
  if (total <= capacity) return [...encodings]
  if (strategy === 'longest_first')
    return longestFirst(encodings, capacity).map((length, i) => shorten(encodings[i], length))
  const target = strategy === 'only_first' ? 0 : 1
  if (target >= encodings.length)
    throw new ConfigError('`truncation.strategy` only_second needs a second sequence: pass `pair`.')
  const rest = encodings[target].length - (total - capacity)
  if (rest <= 0)
    throw new ConfigError(
      `\`truncation.strategy\` ${strategy} cannot reach ${maxLength} tokens, because the other sequence is too long: use longest_first.`,
    )
  return encodings.map((encoding, i) => (i === target ? shorten(encoding, rest) : encoding))
}

/** Lengths after truncating the longer sequence first; `capacity` is the total length. */
const longestFirst = (encodings: readonly Encoding[], capacity: number): number[] => {
  if (encodings.length === 1) return [capacity]
  const lengths = encodings.map((encoding) => encoding.length)
  const shorter = lengths[0] > lengths[1] ? 1 : 0
  const least = lengths[shorter]
  let shares = least > capacity ? [least, least] : [least, Math.max(least, capacity - least)]
  if (shares[0] + shares[1] > capacity) {
    const half = Math.floor(capacity / 2)
    shares = [half, half + (capacity % 2)]
  }
  return shorter === 0 ? shares : [shares[1], shares[0]]
}
