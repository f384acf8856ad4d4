// Which characters count as punctuation and as the end of a sentence.

/** One character that ends a sentence in any script (Unicode's Sentence_Terminal and three Khmer signs). */
export const terminalMark = /[\p{Sentence_Terminal}៖៙៚]/u

const marks = '!/—”:％１〈&(、━\\【#%「」，】；+^]~“《„\';’{|∶´[=-`*．（–？！：$～«〉,><》)?）。…@_."}►»'

const markPattern = new RegExp(
  `^[${marks.replace(/[\\\]^-]/g, '\\$&')}\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\p{Sentence_Terminal}៖៙៚]*$`,
  'u',
)

/** Whether no character of `word` is more than punctuation or a control character. */
export const isPunctuation = (word: string): boolean => !startsWithAsciiLetter(word) && markPattern.test(word)

const anyLetter = /\p{L}/u

/** Whether any character of `word` is a letter. */
export const hasLetter = (word: string): boolean => startsWithAsciiLetter(word) || anyLetter.test(word)

/** Settles most words without a pattern. */
const startsWithAsciiLetter = (word: string): boolean => {
  const unit = word.charCodeAt(0) | 32
  return unit >= 97 && unit <= 122
}
