// Regular expressions of ECMAScript, which JSON schemas take, as trees and as languages. What is no regular language is refused by name. A
// part with assertions is read together with all that follows it, up to the end of the text: then a lookahead is an intersection, and the
// end of the text the empty rest.
import { ConfigError, show } from '../../core/index.ts'
import type { Automaton } from './automaton.ts'
import {
  type CodePoints,
  charactersOf,
  commonOf,
  everyCharacter,
  type Language,
  type Languages,
  othersThan,
  unionOf,
} from './languages.ts'

/** A part of a regular expression. */
type Pattern =
  | { kind: 'characters'; set: CodePoints }
  | { kind: 'sequence' | 'any'; parts: readonly Pattern[] }
  | { kind: 'repeat'; part: Pattern; min: number; max: number }
  | { kind: 'look'; part: Pattern; isNegative: boolean }
  | { kind: 'start' | 'end' }

const digits: CodePoints = [[0x30, 0x39]]
const wordCharacters = unionOf([...digits, [0x41, 0x5a], [0x5f, 0x5f], [0x61, 0x7a]])
const lineEnds = charactersOf('\n\r\u2028\u2029')
const spaces = unionOf([
  ...charactersOf('\t\n\v\f\r \u00a0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff'),
  [0x2000, 0x200a] as const,
])
const classes: Readonly<Record<string, CodePoints>> = {
  d: digits,
  D: othersThan(digits),
  w: wordCharacters,
  W: othersThan(wordCharacters),
  s: spaces,
  S: othersThan(spaces),
}
const controls: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', v: '\v', f: '\f', 0: '\0' }
const mostRepeated = 10_000

/** Properties that were read: there are some hundreds in all. */
const properties = new Map<string, CodePoints>()

/** Every character once, in order: in one text the engine finds those of a property much faster than one by one. */
const everyText = (): string => {
  const parts: string[] = []
  for (const [from, to] of everyCharacter)
    for (let first = from; first <= to; first += 4096)
      parts.push(String.fromCodePoint(...Array.from({ length: Math.min(4096, to - first + 1) }, (_, i) => first + i)))
  return parts.join('')
}
let characters: string | undefined

/** The characters of a Unicode property, as the engine knows it. */
const propertyOf = (property: string): CodePoints => {
  const known = properties.get(property)
  if (known !== undefined) return known
  characters ??= everyText()
  const found: [number, number][] = []
  for (const { 0: run, index } of characters.matchAll(new RegExp(`${property}+`, 'gu'))) {
    const first = characters.codePointAt(index) as number
    // The last character may be a pair of code units; the low one alone is no character here.
    const last = run.codePointAt(run.length - 2) as number
    found.push([first, last > 0xffff ? last : run.charCodeAt(run.length - 1)])
  }
  const set = commonOf(found, everyCharacter)
  properties.set(property, set)
  return set
}

/** Reads one regular expression, whose syntax the engine has checked. */
class Reader {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  /** Alternatives up to a closing bracket or the end. */
  alternatives(): Pattern {
    const parts = [this.#sequence()]
    while (this.#take('|')) parts.push(this.#sequence())
    return parts.length === 1 ? parts[0] : { kind: 'any', parts }
  }

  #take(text: string): boolean {
    if (!this.#text.startsWith(text, this.#at)) return false
    this.#at += text.length
    return true
  }

  #match(form: RegExp): RegExpExecArray | undefined {
    form.lastIndex = this.#at
    const found = form.exec(this.#text)
    if (found === null) return undefined
    this.#at += found[0].length
    return found
  }

  #character(): string {
    const character = String.fromCodePoint(this.#text.codePointAt(this.#at) as number)
    this.#at += character.length
    return character
  }

  #sequence(): Pattern {
    const parts: Pattern[] = []
    while (this.#at < this.#text.length && !/[|)]/.test(this.#text[this.#at])) parts.push(this.#repeated(this.#one()))
    return parts.length === 1 ? parts[0] : { kind: 'sequence', parts }
  }

  #repeated(part: Pattern): Pattern {
    const found = this.#match(/(?:([*+?])|\{(\d+)(,)?(\d*)\})\??/y)
    if (found === undefined) return part
    const [, sign, least, comma, most] = found
    const min = sign === undefined ? Number(least) : sign === '+' ? 1 : 0
    const open = sign === undefined ? comma !== undefined && most === '' : sign !== '?'
    const max = open ? Number.POSITIVE_INFINITY : sign === '?' ? 1 : comma === undefined ? min : Number(most)
    if (min > mostRepeated || (max > mostRepeated && max < Number.POSITIVE_INFINITY))
      throw new ConfigError(`it repeats a part more than ${mostRepeated} times. Lower the number.`)
    return { kind: 'repeat', part, min, max }
  }

  #one(): Pattern {
    if (this.#take('^')) return { kind: 'start' }
    if (this.#take('$')) return { kind: 'end' }
    if (this.#take('.')) return { kind: 'characters', set: othersThan(lineEnds) }
    if (this.#take('(')) return this.#group()
    if (this.#take('[')) return { kind: 'characters', set: this.#class() }
    if (this.#take('\\')) return { kind: 'characters', set: this.#escape() }
    return { kind: 'characters', set: charactersOf(this.#character()) }
  }

  #group(): Pattern {
    const look = this.#match(/\?[=!]/y)?.[0]
    if (look === undefined && this.#match(/\?(?::|<(?![=!])[^>]*>)/y) === undefined && this.#take('?'))
      throw new ConfigError(
        `it has ${show(`(?${this.#text.slice(this.#at, this.#at + 2)}`)}, which a grammar cannot hold. Write it without.`,
      )
    const part = this.alternatives()
    this.#take(')')
    return look === undefined ? part : { kind: 'look', part, isNegative: look === '?!' }
  }

  #class(): CodePoints {
    const isNegated = this.#take('^')
    const ranges: (readonly [number, number])[] = []
    while (!this.#take(']')) {
      const first = this.#classMember()
      const isRange = first.length === 1 && first[0][0] === first[0][1] && this.#match(/-(?!\])/y) !== undefined
      if (isRange) ranges.push([first[0][0], this.#classMember()[0][1]])
      else ranges.push(...first)
    }
    const set = commonOf(unionOf(ranges), everyCharacter)
    return isNegated ? othersThan(set) : set
  }

  #classMember(): CodePoints {
    if (!this.#take('\\')) return charactersOf(this.#character())
    return this.#take('b') ? charactersOf('\b') : this.#escape()
  }

  #escape(): CodePoints {
    const code = this.#match(/x([\da-fA-F]{2})|u([\da-fA-F]{4})|u\{([\da-fA-F]+)\}/y)
    if (code !== undefined) return this.#codePoint(Number.parseInt(code[1] ?? code[2] ?? code[3], 16))
    const property = this.#match(/[pP]\{[^}]*\}/y)
    if (property !== undefined) return propertyOf(`\\${property[0]}`)
    const control = this.#match(/c([a-zA-Z])/y)
    if (control !== undefined) return charactersOf(String.fromCodePoint(control[1].charCodeAt(0) % 32))
    const character = this.#character()
    if (classes[character] !== undefined) return classes[character]
    if (controls[character] !== undefined && !/^\d/.test(this.#text.slice(this.#at)))
      return charactersOf(controls[character])
    if (!/[a-zA-Z\d]/.test(character)) return charactersOf(character)
    throw new ConfigError(
      `it has ${show(`\\${character}`)}, ${/\d|k/.test(character) ? 'a reference to a group, ' : ''}which a grammar cannot hold. Write it without.`,
    )
  }

  /** A surrogate pair is one character. */
  #codePoint(point: number): CodePoints {
    if (point < 0xd800 || point > 0xdfff) return [[point, point]]
    const low = point < 0xdc00 ? this.#match(/\\u([dD][c-fC-F][\da-fA-F]{2})/y) : undefined
    if (low === undefined)
      throw new ConfigError('it has half of a surrogate pair, which no text has. Write characters.')
    const whole = 0x10000 + (point - 0xd800) * 0x400 + (Number.parseInt(low[1], 16) - 0xdc00)
    return [[whole, whole]]
  }
}

const isExpression = (text: string, flags: string): boolean => {
  try {
    new RegExp(text, flags)
    return true
  } catch {
    return false
  }
}

/** @throws ConfigError, without the place in a schema, for a text that is no regular expression, or is beyond grammars */
const parsePattern = (text: string): Pattern => {
  if (!isExpression(text, 'u') && !isExpression(text, ''))
    throw new ConfigError('it is no regular expression of ECMAScript. Correct it.')
  return new Reader(text).alternatives()
}

/** Whether a place is the start of the text; undefined where it is for some texts only. */
type AtStart = boolean | undefined

const mostUnrolled = 64

const hasAssertion = (pattern: Pattern): boolean => {
  switch (pattern.kind) {
    case 'characters':
      return false
    case 'sequence':
    case 'any':
      return pattern.parts.some(hasAssertion)
    case 'repeat':
      return hasAssertion(pattern.part)
    default:
      return true
  }
}

/** The fewest characters of a part, and whether it never has any. */
const lengthOf = (pattern: Pattern): { min: number; isEmpty: boolean } => {
  switch (pattern.kind) {
    case 'characters':
      return { min: 1, isEmpty: false }
    case 'sequence': {
      const parts = pattern.parts.map(lengthOf)
      return { min: parts.reduce((sum, { min }) => sum + min, 0), isEmpty: parts.every(({ isEmpty }) => isEmpty) }
    }
    case 'any': {
      const parts = pattern.parts.map(lengthOf)
      return { min: Math.min(...parts.map(({ min }) => min)), isEmpty: parts.every(({ isEmpty }) => isEmpty) }
    }
    case 'repeat': {
      const { min, isEmpty } = lengthOf(pattern.part)
      return { min: min * pattern.min, isEmpty: isEmpty || pattern.max === 0 }
    }
    default:
      return { min: 0, isEmpty: true }
  }
}

const startAfter = (pattern: Pattern, atStart: AtStart): AtStart => {
  const { min, isEmpty } = lengthOf(pattern)
  if (isEmpty) return atStart
  return min > 0 || atStart === false ? false : undefined
}

class Compiler {
  readonly #languages: Languages

  constructor(languages: Languages) {
    this.#languages = languages
  }

  /** Texts in which a part of the text matches anywhere. */
  search(pattern: Pattern): Language {
    const { every } = this.#languages
    const later = this.#withRest(pattern, every, false)
    const before = this.#languages.repeat(this.#languages.characters(everyCharacter), 1)
    return this.#languages.any(this.#withRest(pattern, every, true), this.#languages.sequence(before, later))
  }

  /** A part with what follows it. */
  #withRest(pattern: Pattern, rest: Language, atStart: AtStart): Language {
    const languages = this.#languages
    languages.effort.spend()
    switch (pattern.kind) {
      case 'characters':
        return languages.sequence(languages.characters(pattern.set), rest)
      case 'sequence': {
        const starts: AtStart[] = [atStart]
        for (const part of pattern.parts) starts.push(startAfter(part, starts.at(-1)))
        return pattern.parts.reduceRight((after, part, i) => this.#withRest(part, after, starts[i]), rest)
      }
      case 'any':
        return languages.any(...pattern.parts.map((part) => this.#withRest(part, rest, atStart)))
      case 'repeat':
        return this.#repeated(pattern, rest, atStart)
      case 'look': {
        const ahead = this.#withRest(pattern.part, languages.every, atStart)
        return languages.all(pattern.isNegative ? languages.not(ahead) : ahead, rest)
      }
      case 'end':
        return rest.hasEmpty ? languages.empty : languages.none
      case 'start':
        if (atStart === undefined)
          throw new ConfigError('it has `^` after a part that may be empty, which is not supported. Write it in front.')
        return atStart ? rest : languages.none
    }
  }

  #repeated(pattern: Extract<Pattern, { kind: 'repeat' }>, rest: Language, atStart: AtStart): Language {
    const { part, min, max } = pattern
    const languages = this.#languages
    if (!hasAssertion(part)) {
      const one = this.#withRest(part, languages.empty, atStart)
      return languages.sequence(languages.repeat(one, min, max), rest)
    }
    if (max > mostUnrolled)
      throw new ConfigError(
        `it repeats a part with an assertion more than ${mostUnrolled} times, which is not supported. Write the assertion outside.`,
      )
    let whole = rest
    for (let count = max; count > 0; count--) {
      const more = this.#withRest(part, whole, count === 1 ? atStart : startAfter(part, atStart))
      whole = count > min ? languages.any(rest, more) : more
    }
    return whole
  }
}

/** Texts in which a regular expression matches. @throws ConfigError, without the place in a schema, for one that cannot be held */
export const patternLanguage = (languages: Languages, pattern: string): Language =>
  new Compiler(languages).search(parsePattern(pattern))

export const languageAutomaton = (languages: Languages, start: Language): Automaton<Language> => ({
  start,
  keyOf: ({ id }) => id,
  accepts: ({ hasEmpty }) => hasEmpty,
  steps(state) {
    const sets = new Map<Language, [number, number][]>()
    const cuts = [...languages.cuts(state)]
    for (const [from, to] of everyCharacter) {
      const inside = cuts.filter((cut) => cut > from && cut <= to)
      for (const [i, first] of [from, ...inside].entries()) {
        languages.effort.spend()
        const after = languages.after(state, first)
        if (after === languages.none) continue
        const set = sets.get(after) ?? []
        const before = set.at(-1)
        const last = inside[i] === undefined ? to : inside[i] - 1
        if (before !== undefined && before[1] === first - 1) before[1] = last
        else set.push([first, last])
        sets.set(after, set)
      }
    }
    return [...sets].map(([after, set]): [CodePoints, Language] => [set, after])
  },
})
