// Answers compared as the official scripts of SQuAD do: in lower case, without ASCII punctuation and English articles, by words.
// @source Rajpurkar et al. 2016, arXiv:1606.05250, section 6.1; Rajpurkar et al. 2018, arXiv:1806.03822
import { spacedWords } from './white-space.ts'

const punctuation = /[!-/:-@[-`{-~]/g
// A word as Python's \b sees it: letters, digits and marks that are alphanumeric, in any script, and the underscore.
const article = /(?<![\p{L}\p{N}_])(?:a|an|the)(?![\p{L}\p{N}_])/gu

/** The words that count. */
export const normalizedWords = (text: string): string[] =>
  spacedWords(lowered(text).replace(punctuation, '').replace(article, ' '))

/** As Python lowers: JavaScript does the same, by Unicode's rules for final sigma and dotted I. */
const lowered = (text: string): string => text.toLowerCase()

export const exactMatch = (said: readonly string[], right: readonly string[]): number =>
  said.length === right.length && said.every((word, i) => word === right[i]) ? 1 : 0

/** F1 of bags of words. Without words on a side: 1 if both have none, as in version 2, or always 0, as in version 1. */
export const wordF1 = (said: readonly string[], right: readonly string[], version: 1 | 2): number => {
  if (version === 2 && (said.length === 0 || right.length === 0)) return said.length === right.length ? 1 : 0
  const left = new Map<string, number>()
  for (const word of right) left.set(word, (left.get(word) ?? 0) + 1)
  let both = 0
  for (const word of said) {
    const count = left.get(word) ?? 0
    if (count === 0) continue
    left.set(word, count - 1)
    both++
  }
  return both === 0 ? 0 : (2 * both) / (said.length + right.length)
}
