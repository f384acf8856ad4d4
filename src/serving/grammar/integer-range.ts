// Integers between two bounds as a grammar of digits.
import { choice, literal, type Node, nothing, oneOf, repeat, sequence } from './nodes.ts'

const code = (digit: string): number => digit.charCodeAt(0)
const digitsBetween = (low: string, high: string): Node => oneOf([code(low), code(high)])
const next = (digit: string, by: number): string => String(Number(digit) + by)

/** Texts of digits between two of the same length. */
const sameLength = (low: string, high: string): Node => {
  if (low === '') return nothing
  const [least, most] = [low[0], high[0]]
  const [lowRest, highRest] = [low.slice(1), high.slice(1)]
  if (least === most) return sequence(literal(least), sameLength(lowRest, highRest))
  const [zeros, nines] = ['0', '9'].map((digit) => digit.repeat(lowRest.length))
  const free = repeat(digitsBetween('0', '9'), lowRest.length, lowRest.length)
  // The first digits after which all others are free.
  const [from, to] = [lowRest === zeros ? least : next(least, 1), highRest === nines ? most : next(most, -1)]
  return choice(
    ...(from === least ? [] : [sequence(literal(least), sameLength(lowRest, nines))]),
    ...(from <= to ? [sequence(digitsBetween(from, to), free)] : []),
    ...(to === most ? [] : [sequence(literal(most), sameLength(zeros, highRest))]),
  )
}

/** Numbers from `low` (0 or more) to `high`, without zeros in front. */
const natural = (low: number, high: number): Node => {
  const lengths = [String(low).length, String(high).length]
  const parts: Node[] = []
  for (let length = lengths[0]; length <= lengths[1]; length++) {
    const least = Math.max(low, length === 1 ? 0 : 10 ** (length - 1))
    parts.push(sameLength(String(least), String(Math.min(high, 10 ** length - 1))))
  }
  return choice(...parts)
}

/** The integers from `low` to `high`, both included and of at most 15 digits. */
export const integersBetween = (low: number, high: number): Node =>
  choice(
    ...(low < 0 ? [sequence(literal('-'), natural(Math.max(1, -high), -low))] : []),
    ...(high >= 0 ? [natural(Math.max(0, low), high)] : []),
  )
