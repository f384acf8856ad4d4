// The Replace normalizer: replaces the matches of a string or a regular expression.
import { type Fields, isObject, throwInvalid } from '../fields.ts'
import { literalRegex, translateRegex } from '../oniguruma.ts'
import type { Span } from '../text.ts'
import { defineNormalizer } from './normalizer.ts'

/** A pattern of a tokenizer file. */
export interface Pattern {
  regex: RegExp
  /** The string to match, if the pattern is not a regular expression. */
  literal?: string
  /** The pattern as written in the file. */
  source: string
}

/** Reads `{ "String": … }` or `{ "Regex": … }`. Throws DataError. */
export const readPattern = (fields: Fields, key: string): Pattern => {
  const value = fields.get(key)
  const where = fields.at(key)
  if (isObject(value)) {
    if (typeof value.String === 'string') {
      if (/\p{Cs}/u.test(value.String)) throwInvalid('a string without lone surrogates', where, value.String)
      return { regex: literalRegex(value.String), literal: value.String, source: value.String }
    }
    if (typeof value.Regex === 'string') return { regex: translateRegex(value.Regex, where), source: value.Regex }
  }
  return throwInvalid('a "String" or a "Regex"', where, value)
}

/** All matches of a global regular expression, from left to right; an empty text has none. */
export const matches = (regex: RegExp, text: string): Span[] => {
  const spans: Span[] = []
  if (text === '') return spans
  for (const match of text.matchAll(regex)) spans.push([match.index, match.index + match[0].length])
  return spans
}

const SPACE_RUNS = new Set([' {2,}', ' +', '[ ]{2,}'])

/** Replaces matches by a string. */
export const replace = defineNormalizer({
  type: 'Replace',
  read(fields) {
    const pattern = readPattern(fields, 'pattern')
    const content = fields.string('content')
    const { regex, literal } = pattern
    return {
      normalize: (text) => (text === '' ? text : text.replace(regex, () => content)),
      align: (piece) => piece.replace(matches(regex, piece.text), content),
      safeSplitBefore(lead) {
        if (lead === '') return lead
        // A run of spaces is never split, because split points are only before its first space.
        if (literal === undefined) {
          if (lead !== ' ' || !SPACE_RUNS.has(pattern.source) || [...content].length !== 1) return undefined
          return content === ' ' ? ' ' : ` ${content}`
        }
        if (literal === lead) return content === '' || [...content].length > 1 ? undefined : content
        // A match across the split point would hold the lead after its first character.
        return literal === '' || literal.includes(lead) || content.includes(lead) ? undefined : lead
      },
    }
  },
})
