// Converts text to byte-level characters.
import { toByteLevel } from '../byte-level.ts'
import { defineNormalizer } from './normalizer.ts'

/** Writes the text's UTF-8 bytes as printable characters (GPT-2). */
export const byteLevelNormalizer = defineNormalizer({
  type: 'ByteLevel',
  read: () => ({ normalize: toByteLevel, align: (piece) => piece.toByteLevel() }),
})
