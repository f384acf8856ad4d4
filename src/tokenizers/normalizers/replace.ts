// The Replace normalizer: replaces the matches of a string or a regular expression.
import { readPattern } from '../pattern.ts'
import { defineNormalizer } from './normalizer.ts'

const SPACE_RUNS = new Set([' {2,}', ' +', '[ ]{2,}'])

/** Replaces matches by a string. */
export const replace = defineNormalizer({
  type: 'Replace',
  read(fields) {
    const pattern = readPattern(fields, 'pattern')
    const content = fields.string('content')
    const literal = pattern.isLiteral ? pattern.source : undefined
    return {
      normalize: (text) => pattern.replace(text, content),
      align: (piece) => piece.replace(pattern.matchesToReplace(piece.text, content), content),
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
