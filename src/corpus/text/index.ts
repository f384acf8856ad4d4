// Words, sentences, lines and characters as in the published quality rules.

export * from './characters.ts'
export * from './punctuation.ts'
export { readWordList } from './word-list.ts'
export { countSentences, splitWords, wordRules } from './words.ts'
