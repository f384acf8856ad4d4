// The line and page rules of C4, with the paragraph rule of mC4 and the list of bad words as options.
// Word lists are files of the user.

import { z } from 'zod'
import {
  countCodePoints,
  countSentences,
  readWordList,
  splitLines,
  splitWhitespace,
  trim,
  wordRules,
} from '../text/index.ts'
import { defineFilter, drop, keep } from './filter.ts'

const citation = /\[\p{Nd}*\]|\[edit\]|\[citation needed\]/gu
const endMarks = ['.', '?', '!', '"', "'"]
const policyPhrases = [
  'terms of use',
  'privacy policy',
  'cookie policy',
  'uses cookies',
  'use of cookies',
  'use cookies',
]

const config = z.strictObject({
  removeCitations: z
    .boolean()
    .default(true)
    .describe('removal of citation marks such as [3], [edit], [citation needed]'),
  terminalPunctuation: z
    .boolean()
    .default(true)
    .describe('removal of lines that do not end in . ! ? or a quotation mark'),
  minWordsPerLine: z.number().int().min(0).default(3).describe('minimum words per line; shorter lines are removed'),
  maxWordLength: z
    .number()
    .int()
    .min(0)
    .default(1000)
    .describe('maximum characters per word; lines with longer words are removed (0 disables)'),
  minSentences: z.number().int().min(0).default(5).describe('minimum sentences per page, after removal of lines'),
  loremIpsum: z.boolean().default(true).describe('dropping of pages with the phrase lorem ipsum'),
  javascript: z.boolean().default(true).describe('removal of lines with the word javascript'),
  curlyBracket: z.boolean().default(true).describe('dropping of pages with a curly bracket'),
  policy: z.boolean().default(true).describe('removal of lines about cookies, privacy and terms of use'),
  badWordsFile: z
    .string()
    .optional()
    .describe('file of bad words, one word or phrase per line; pages with any of them are dropped'),
  minParagraphs: z.number().int().min(0).default(0).describe('minimum long lines per page; mC4 uses 3'),
  minParagraphLength: z.number().int().min(1).default(200).describe('minimum characters of a long line (mC4)'),
  sentences: z.enum(wordRules).default('english').describe('rule for splitting words when counting sentences'),
})

export const c4 = defineFilter({
  type: 'c4',
  config,
  source: 'arXiv:1910.10683 section 2.2; code c4_utils of tensorflow/datasets; mC4 arXiv:2010.11934',
  summary: 'Keeps the lines of a page that look like sentences; drops pages with few of them or with tell-tale marks.',
  reasons: ['lorem-ipsum', 'curly-bracket', 'too-few-sentences', 'bad-word', 'too-few-paragraphs'],
  async create(options) {
    const badWords = options.badWordsFile === undefined ? undefined : await badWordPattern(options.badWordsFile)
    const lineStays = (line: string, words: readonly string[]): boolean => {
      if (options.terminalPunctuation) {
        if (line.endsWith('...') || !endMarks.some((mark) => line.endsWith(mark))) return false
      }
      return words.length >= options.minWordsPerLine
    }
    return {
      apply({ text }) {
        if (options.minParagraphs > 0) {
          const long = text.split('\n').filter((line) => countCodePoints(line) >= options.minParagraphLength).length
          if (long < options.minParagraphs) return drop('too-few-paragraphs', long)
        }
        let sentences = 0
        const kept: string[] = []
        for (const raw of splitLines(text)) {
          let line = trim(raw)
          const words = splitWhitespace(line)
          if (options.maxWordLength > 0 && words.some((word) => isLongerThan(word, options.maxWordLength))) continue
          if (options.removeCitations && line.includes('[')) line = line.replace(citation, '')
          if (!lineStays(line, words)) continue
          const lower = line.toLowerCase()
          if (options.loremIpsum && lower.includes('lorem ipsum')) return drop('lorem-ipsum')
          if (options.javascript && lower.includes('javascript')) continue
          if (options.curlyBracket && line.includes('{')) return drop('curly-bracket', line)
          if (options.policy && policyPhrases.some((phrase) => lower.includes(phrase))) continue
          if (options.minSentences > 0) sentences += countSentences(line, options.sentences)
          kept.push(line)
        }
        if (sentences < options.minSentences) return drop('too-few-sentences', sentences)
        const cleaned = trim(kept.join('\n'))
        const bad = badWords?.exec(cleaned.toLowerCase())
        if (bad != null) return drop('bad-word', bad[0])
        return cleaned === text ? keep : { keep: true, text: cleaned }
      },
    }
  },
})

const isLongerThan = (word: string, length: number): boolean => word.length > length && countCodePoints(word) > length

const badWordPattern = async (path: string): Promise<RegExp | undefined> => {
  const words = (await readWordList(path)).map((word) => word.toLowerCase().replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&'))
  if (words.length === 0) return undefined
  return new RegExp(`(?<![\\p{L}\\p{N}_])(?:${words.join('|')})(?![\\p{L}\\p{N}_])`, 'u')
}
