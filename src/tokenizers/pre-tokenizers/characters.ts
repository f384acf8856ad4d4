// Pre-tokenizers that split at characters of a class: BERT, white space, punctuation, digits, a delimiter.
import { matches } from '../pattern.ts'
import type { Piece } from '../text.ts'
import { classOf, NUMBER, PUNCTUATION, WHITE_SPACE } from '../unicode.ts'
import { occurrences } from './metaspace.ts'
import { BEHAVIORS, definePreTokenizer, splitAt, splitAtCharacters } from './pre-tokenizer.ts'
import { digitScanner } from './scanner.ts'

const isWhiteSpace = (code: number) => (classOf(code) & WHITE_SPACE) !== 0
const isPunctuation = (code: number) => (classOf(code) & PUNCTUATION) !== 0
const isNumeric = (code: number) => (classOf(code) & NUMBER) !== 0
const splitsAtSpace = (lead: string) => (lead === ' ' ? '' : undefined)

const hasText = (piece: Piece) => piece.text !== ''

/** Splits at white space and isolates punctuation. */
export const bertPreTokenizer = definePreTokenizer({
  type: 'BertPreTokenizer',
  read: () => ({
    split(pieces) {
      const words = splitAtCharacters(pieces, 'Removed', isWhiteSpace).filter(hasText)
      return splitAtCharacters(words, 'Isolated', isPunctuation)
    },
    safeSplitBefore: splitsAtSpace,
    isolatesAscii: true,
  }),
})

// Words, or runs of other characters that are not white space.
const WORDS =
  /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]+|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}\p{White_Space}]+/gu

/** Splits into words and runs of punctuation (`\\w+|[^\\w\\s]+`). */
export const whitespace = definePreTokenizer({
  type: 'Whitespace',
  read: () => ({
    split: (pieces) => pieces.flatMap((piece) => splitAt(piece, matches(WORDS, piece.text), 'Removed', true)),
    safeSplitBefore: splitsAtSpace,
  }),
})

/** Splits at white space only. */
export const whitespaceSplit = definePreTokenizer({
  type: 'WhitespaceSplit',
  read: () => ({
    split: (pieces) => splitAtCharacters(pieces, 'Removed', isWhiteSpace),
    safeSplitBefore: splitsAtSpace,
  }),
})

/** Splits at punctuation. */
export const punctuation = definePreTokenizer({
  type: 'Punctuation',
  read(fields) {
    const behavior = fields.oneOf('behavior', BEHAVIORS, 'Isolated')
    return {
      split: (pieces) => splitAtCharacters(pieces, behavior, isPunctuation),
      // With the other behaviours a piece extends over spaces to the next punctuation, so a split at a space is unsafe.
      ...(behavior === 'Isolated' || behavior === 'Removed' ? { safeSplitBefore: (lead: string) => lead } : {}),
    }
  },
})

/** Isolates digits, one by one or in runs. */
export const digits = definePreTokenizer({
  type: 'Digits',
  read(fields) {
    const individual = fields.boolean('individual_digits', false)
    return {
      split: (pieces) => splitAtCharacters(pieces, individual ? 'Isolated' : 'Contiguous', isNumeric),
      scanner: () => digitScanner(individual),
      safeSplitBefore: (lead) => lead,
    }
  },
})

/** Splits at a delimiter, which is removed. */
export const charDelimiterSplit = definePreTokenizer({
  type: 'CharDelimiterSplit',
  read(fields) {
    const delimiter = fields.character('delimiter')
    return {
      split: (pieces) => pieces.flatMap((piece) => splitAt(piece, occurrences(piece.text, delimiter), 'Removed')),
      safeSplitBefore: (lead) => (lead === delimiter ? '' : lead),
    }
  },
})
