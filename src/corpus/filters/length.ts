// Bounds on the size of a document.

import { z } from 'zod'
import { countCodePoints, splitWhitespace } from '../text/index.ts'
import { defineFilter, drop, keep } from './filter.ts'

const config = z
  .strictObject({
    minCharacters: z.number().int().min(0).default(200).describe('minimum characters (Unicode code points)'),
    maxCharacters: z.number().int().min(1).optional().describe('maximum characters (Unicode code points)'),
    minWords: z.number().int().min(0).default(0).describe('minimum words, split at white space'),
    maxWords: z.number().int().min(1).optional().describe('maximum words, split at white space'),
  })
  .refine((value) => value.maxCharacters === undefined || value.maxCharacters >= value.minCharacters, {
    path: ['maxCharacters'],
    message: 'It is less than `minCharacters`, so every document would be dropped.',
  })
  .refine((value) => value.maxWords === undefined || value.maxWords >= value.minWords, {
    path: ['maxWords'],
    message: 'It is less than `minWords`, so every document would be dropped.',
  })

export const length = defineFilter({
  type: 'length',
  config,
  source: 'arXiv:2005.14165 appendix C (pieces under 200 characters are dropped)',
  summary: 'Drops documents that are too short or too long.',
  reasons: ['too-few-characters', 'too-many-characters', 'too-few-words', 'too-many-words'],
  create(options) {
    const countsWords = options.minWords > 0 || options.maxWords !== undefined
    return {
      apply({ text }) {
        const characters = countCodePoints(text)
        if (characters < options.minCharacters) return drop('too-few-characters', characters)
        if (characters > (options.maxCharacters ?? Infinity)) return drop('too-many-characters', characters)
        if (countsWords) {
          const words = splitWhitespace(text).length
          if (words < options.minWords) return drop('too-few-words', words)
          if (words > (options.maxWords ?? Infinity)) return drop('too-many-words', words)
        }
        return keep
      },
    }
  },
})
