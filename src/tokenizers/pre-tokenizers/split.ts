// Splits at what a string or a regular expression matches.
import { matches, readPattern } from '../normalizers/replace.ts'
import { BEHAVIORS, definePreTokenizer, splitAt } from './pre-tokenizer.ts'
import { scannerOf } from './scanner.ts'

export const split = definePreTokenizer({
  type: 'Split',
  read(fields) {
    const pattern = readPattern(fields, 'pattern')
    const behavior = fields.oneOf('behavior', BEHAVIORS)
    const invert = fields.boolean('invert', false)
    // Isolating the matches and isolating what lies between them are the same.
    const isolates = behavior === 'Isolated'
    return {
      split: (pieces) =>
        pieces.flatMap((piece) => splitAt(piece, matches(pattern.regex, piece.text), behavior, invert)),
      ...(isolates ? { scanner: () => scannerOf(pattern.source, pattern.regex) } : {}),
    }
  },
})
