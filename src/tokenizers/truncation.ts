// Truncates one or two sequences to a maximum length. Independent of the tokenizer.
import { ConfigError } from '../core/index.ts'
import type { Encoding, Side } from './encoding.ts'

/** Which sequence of a pair is truncated, named as in transformers. */
const STRATEGIES = ['longest_first', 'only_first', 'only_second'] as const
/** Which sequence of a pair is truncated. */
export type Strategy = (typeof STRATEGIES)[number]

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
