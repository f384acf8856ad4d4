// Punctuation and ends of sentences.

/** A character that ends a sentence (Unicode's Sentence_Terminal and three Khmer signs). */
export const terminalMark = /[\p{Sentence_Terminal}៖៙៚]/u

const marks = '!/—”:％１〈&(、━\\【#%「」，】；+^]~“《„\';’{|∶´[=-`*．（–？！：$～«〉,><》)?）。…@_."}►»'

const markPattern = new RegExp(
  `^[${marks.replace(/[\\\]^-]/g, '\\$&')}\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\p{Sentence_Terminal}៖៙៚]*$`,
  'u',
)

/** Whether `word` consists of punctuation and control characters. */
export const isPunctuation = (word: string): boolean => !startsWithAsciiLetter(word) && markPattern.test(word)

const anyLetter = /\p{L}/u

/** Whether any character of `word` is a letter. */
export const hasLetter = (word: string): boolean => startsWithAsciiLetter(word) || anyLetter.test(word)

/** A quick test that avoids a pattern for most words. */
const startsWithAsciiLetter = (word: string): boolean => {
  const unit = word.charCodeAt(0) | 32
  return unit >= 97 && unit <= 122
}
