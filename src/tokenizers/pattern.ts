// The patterns of tokenizer files: a string or a regular expression, with limits on the time of matching and on the
// length of replaced text. Independent of normalizers and pre-tokenizers.
import { DataError } from '../core/index.ts'
import { type Fields, isObject, throwInvalid } from './fields.ts'
import { compileRegex, literalRegex } from './oniguruma.ts'
import { replaceSpans, type Span } from './text.ts'
import { isTimeout, runPureWithTimeLimit } from './time-limit.ts'

// Patterns of published tokenizers backtrack very little, whatever their form: they take nanoseconds per character.
const BASE_MS = 1000
const MS_PER_UNIT = 0.02

// Unicode normalization expands a single character to at most 18.
const MAX_FACTOR = 32
const ALWAYS_ALLOWED = 1 << 20
const NEVER_ALLOWED = 1 << 27

/** Maximum length to which a text of `length` UTF-16 units may be expanded: a chain of replacements can double it at every step. */
export const maxExpandedLength = (length: number): number =>
  Math.max(ALWAYS_ALLOWED, Math.min(MAX_FACTOR * length, Math.max(NEVER_ALLOWED, 2 * length)))

/** Throws DataError if a text is expanded beyond the limit by the component at `where`. */
export const checkExpansion = (length: number, expanded: number, where: string): void => {
  const limit = maxExpandedLength(length)
  if (expanded > limit)
    throw new DataError(
      `\`${where}\` expands a text of ${length} characters to more than ${limit}: use another tokenizer file.`,
    )
}

/** All matches of a global regular expression, from left to right; an empty text has none. */
export const matches = (regex: RegExp, text: string): Span[] => {
  const spans: Span[] = []
  if (text === '') return spans
  for (const match of text.matchAll(regex)) spans.push([match.index, match.index + match[0].length])
  return spans
}

/** A pattern of a tokenizer file. */
export class Pattern {
  /** The pattern as a global regular expression. Matching it directly has no time limit. */
  readonly regex: RegExp
  /** The pattern as written in the file. */
  readonly source: string
  /** True for a string to match, false for a regular expression. */
  readonly isLiteral: boolean
  /** True if matching may take more than linear time, so that it needs a time limit. */
  readonly needsTimeLimit: boolean
  readonly #where: string

  /** @throws DataError for a regular expression that cannot be translated */
  constructor(source: string, { isLiteral, where }: { isLiteral: boolean; where: string }) {
    const { regex, needsTimeLimit } = isLiteral
      ? { regex: literalRegex(source), needsTimeLimit: false }
      : compileRegex(source, where)
    this.regex = regex
    this.source = source
    this.isLiteral = isLiteral
    this.needsTimeLimit = needsTimeLimit
    this.#where = where
  }

  /** All matches, from left to right. Throws DataError if the time limit is exceeded. */
  matches(text: string): Span[] {
    return this.#limited(text, () => matches(this.regex, text))
  }

  /** Replaces all matches by `content`. Throws DataError if the time limit or the limit on expansion is exceeded. */
  replace(text: string, content: string): string {
    if (text === '') return text
    const limit = maxExpandedLength(text.length)
    return this.#limited(text, () => {
      let length = text.length
      return text.replace(this.regex, (match) => {
        length += content.length - match.length
        if (length > limit) checkExpansion(text.length, length, this.#where)
        return content
      })
    })
  }

  /** The matches to replace by `content`. Throws DataError like `replace`. */
  matchesToReplace(text: string, content: string): Span[] {
    const spans = this.matches(text)
    const removed = spans.reduce((sum, [start, end]) => sum + end - start, 0)
    checkExpansion(text.length, text.length - removed + spans.length * content.length, this.#where)
    return spans
  }

  #limited<T>(text: string, work: () => T): T {
    if (!this.needsTimeLimit) return work()
    const timeoutMs = BASE_MS + MS_PER_UNIT * text.length
    try {
      return runPureWithTimeLimit(work, timeoutMs)
    } catch (error) {
      if (!isTimeout(error)) throw error
      const shown = this.source.length > 60 ? `${this.source.slice(0, 57)}...` : this.source
      throw new DataError(
        `The regular expression ${JSON.stringify(shown)} of \`${this.#where}\` takes more than ${(timeoutMs / 1000).toFixed(1)} s on a text of ${text.length} characters: use another tokenizer file.`,
      )
    }
  }
}

/** Reads `{ "String": … }` or `{ "Regex": … }`. Throws DataError. */
export const readPattern = (fields: Fields, key: string): Pattern => {
  const value = fields.get(key)
  const where = fields.at(key)
  if (isObject(value)) {
    if (typeof value.String === 'string') {
      if (/\p{Cs}/u.test(value.String)) throwInvalid('a string without lone surrogates', where, value.String)
      return new Pattern(value.String, { isLiteral: true, where })
    }
    if (typeof value.Regex === 'string') return new Pattern(value.Regex, { isLiteral: false, where })
  }
  return throwInvalid('a "String" or a "Regex"', where, value)
}

/** Replaces all matches in text that is already split into tokens. Throws DataError like `Pattern.replace`. */
export const replaceInTokens = (pattern: Pattern, tokens: readonly string[], content: string): string[] =>
  tokens.map((token) => replaceSpans(token, pattern.matchesToReplace(token, content), content))
