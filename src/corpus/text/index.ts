// Text as the published quality rules see it: words, sentences, lines, characters. It knows no filter.

export * from './characters.ts'
export * from './punctuation.ts'
export { readWordList } from './word-list.ts'
export { countSentences, splitWords, type WordRule, wordRules } from './words.ts'
