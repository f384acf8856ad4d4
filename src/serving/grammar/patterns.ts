// Regular expressions as languages. A part with assertions is read together with all that follows it, up to the end of the text:
// then a lookahead is an intersection, and the end of the text the empty rest.
import { ConfigError } from '../../core/index.ts'
import type { Automaton } from './automaton.ts'
import { type CodePoints, everyCharacter } from './code-points.ts'
import type { Language, Languages } from './languages.ts'
import { type Pattern, parsePattern } from './pattern-syntax.ts'

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

/** The automaton of a language. */
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
