// GPT-2's pre-tokenizer: splits text into words and converts each to byte-level characters.
// @source Radford et al. 2019, the encoder released with GPT-2
import { toByteLevel } from '../byte-level.ts'
import { translateRegex } from '../oniguruma.ts'
import { matches } from '../pattern.ts'
import { definePreTokenizer, splitAt } from './pre-tokenizer.ts'
import { GPT2_PATTERN, gpt2Scanner, type Scanner } from './scanner.ts'

const wholePiece: Scanner = { limited: true, next: (_units, _start, limit) => limit }

/** GPT-2's split into words, as byte-level characters. */
export const byteLevel = definePreTokenizer({
  type: 'ByteLevel',
  read(fields) {
    const prefixed = fields.boolean('add_prefix_space')
    const usesRegex = fields.boolean('use_regex', true)
    const regex = translateRegex(GPT2_PATTERN, fields.where)
    return {
      split: (pieces) =>
        pieces.flatMap((piece) => {
          if (prefixed && !piece.text.startsWith(' ')) piece.prepend(' ')
          const words = usesRegex ? splitAt(piece, matches(regex, piece.text), 'Isolated') : [piece]
          for (const word of words) word.toByteLevel()
          return words
        }),
      scanner: () => (usesRegex ? gpt2Scanner : wholePiece),
      finish: toByteLevel,
      ...(prefixed ? { prefix: ' ' } : {}),
    }
  },
})
