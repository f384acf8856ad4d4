// Shares out a maximum length between one or two sequences. It knows no tokenizer.
import { ConfigError } from '../core/index.ts'
import type { Encoding, Side } from './encoding.ts'

export const STRATEGIES = ['longest_first', 'only_first', 'only_second'] as const
export type Strategy = (typeof STRATEGIES)[number]

export interface Truncation {
  /** Of the whole result, special tokens included. */
  maxLength: number
  strategy?: Strategy
  /** How many tokens two neighbouring windows share. */
  stride?: number
  /** The side that is cut off. */
  side?: Side
}

/** Truncates encodings to what `added` special tokens leave of the maximum length. */
export const truncate = (encodings: readonly Encoding[], truncation: Truncation, added: number): Encoding[] => {
  const { maxLength, strategy = 'longest_first', stride = 0, side = 'right' } = truncation
  if (!Number.isInteger(maxLength) || maxLength < 0 || !Number.isInteger(stride) || stride < 0)
    throw new ConfigError(`Expected whole numbers for \`truncation\`, got maxLength ${maxLength} and stride ${stride}.`)
  const room = maxLength - added
  if (room < 0)
    throw new ConfigError(
      `Expected room for ${added} special tokens for \`truncation.maxLength\`, got ${maxLength}. Raise it.`,
    )
  const cut = (encoding: Encoding, length: number) => encoding.truncated(length, stride, side)
  if (room === 0) return encodings.map((encoding) => cut(encoding, 0))
  const total = encodings.reduce((sum, encoding) => sum + encoding.length, 0)
  if (total <= room) return [...encodings]
  if (strategy === 'longest_first') return longestFirst(encodings, room).map((length, i) => cut(encodings[i], length))
  const target = strategy === 'only_first' ? 0 : 1
  if (target >= encodings.length)
    throw new ConfigError('Expected a second sequence for `truncation.strategy` only_second, got one. Pass `pair`.')
  const rest = encodings[target].length - (total - room)
  if (rest <= 0)
    throw new ConfigError(
      `Expected a sequence that can be cut to ${maxLength} tokens for \`truncation.strategy\` ${strategy}, got too long a partner. Use longest_first.`,
    )
  return encodings.map((encoding, i) => (i === target ? cut(encoding, rest) : encoding))
}

/** The shorter of two keeps its length as long as it leaves the other at least as much. */
const longestFirst = (encodings: readonly Encoding[], room: number): number[] => {
  if (encodings.length === 1) return [room]
  const lengths = encodings.map((encoding) => encoding.length)
  const shorter = lengths[0] > lengths[1] ? 1 : 0
  const least = lengths[shorter]
  let shares = least > room ? [least, least] : [least, Math.max(least, room - least)]
  if (shares[0] + shares[1] > room) {
    const half = Math.floor(room / 2)
    shares = [half, half + (room % 2)]
  }
  return shorter === 0 ? shares : [shares[1], shares[0]]
}
