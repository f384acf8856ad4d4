// Replaces what a string or a regular expression matches.
import { type Fields, isObject, refuse } from '../fields.ts'
import { literalRegex, translateRegex } from '../oniguruma.ts'
import type { Span } from '../text.ts'
import { defineNormalizer } from './normalizer.ts'

export interface Pattern {
  regex: RegExp
  /** The text itself when the pattern is no regular expression. */
  literal?: string
  /** The source as the file has it. */
  source: string
}

/** Reads `{ "String": … }` or `{ "Regex": … }`. */
export const readPattern = (fields: Fields, key: string): Pattern => {
  const value = fields.get(key)
  const where = fields.at(key)
  if (isObject(value)) {
    if (typeof value.String === 'string') {
      if (/\p{Cs}/u.test(value.String)) refuse('a string without lone surrogates', where, value.String)
      return { regex: literalRegex(value.String), literal: value.String, source: value.String }
    }
    if (typeof value.Regex === 'string') return { regex: translateRegex(value.Regex, where), source: value.Regex }
  }
  return refuse('a "String" or a "Regex"', where, value)
}

/** All matches of a global regular expression, from left to right; none in an empty text. */
export const matches = (regex: RegExp, text: string): Span[] => {
  const spans: Span[] = []
  if (text === '') return spans
  for (const match of text.matchAll(regex)) spans.push([match.index, match.index + match[0].length])
  return spans
}

const SPACE_RUNS = new Set([' {2,}', ' +', '[ ]{2,}'])

export const replace = defineNormalizer({
  type: 'Replace',
  read(fields) {
    const pattern = readPattern(fields, 'pattern')
    const content = fields.string('content')
    const { regex, literal } = pattern
    return {
      normalize: (text) => (text === '' ? text : text.replace(regex, () => content)),
      align: (piece) => piece.replace(matches(regex, piece.text), content),
      cutBefore(lead) {
        if (lead === '') return lead
        // A run of spaces stays on one side of a cut, since cuts are only made before its first one.
        if (literal === undefined) {
          if (lead !== ' ' || !SPACE_RUNS.has(pattern.source) || [...content].length !== 1) return undefined
          return content === ' ' ? ' ' : ` ${content}`
        }
        if (literal === lead) return content === '' || [...content].length > 1 ? undefined : content
        // What the literal could match across a cut holds the lead after its first character.
        return literal === '' || literal.includes(lead) || content.includes(lead) ? undefined : lead
      },
    }
  },
})
