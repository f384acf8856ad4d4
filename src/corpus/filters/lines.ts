// Line rules: removes lines of web pages that are not content (counters, single words, capitals or digits only, calls
// to action), drops documents in which their share is too large, and bounds the number and length of lines.

import { z } from 'zod'
import { countCodePoints, splitWhitespace } from '../text/index.ts'
import { defineFilter, drop, keep } from './filter.ts'

const share = z.number().min(0).max(1)

const config = z.strictObject({
  removeUppercase: z.boolean().default(true).describe('removal of lines that are mainly capitals'),
  uppercaseShare: share.default(0.5).describe('share of capitals among letters above which a line is mainly capitals'),
  removeNumeric: z.boolean().default(true).describe('removal of lines of digits only'),
  removeCounters: z.boolean().default(true).describe('removal of lines such as "3 likes"'),
  removeSingleWords: z.boolean().default(true).describe('removal of lines of one word'),
  removeActions: z
    .boolean()
    .default(true)
    .describe('removal of short lines such as "Sign in", "Read more…", "items in cart"'),
  maxActionWords: z.number().int().min(1).default(10).describe('maximum words of a line for removeActions'),
  maxRemovedWords: share
    .default(0.05)
    .describe('maximum share of words in removed lines; documents with more are dropped'),
  minLines: z.number().int().min(0).default(0).describe('minimum non-empty lines'),
  minMeanLength: z.number().min(0).default(0).describe('minimum mean line length, in characters'),
  maxMeanLength: z
    .number()
    .min(0)
    .optional()
    .describe('maximum mean line length, in characters; 100 is usual for code'),
  maxLength: z.number().int().min(1).optional().describe('maximum line length, in characters; 1000 is usual for code'),
})

const letters = /\p{L}/gu
const capitals = /[\p{Lu}\p{Lt}]/gu
const numeric = /^[\p{N}\p{P}\p{S}\s]*\p{N}[\p{N}\p{P}\p{S}\s]*$/u
const counter =
  /^[\p{Nd}.,]+\s*[KkMm]?\s+(?:likes?|shares?|comments?|retweets?|reposts?|quotes?|bookmarks?|upvotes?|downvotes?|downloads?|views?|followers?|replies|reply|votes?|points?)\W*$/iu
const actionStart = /^(?:sign[ -]?in|log[ -]?in|sign[ -]?up|subscribe)\b/i
const actionEnd = /\b(?:read more|continue reading|learn more|see more|show more)\s*(?:\.{3}|…)?\W*$/i
const actionAnywhere = /\bitems? in (?:your )?cart\b/i

export const lines = defineFilter({
  type: 'lines',
  config,
  source: 'RefinedWeb arXiv:2306.01116 appendix G.2; mean and longest line: Codex arXiv:2107.03374 section 3.1',
  summary: 'Removes lines that are not content, and drops documents with more than 5 % of their words in such lines.',
  reasons: ['empty', 'removed-words', 'too-few-lines', 'lines-too-short', 'lines-too-long', 'line-too-long'],
  create(options) {
    const isNoise = (line: string): boolean => {
      const words = splitWhitespace(line)
      if (options.removeSingleWords && words.length === 1) return true
      if (options.removeNumeric && numeric.test(line)) return true
      if (options.removeCounters && counter.test(line)) return true
      if (options.removeUppercase) {
        const found = line.match(letters)?.length ?? 0
        if (found > 0 && (line.match(capitals)?.length ?? 0) / found > options.uppercaseShare) return true
      }
      if (options.removeActions && words.length <= options.maxActionWords) {
        return actionStart.test(line) || actionEnd.test(line) || actionAnywhere.test(line)
      }
      return false
    }
    return {
      apply({ text }) {
        const kept: string[] = []
        let words = 0
        let removedWords = 0
        let filled = 0
        let characters = 0
        let longest = 0
        for (const line of text.split('\n')) {
          const trimmed = line.trim()
          if (trimmed === '') {
            kept.push(line)
            continue
          }
          const count = splitWhitespace(trimmed).length
          words += count
          if (trimmed.length < 2000 && isNoise(trimmed)) {
            removedWords += count
            continue
          }
          kept.push(line)
          filled++
          const length = countCodePoints(line)
          characters += length
          longest = Math.max(longest, length)
        }
        if (words === 0) return drop('empty')
        if (removedWords / words > options.maxRemovedWords) return drop('removed-words', removedWords / words)
        if (filled < options.minLines) return drop('too-few-lines', filled)
        const mean = filled === 0 ? 0 : characters / filled
        if (mean < options.minMeanLength) return drop('lines-too-short', mean)
        if (mean > (options.maxMeanLength ?? Infinity)) return drop('lines-too-long', mean)
        if (longest > (options.maxLength ?? Infinity)) return drop('line-too-long', longest)
        return removedWords === 0
          ? keep
          : {
              keep: true,
              text: kept
                .join('\n')
                .replace(/\n{3,}/g, '\n\n')
                .trim(),
            }
      },
    }
  },
})
