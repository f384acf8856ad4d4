// The Split pre-tokenizer: splits at the matches of a string or a regular expression.
import { readPattern } from '../pattern.ts'
import { BEHAVIORS, definePreTokenizer, splitAt } from './pre-tokenizer.ts'
import { scannerOf } from './scanner.ts'

/** Splits at the matches of a pattern. */
export const split = definePreTokenizer({
  type: 'Split',
  read(fields) {
    const pattern = readPattern(fields, 'pattern')
    const behavior = fields.oneOf('behavior', BEHAVIORS)
    const invert = fields.boolean('invert', false)
    // Isolating the matches or the text between them gives the same words.
    const isolates = behavior === 'Isolated'
    return {
      split: (pieces) => pieces.flatMap((piece) => splitAt(piece, pattern.matches(piece.text), behavior, invert)),
      ...(isolates ? { scanner: () => scannerOf(pattern) } : {}),
    }
  },
})
