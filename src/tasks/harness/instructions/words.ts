// English words as the tokenizer of the Penn Treebank splits them, as far as counting words in capitals needs it.
// @source Marcus et al. 1993; nltk.word_tokenize without its sentence model

/** Marks that are words of their own wherever they stand. */
const marks = /([\][(){}<>;@#$%&?!"“”«»…]|\.{2,}|--+|[:,](?!\d)|['’‘](?=\s|$)|(?<=^|\s)['’‘`]+)/g
/** The endings that contractions have. */
const contraction = /(?<=\w)(n['’]t|['’](?:s|m|d|ll|re|ve))(?=\s|$)/gi
/** Two words that are written as one. */
const joined = /\b(can)(not)\b|\b(gim|lem)(me)\b|\b(gon|wan)(na)\b|\b(got)(ta)\b|\b(d)('ye)\b/gi

/** Words and marks of a text. */
export const treebankWords = (text: string): string[] =>
  text
    .replace(marks, ' $1 ')
    // A full stop at the end of the text is no part of its last word.
    .replace(/([^.\s])\.(?=["')\]}>]*\s*$)/, '$1 .')
    .replace(contraction, ' $1')
    .replace(joined, (word) => word.replace(/^(can|gim|lem|gon|wan|got|d)/i, '$1 '))
    .split(/\s+/)
    .filter((word) => word !== '')

/** Whether a text has letters with case, and all of them are capitals: Python's `isupper`. */
export const isUpperCase = (text: string): boolean => text === text.toUpperCase() && text !== text.toLowerCase()

/** Whether a text has letters with case, and none of them is a capital: Python's `islower`. */
export const isLowerCase = (text: string): boolean => text === text.toLowerCase() && text !== text.toUpperCase()
