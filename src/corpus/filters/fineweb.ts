// The rules that FineWeb adds to those of C4 and Gopher: shares of unterminated, short and repeated lines.

import { z } from 'zod'
import { countCodePoints, countOccurrences, splitWords, terminalMark, trim, wordRules } from '../text/index.ts'
import { defineFilter, drop, keep } from './filter.ts'
import { countRepeated } from './gopher-repetition.ts'

const config = z.strictObject({
  minTerminalLines: z.number().min(0).max(1).default(0.12).describe('minimum share of lines that end a sentence'),
  allowNoTerminalLine: z.boolean().default(false).describe('exception for documents in which no line ends a sentence'),
  maxShortLines: z.number().min(0).max(1).default(0.67).describe('maximum share of short lines'),
  shortLineLength: z.number().int().min(0).default(30).describe('maximum characters of a short line'),
  maxRepeatedLineCharacters: z
    .number()
    .min(0)
    .max(1)
    .default(0.01)
    .describe('maximum share of characters in repeated lines'),
  maxLineEndRatio: z.number().min(0).default(0.3).describe('maximum ratio of line ends to words; lists have more'),
  words: z.enum(wordRules).default('english').describe('rule for splitting words'),
})

export const fineweb = defineFilter({
  type: 'fineweb',
  config,
  source: 'arXiv:2406.17557 section 3.5; code FineWebQualityFilter of huggingface/datatrove',
  summary: 'Drops documents whose lines mostly lack an end mark, are short, are repeated, or make a list.',
  reasons: ['empty', 'too-few-terminal-lines', 'too-many-short-lines', 'repeated-line-characters', 'list'],
  create(options) {
    return {
      apply({ text }) {
        const lines = text.split('\n').filter((line) => trim(line) !== '')
        if (lines.length === 0) return drop('empty')
        let ratio = lines.filter(endsSentence).length / lines.length
        if (ratio < options.minTerminalLines && !(ratio === 0 && options.allowNoTerminalLine)) {
          return drop('too-few-terminal-lines', ratio)
        }
        ratio = lines.filter((line) => countCodePoints(line) <= options.shortLineLength).length / lines.length
        if (ratio > options.maxShortLines) return drop('too-many-short-lines', ratio)
        const lineEnds = countOccurrences(text, '\n')
        ratio = countRepeated(lines).characters / (countCodePoints(text) - lineEnds)
        if (ratio > options.maxRepeatedLineCharacters) return drop('repeated-line-characters', ratio)
        ratio = lineEnds / splitWords(text, options.words).length
        if (ratio > options.maxLineEndRatio) return drop('list', ratio)
        return keep
      },
    }
  },
})

const endsSentence = (line: string): boolean => {
  const last = line.charCodeAt(line.length - 1)
  return terminalMark.test(last >= 0xdc00 && last < 0xe000 ? line.slice(-2) : line.slice(-1))
}
