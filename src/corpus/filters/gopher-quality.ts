// The quality rules of Gopher: bounds on counts and ratios of English prose.

import { z } from 'zod'
import {
  countCodePoints,
  countOccurrences,
  hasLetter,
  isPunctuation,
  splitLines,
  splitWords,
  trimEnd,
  trimStart,
  wordRules,
} from '../text/index.ts'
import { defineFilter, drop, keep } from './filter.ts'

const config = z.strictObject({
  minWords: z.number().int().min(0).default(50).describe('minimum words, without punctuation'),
  maxWords: z.number().int().min(1).default(100_000).describe('maximum words, without punctuation'),
  minMeanWordLength: z.number().min(0).default(3).describe('minimum mean word length, in characters'),
  maxMeanWordLength: z.number().min(0).default(10).describe('maximum mean word length, in characters'),
  maxSymbolRatio: z.number().min(0).default(0.1).describe('maximum ratio of hash signs, and of ellipses, to words'),
  maxBulletLines: z.number().min(0).max(1).default(0.9).describe('maximum share of lines that start with a bullet'),
  maxEllipsisLines: z.number().min(0).max(1).default(0.3).describe('maximum share of lines that end in an ellipsis'),
  minAlphabeticWords: z.number().min(0).max(1).default(0.8).describe('minimum share of words with a letter'),
  minStopWords: z.number().int().min(0).default(2).describe('minimum distinct stop words'),
  stopWords: z
    .array(z.string().min(1))
    .default(['the', 'be', 'to', 'of', 'and', 'that', 'have', 'with'])
    .describe('stop words, case-sensitive'),
  words: z.enum(wordRules).default('english').describe('rule for splitting words'),
})

export const gopherQuality = defineFilter({
  type: 'gopher-quality',
  config,
  source: 'arXiv:2112.11446 appendix A.1.1; word rules as in huggingface/datatrove',
  summary:
    'Drops documents whose word count, word length, symbols, bullets, letters or stop words are not those of prose.',
  reasons: [
    'too-few-words',
    'too-many-words',
    'words-too-short',
    'words-too-long',
    'too-many-hashes',
    'too-many-ellipses',
    'too-many-bullets',
    'too-many-ellipsis-lines',
    'too-few-alphabetic-words',
    'too-few-stop-words',
  ],
  create(options) {
    const stopWords = new Set(options.stopWords)
    return {
      apply({ text }) {
        const words = splitWords(text, options.words)
        let count = 0
        let characters = 0
        for (const word of words) {
          if (isPunctuation(word)) continue
          count++
          characters += countCodePoints(word)
        }
        if (count < options.minWords || words.length === 0) return drop('too-few-words', count)
        if (count > options.maxWords) return drop('too-many-words', count)
        const meanLength = characters / count
        if (meanLength < options.minMeanWordLength) return drop('words-too-short', meanLength)
        if (meanLength > options.maxMeanWordLength) return drop('words-too-long', meanLength)

        const hashes = countOccurrences(text, '#') / words.length
        if (hashes > options.maxSymbolRatio) return drop('too-many-hashes', hashes)
        const ellipses = (countOccurrences(text, '...') + countOccurrences(text, '…')) / words.length
        if (ellipses > options.maxSymbolRatio) return drop('too-many-ellipses', ellipses)

        let bullets = 0
        let openEnds = 0
        const lines = splitLines(text)
        for (const line of lines) {
          const start = trimStart(line)
          if (start.startsWith('•') || start.startsWith('-')) bullets++
          const end = trimEnd(line)
          if (end.endsWith('...') || end.endsWith('…')) openEnds++
        }
        if (bullets / lines.length > options.maxBulletLines) return drop('too-many-bullets', bullets / lines.length)
        if (openEnds / lines.length > options.maxEllipsisLines) {
          return drop('too-many-ellipsis-lines', openEnds / lines.length)
        }

        let alphabetic = 0
        const found = new Set<string>()
        for (const word of words) {
          if (hasLetter(word)) alphabetic++
          if (stopWords.has(word)) found.add(word)
        }
        const share = alphabetic / words.length
        if (share < options.minAlphabeticWords) return drop('too-few-alphabetic-words', share)
        if (found.size < options.minStopWords) return drop('too-few-stop-words', found.size)
        return keep
      },
    }
  },
})
