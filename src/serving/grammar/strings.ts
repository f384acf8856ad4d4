// Strings of JSON schemas: any text of a length, or texts of patterns and formats. Each text of a format's expression has the format by its
// standard, so that every validator takes it; where validators differ, the expression has what all of them take.
import { ConfigError, show } from '../../core/index.ts'
import { automatonNode } from './automaton.ts'
import { everyCharacter, type Language, type Languages } from './languages.ts'
import { anyOf, choice, literal, type Node, oneOf, repeat, sequence } from './nodes.ts'
import { languageAutomaton, patternLanguage } from './patterns.ts'

/** A JSON schema that is an object. */
export type Schema = Readonly<Record<string, unknown>>

export const isObject = (given: unknown): given is Schema =>
  typeof given === 'object' && given !== null && !Array.isArray(given)

/** The value of a keyword that is a length or a number of elements. @throws ConfigError for another value */
export const countOf = (schema: Schema, key: string, fallback: number, where: string): number => {
  const given = schema[key]
  if (given === undefined) return fallback
  if (typeof given === 'number' && Number.isInteger(given) && given >= 0 && given <= 100_000) return given
  throw new ConfigError(`Expected a whole number up to 100000 for \`${where}.${key}\`, got ${show(given)}.`)
}

const year = '(?!0000)\\d{4}'
const leapYear = '(?!0000)(?:\\d\\d[2468][048]|\\d\\d[13579][26]|\\d\\d0[48]|[02468][048]00|[13579][26]00)'
const day = {
  long: '(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])',
  short: '(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)',
  february: '02-(?:0[1-9]|1\\d|2[0-8])',
}
const date = `(?:${year}-(?:${day.long}|${day.short}|${day.february})|${leapYear}-02-29)`
const clock = '(?:[01]\\d|2[0-3]):[0-5]\\d'
const time = `${clock}:[0-5]\\d(?:\\.\\d{1,6})?(?:Z|[+-]${clock})`

/** Some units of a duration, each followed by the next smaller one or by none. */
const units = (letters: string): string =>
  [...letters]
    .map((_, i) => [...letters.slice(i)].reduceRight((after, unit) => `\\d{1,4}${unit}${after && `(?:${after})?`}`, ''))
    .join('|')
const duration = `P(?:\\d{1,4}W|T(?:${units('HMS')})|(?:${units('YMD')})(?:T(?:${units('HMS')}))?)`

const alphanumeric = '[A-Za-z0-9]'
/** No hyphens at the ends, nor in the third and fourth place, where they have a meaning (RFC 5891). @param max characters */
const label = (max: number): string => `(?!..--)${alphanumeric}(?:[A-Za-z0-9-]{0,${max - 2}}${alphanumeric})?`
/** Characters of a label at most (RFC 1035). */
const maxLabel = 63
const hostname = `(?:${label(maxLabel)}\\.){0,2}[A-Za-z]{1,20}`
/** Labels of subdomains are shorter, so that an address has at most 254 characters (RFC 5321). */
const domain = `(?:${label(40)}\\.){0,2}${label(maxLabel)}\\.[A-Za-z]{2,20}`
const email = `[A-Za-z0-9_+-]{1,20}(?:\\.[A-Za-z0-9_+-]{1,20}){0,2}@${domain}`
const path = "(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-F]{2})"
const authority = `//${hostname}(?::[1-9]\\d{0,3})?`
const folders = `(?:/${path}*)*`
/** Schemes whose URIs need a host, by the URL standard, then files, then all others, such as `mailto:`, `urn:` and `s3:`. */
const uriStarts = [
  `(?:https?|wss?|ftp):${authority}${folders}`,
  `file://(?:/${path}+)+`,
  `(?!(?:https?|wss?|ftp|file):)[a-z][a-z0-9+.-]{1,19}:(?:${authority}${folders}|${path}+${folders})`,
]
const uri = `(?:${uriStarts.join('|')})(?:\\?(?:${path}|/)*)?(?:#(?:${path}|/)*)?`

const byte = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)'
const group = '[0-9a-fA-F]{1,4}'
/** With `::` in place of one group or more, after some of them. */
const shortened = [0, 1, 2, 3, 4, 5, 6].map((before) => {
  const after = 6 - before
  const left = before === 0 ? '' : `${group}(?::${group}){${before - 1}}`
  return `${left}::${after === 0 ? '' : `(?:${group}(?::${group}){0,${after - 1}})?`}`
})
const ipv6 = [`${group}(?::${group}){7}`, ...shortened].join('|')
const uuid = (version: string): string =>
  `[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-${version}[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}`

/**
 * Patterns that zod writes beside a format, by its name: every text of the format follows them. To read both at once would count the
 * characters of each label and of all, which takes longer than a schema may.
 */
const impliedPatterns: Readonly<Record<string, string>> = {
  hostname:
    '^(?=.{1,253}\\.?$)[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\\.[a-zA-Z0-9](?:[-0-9a-zA-Z]{0,61}[0-9a-zA-Z])?)*\\.?$',
}

/** Regular expressions of whole texts, by the name of the format. */
export const formatPatterns: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries({
    date,
    time,
    'date-time': `${date}T${time}`,
    duration,
    email,
    hostname,
    uri,
    ipv4: `${byte}(?:\\.${byte}){3}`,
    ipv6,
    uuid: uuid('[1-8]'),
    uuid4: uuid('4'),
  }).map(([name, pattern]) => [name, `^(?:${pattern})$`]),
)

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
