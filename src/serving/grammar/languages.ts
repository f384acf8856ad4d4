// Sets of texts as expressions, read character by character by Brzozowski's derivatives (J. ACM 11(4), 1964): what may follow
// a character is an expression again. Unlike regular expressions they have intersections and complements. Equal expressions
// are one object, so that those that can follow are few.

import { ConfigError } from '../../core/index.ts'
import { choice, compilingEffort, literal, type Node, oneOf, sequence } from './nodes.ts'

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

const includes = (set: CodePoints, point: number): boolean => set.some(([from, to]) => from <= point && point <= to)

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

/** A set of texts. */
export interface Language {
  readonly id: number
  readonly shape: Shape
  /** Whether the empty text is one of its texts. */
  readonly hasEmpty: boolean
}

type Shape =
  | { kind: 'characters'; set: CodePoints }
  | { kind: 'empty' }
  | { kind: 'sequence'; first: Language; rest: Language }
  | { kind: 'any' | 'all'; parts: readonly Language[] }
  | { kind: 'not'; part: Language }
  | { kind: 'repeat'; part: Language; min: number; max: number }

const maxLanguages = 100_000

const hasEmpty = (shape: Shape): boolean => {
  switch (shape.kind) {
    case 'characters':
      return false
    case 'empty':
      return true
    case 'sequence':
      return shape.first.hasEmpty && shape.rest.hasEmpty
    case 'any':
      return shape.parts.some((part) => part.hasEmpty)
    case 'all':
      return shape.parts.every((part) => part.hasEmpty)
    case 'not':
      return !shape.part.hasEmpty
    case 'repeat':
      return shape.min === 0
  }
}

const keyOf = (shape: Shape): string => {
  switch (shape.kind) {
    case 'characters':
      return `c${shape.set.join(';')}`
    case 'empty':
      return 'e'
    case 'sequence':
      return `s${shape.first.id},${shape.rest.id}`
    case 'any':
    case 'all':
      return `${shape.kind}${shape.parts.map(({ id }) => id).join()}`
    case 'not':
      return `n${shape.part.id}`
    case 'repeat':
      return `r${shape.part.id},${shape.min},${shape.max}`
  }
}

/** Makes and reads languages. */
export class Languages {
  readonly effort = compilingEffort()
  readonly #known = new Map<string, Language>()
  readonly #cuts = new Map<Language, readonly number[]>()
  readonly #after = new Map<string, Language>()
  /** No text. */
  readonly none = this.characters([])
  /** The empty text alone. */
  readonly empty = this.#make({ kind: 'empty' })
  /** Every text. */
  readonly every = this.repeat(this.characters(everyCharacter))

  /** @throws ConfigError where there are too many, or they take too long */
  #make(shape: Shape): Language {
    this.effort.spend('parts' in shape ? shape.parts.length : 'set' in shape ? shape.set.length : 1)
    const key = keyOf(shape)
    const known = this.#known.get(key)
    if (known !== undefined) return known
    if (this.#known.size >= maxLanguages)
      throw new ConfigError('a pattern is too complex: it has too many states. Shorten it.')
    const made = { id: this.#known.size, shape, hasEmpty: hasEmpty(shape) }
    this.#known.set(key, made)
    return made
  }

  characters(set: CodePoints): Language {
    return this.#make({ kind: 'characters', set })
  }

  sequence(first: Language, rest: Language): Language {
    if (first === this.none || rest === this.none) return this.none
    if (first === this.empty) return rest
    if (rest === this.empty) return first
    if (first === this.every && rest.shape.kind === 'sequence' && rest.shape.first === this.every) return rest
    if (first === this.every && rest === this.every) return rest
    const { shape } = first
    if (shape.kind === 'sequence') return this.sequence(shape.first, this.sequence(shape.rest, rest))
    return this.#make({ kind: 'sequence', first, rest })
  }

  repeat(part: Language, min = 0, max = Number.POSITIVE_INFINITY): Language {
    if (max === 0 || part === this.empty) return this.empty
    if (part === this.none) return min === 0 ? this.empty : this.none
    if (min === 1 && max === 1) return part
    const { shape } = part
    if (shape.kind === 'repeat' && shape.min === 0 && shape.max === Number.POSITIVE_INFINITY) return part
    return this.#make({ kind: 'repeat', part, min: part.hasEmpty ? 0 : min, max })
  }

  /** Texts of any of the languages. */
  any(...given: readonly Language[]): Language {
    const parts = this.#flat('any', given)
    if (parts.has(this.every)) return this.every
    const sets = [...parts].flatMap(({ shape }) => (shape.kind === 'characters' ? [...shape.set] : []))
    const others = [...parts].filter(({ shape }) => shape.kind !== 'characters')
    if (sets.length > 0) others.push(this.characters(unionOf(sets)))
    return this.#combined('any', others, this.none)
  }

  /** Texts of all of the languages. */
  all(...given: readonly Language[]): Language {
    const parts = this.#flat('all', given)
    parts.delete(this.every)
    if (parts.has(this.none)) return this.none
    if (parts.has(this.empty)) return [...parts].every((part) => part.hasEmpty) ? this.empty : this.none
    return this.#combined('all', [...parts], this.every)
  }

  /** All other texts. */
  not(part: Language): Language {
    if (part === this.none) return this.every
    if (part === this.every) return this.none
    return part.shape.kind === 'not' ? part.shape.part : this.#make({ kind: 'not', part })
  }

  #flat(kind: 'any' | 'all', given: readonly Language[]): Set<Language> {
    return new Set(given.flatMap((one) => (one.shape.kind === kind ? one.shape.parts : [one])))
  }

  #combined(kind: 'any' | 'all', parts: readonly Language[], without: Language): Language {
    if (parts.length <= 1) return parts[0] ?? without
    return this.#make({ kind, parts: parts.toSorted((a, b) => a.id - b.id) })
  }

  /** Code points at which what follows may change, in order: from one to the next it is the same. */
  cuts(of: Language): readonly number[] {
    const known = this.#cuts.get(of)
    if (known !== undefined) return known
    const found = [...new Set(this.#findCuts(of))].sort((a, b) => a - b)
    this.effort.spend(found.length)
    this.#cuts.set(of, found)
    return found
  }

  #findCuts({ shape }: Language): readonly number[] {
    switch (shape.kind) {
      case 'characters':
        return shape.set.flatMap(([from, to]) => [from, to + 1])
      case 'empty':
        return []
      case 'sequence':
        return [...this.cuts(shape.first), ...(shape.first.hasEmpty ? this.cuts(shape.rest) : [])]
      case 'any':
      case 'all':
        return shape.parts.flatMap((part) => this.cuts(part))
      default:
        return this.cuts(shape.part)
    }
  }

  /** What may follow a character. */
  after(of: Language, point: number): Language {
    const key = `${of.id},${point}`
    const known = this.#after.get(key)
    if (known !== undefined) return known
    this.effort.spend()
    const found = this.#findAfter(of, point)
    this.#after.set(key, found)
    return found
  }

  #findAfter({ shape }: Language, point: number): Language {
    switch (shape.kind) {
      case 'characters':
        return includes(shape.set, point) ? this.empty : this.none
      case 'empty':
        return this.none
      case 'sequence': {
        const { first, rest } = shape
        const inFirst = this.sequence(this.after(first, point), rest)
        return first.hasEmpty ? this.any(inFirst, this.after(rest, point)) : inFirst
      }
      case 'any':
        return this.any(...shape.parts.map((part) => this.after(part, point)))
      case 'all':
        return this.all(...shape.parts.map((part) => this.after(part, point)))
      case 'not':
        return this.not(this.after(shape.part, point))
      case 'repeat': {
        const { part, min, max } = shape
        return this.sequence(this.after(part, point), this.repeat(part, Math.max(0, min - 1), max - 1))
      }
    }
  }
}
