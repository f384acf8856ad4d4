// Strings of JSON schemas: any text of a length, or texts of patterns and formats.
import { ConfigError, show } from '../../core/index.ts'
import { automatonNode } from './automaton.ts'
import { everyCharacter } from './code-points.ts'
import { formatPatterns, impliedPatterns } from './formats.ts'
import type { Language, Languages } from './languages.ts'
import { anyOf, choice, literal, type Node, oneOf, repeat, sequence } from './nodes.ts'
import { languageAutomaton, patternLanguage } from './patterns.ts'
import { countOf, type Schema } from './schema.ts'

/** Keywords of strings. */
export const stringKeywords = ['minLength', 'maxLength', 'pattern', 'format', 'contentEncoding']

const hex = choice(oneOf([0x30, 0x39]), oneOf([0x41, 0x46], [0x61, 0x66]))
const tail = oneOf([0x80, 0xbf])
/** One character of a string: an ASCII character, an escape, or a whole UTF-8 sequence. */
const character = choice(
  oneOf([0x20, 0x21], [0x23, 0x5b], [0x5d, 0x7f]),
  sequence(
    literal('\\'),
    choice(
      anyOf('"\\/bfnrt'),
      // No halves of surrogate pairs.
      sequence(
        literal('u'),
        choice(
          sequence(choice(oneOf([0x30, 0x39]), anyOf('abcefABCEF')), hex, hex, hex),
          sequence(anyOf('dD'), oneOf([0x30, 0x37]), hex, hex),
        ),
      ),
    ),
  ),
  sequence(oneOf([0xc2, 0xdf]), tail),
  sequence(oneOf([0xe0, 0xe0]), oneOf([0xa0, 0xbf]), tail),
  sequence(oneOf([0xe1, 0xec], [0xee, 0xef]), tail, tail),
  sequence(oneOf([0xed, 0xed]), oneOf([0x80, 0x9f]), tail),
  sequence(oneOf([0xf0, 0xf0]), oneOf([0x90, 0xbf]), tail, tail),
  sequence(oneOf([0xf1, 0xf3]), tail, tail, tail),
  sequence(oneOf([0xf4, 0xf4]), oneOf([0x80, 0x8f]), tail, tail),
)
const quote = literal('"')
/** Any text within quotes, of so many characters. */
export const string = (min = 0, max = Number.POSITIVE_INFINITY): Node =>
  sequence(quote, repeat(character, min, max), quote)

/** A schema of strings with its name in errors. */
interface Condition {
  schema: Schema
  where: string
}

const namesOfFormats = Object.keys(formatPatterns).join(', ')

/** Adds the place in a schema to errors. */
const at = <Result>(where: string, make: () => Result): Result => {
  try {
    return make()
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    throw new ConfigError(`\`${where}\` is not supported: ${error.message}`)
  }
}

/** The strings of one document. They share their languages, so that the work of a document has a limit. */
export class StringGrammars {
  readonly #languages: Languages
  readonly #known = new Map<string, Node | undefined>()

  constructor(languages: Languages) {
    this.#languages = languages
  }

  /** The strings, in quotes, that follow all of the schemas. @throws ConfigError where there are none, or a grammar cannot hold them */
  of(conditions: readonly Condition[]): Node {
    const min = Math.max(...conditions.map(({ schema, where }) => countOf(schema, 'minLength', 0, where)))
    const most = Number.POSITIVE_INFINITY
    const max = Math.min(...conditions.map(({ schema, where }) => countOf(schema, 'maxLength', most, where)))
    const hasPattern = conditions.some(({ schema }) => schema.pattern !== undefined)
    const parts = conditions.flatMap((one) => this.#languagesOf(one, hasPattern))
    if (parts.length === 0) return string(min, max)
    const [{ where }] = conditions
    const texts = at(where, () => this.#textsOf(parts, min, max))
    if (texts !== undefined) return sequence(quote, texts, quote)
    throw new ConfigError(
      `No text follows all that \`${where}\` says: its lengths, patterns and formats exclude each other. Change one of them.`,
    )
  }

  #textsOf(parts: readonly Language[], min: number, max: number): Node | undefined {
    const languages = this.#languages
    const language = languages.all(...parts, languages.repeat(languages.characters(everyCharacter), min))
    const key = `${language.id},${max}`
    if (!this.#known.has(key))
      this.#known.set(key, automatonNode(languageAutomaton(languages, language), languages.effort, max))
    return this.#known.get(key)
  }

  /**
   * The languages of `pattern` and `format`. A format that JSON schemas do not know says nothing beside a pattern: zod names its
   * patterns so. With a pattern, `contentEncoding` says nothing either.
   */
  #languagesOf({ schema, where }: Condition, hasPattern: boolean): Language[] {
    const { pattern, format, contentEncoding } = schema
    for (const [key, value] of Object.entries({ pattern, format, contentEncoding }))
      if (value !== undefined && typeof value !== 'string')
        throw new ConfigError(`Expected a text for \`${where}.${key}\`, got ${show(value)}.`)
    const name = String(format)
    const known = Object.hasOwn(formatPatterns, name) ? formatPatterns[name] : undefined
    const other = known === undefined && format !== undefined ? 'format' : 'contentEncoding'
    if (schema[other] !== undefined && !hasPattern)
      throw new ConfigError(
        `\`${where}.${other}\` ${show(schema[other])} is not supported without \`pattern\`: describe the text by a pattern, or remove the keyword. Known formats are ${namesOfFormats}.`,
      )
    return [
      ...(typeof pattern === 'string' && pattern !== impliedPatterns[name]
        ? [this.#languageOf(pattern, `${where}.pattern`)]
        : []),
      ...(known === undefined ? [] : [this.#languageOf(known, `${where}.format`)]),
    ]
  }

  #languageOf(pattern: string, where: string): Language {
    return at(where, () => patternLanguage(this.#languages, pattern))
  }
}
