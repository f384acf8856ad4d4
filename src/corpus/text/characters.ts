// Lines, white space and character counts as in the published rules: by code point, with Unicode line ends. UTF-16
// lengths and JavaScript's trim() would shift the thresholds.

const anyLineEnd = /\r\n|[\n\v\f\r\x1c-\x1e\x85\u2028\u2029]/
const spaceClass = '[\\s\\x1c-\\x1f\\x85]'
const leadingSpace = new RegExp(`^${spaceClass}+`)
const trailingSpace = new RegExp(`${spaceClass}$`)
const spaceRun = new RegExp(`${spaceClass}+`)
const whiteCharacter = new RegExp(spaceClass)

/** Lines split at every Unicode line end; a final line end does not start an empty line. */
export const splitLines = (text: string): string[] => {
  if (text === '') return []
  const lines = text.split(anyLineEnd)
  if (lines[lines.length - 1] === '') lines.pop()
  return lines
}

/** A text without white space at its start. */
export const trimStart = (text: string): string => text.replace(leadingSpace, '')

/** A text without white space at its end; unlike a `\s+$` pattern, linear for long runs of white space inside. */
export const trimEnd = (text: string): string => {
  if (!trailingSpace.test(text)) return text
  let end = text.length
  while (end > 0 && whiteCharacter.test(text[end - 1])) end--
  return text.slice(0, end)
}

/** A text without white space at both ends. */
export const trim = (text: string): string => trimEnd(trimStart(text))

/** Words split at white space. */
export const splitWhitespace = (text: string): string[] => {
  const parts = text.split(spaceRun)
  if (parts[0] === '') parts.shift()
  if (parts.length > 0 && parts[parts.length - 1] === '') parts.pop()
  return parts
}

/** Number of Unicode code points. */
export const countCodePoints = (text: string): number => {
  let count = text.length
  for (let i = 0; i + 1 < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit >= 0xd800 && unit < 0xdc00) {
      const next = text.charCodeAt(i + 1)
      if (next >= 0xdc00 && next < 0xe000) {
        count--
        i++
      }
    }
  }
  return count
}

/** Number of non-overlapping occurrences of `part` in `text`. */
export const countOccurrences = (text: string, part: string): number => {
  let count = 0
  for (let at = text.indexOf(part); at !== -1; at = text.indexOf(part, at + part.length)) count++
  return count
}

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
