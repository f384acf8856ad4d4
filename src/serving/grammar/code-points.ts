// Sets of characters as ranges of code points, and as the bytes by which a string in JSON has them.
import { choice, literal, type Node, oneOf, sequence } from './nodes.ts'

/** A set of code points: ranges `[first, last]` in order, none of which touch. */
export type CodePoints = readonly (readonly [number, number])[]

const last = 0x10ffff

/** All characters: every code point but halves of surrogate pairs. */
export const everyCharacter: CodePoints = [
  [0, 0xd7ff],
  [0xe000, last],
]

/** The union of ranges in any order. */
export const unionOf = (ranges: CodePoints): CodePoints => {
  const merged: [number, number][] = []
  for (const [from, to] of ranges.toSorted((a, b) => a[0] - b[0])) {
    const before = merged.at(-1)
    if (before !== undefined && from <= before[1] + 1) before[1] = Math.max(before[1], to)
    else merged.push([from, to])
  }
  return merged
}

/** What two sets have in common. */
export const commonOf = (one: CodePoints, other: CodePoints): CodePoints =>
  unionOf(
    one.flatMap(([from, to]) =>
      other.flatMap(([low, high]): [number, number][] =>
        low <= to && from <= high ? [[Math.max(from, low), Math.min(to, high)]] : [],
      ),
    ),
  )

/** All characters that are not in a set. */
export const othersThan = (set: CodePoints): CodePoints => {
  const gaps: [number, number][] = []
  let next = 0
  for (const [from, to] of set) {
    if (from > next) gaps.push([next, from - 1])
    next = to + 1
  }
  if (next <= last) gaps.push([next, last])
  return commonOf(gaps, everyCharacter)
}

/** The set of a text's characters. */
export const charactersOf = (text: string): CodePoints =>
  unionOf([...text].map((one): [number, number] => [one.codePointAt(0) as number, one.codePointAt(0) as number]))

export const includes = (set: CodePoints, point: number): boolean =>
  set.some(([from, to]) => from <= point && point <= to)

/** Ends of the code points with 1, 2, 3 and 4 bytes in UTF-8. */
const ends = [0x7f, 0x7ff, 0xffff, last]

/** The bytes of a range of code points of equal length in UTF-8: those of the first and of the last one. */
const bytesBetween = (low: readonly number[], high: readonly number[]): Node => {
  const [from, to] = [low[0], high[0]]
  if (low.length === 1) return oneOf([from, to])
  const [lowRest, highRest] = [low.slice(1), high.slice(1)]
  if (from === to) return sequence(oneOf([from, from]), bytesBetween(lowRest, highRest))
  const [least, most] = [lowRest.map(() => 0x80), lowRest.map(() => 0xbf)]
  return choice(
    sequence(oneOf([from, from]), bytesBetween(lowRest, most)),
    ...(from + 1 < to ? [sequence(oneOf([from + 1, to - 1]), bytesBetween(least, most))] : []),
    sequence(oneOf([to, to]), bytesBetween(least, highRest)),
  )
}

const utf8 = (point: number): number[] => [...Buffer.from(String.fromCodePoint(point), 'utf8')]

/** One character of a set within a string in JSON. Quotes, backslashes and control characters are escaped. */
export const characterNode = (set: CodePoints): Node => {
  const parts: Node[] = []
  const single: [number, number][] = []
  for (const [from, to] of set)
    for (const [i, end] of ends.entries()) {
      const [low, high] = [Math.max(from, i === 0 ? 0 : ends[i - 1] + 1), Math.min(to, end)]
      if (low > high) continue
      if (i > 0) parts.push(bytesBetween(utf8(low), utf8(high)))
      else
        for (let point = low; point <= high; point++) {
          const written = JSON.stringify(String.fromCodePoint(point)).slice(1, -1)
          if (written.length === 1) single.push([point, point])
          else parts.push(literal(written))
        }
    }
  if (single.length > 0) parts.push(oneOf(...single))
  return choice(...parts)
}
