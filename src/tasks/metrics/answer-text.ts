// Comparison of answers as in the official scripts of SQuAD: in lower case, without ASCII punctuation and English articles, by words.
// @source Rajpurkar et al. 2016, arXiv:1606.05250, section 6.1; Rajpurkar et al. 2018, arXiv:1806.03822
import { spacedWords } from './white-space.ts'

const punctuation = /[!-/:-@[-`{-~]/g
// Word boundaries of Python's \b: letters, digits and the underscore, in any script.
const article = /(?<![\p{L}\p{N}_])(?:a|an|the)(?![\p{L}\p{N}_])/gu

/** The normalised words of an answer. */
export const normalizedWords = (text: string): string[] =>
  spacedWords(lowered(text).replace(punctuation, '').replace(article, ' '))

/** Equal to Python's lower(): both follow Unicode's rules for final sigma and dotted I. */
const lowered = (text: string): string => text.toLowerCase()

export const exactMatch = (prediction: readonly string[], reference: readonly string[]): number =>
  prediction.length === reference.length && prediction.every((word, i) => word === reference[i]) ? 1 : 0

/** F1 of bags of words. Without words on one side: in version 2, 1 if both have none, else 0; in version 1, always 0. */
export const wordF1 = (prediction: readonly string[], reference: readonly string[], version: 1 | 2): number => {
  if (version === 2 && (prediction.length === 0 || reference.length === 0))
    return prediction.length === reference.length ? 1 : 0
  const left = new Map<string, number>()
  for (const word of reference) left.set(word, (left.get(word) ?? 0) + 1)
  let both = 0
  for (const word of prediction) {
    const count = left.get(word) ?? 0
    if (count === 0) continue
    left.set(word, count - 1)
    both++
  }
  return both === 0 ? 0 : (2 * both) / (prediction.length + reference.length)
}
