// Writes the text in the stand-ins of its bytes.
import { toByteLevel } from '../byte-level.ts'
import { defineNormalizer } from './normalizer.ts'

export const byteLevelNormalizer = defineNormalizer({
  type: 'ByteLevel',
  read: () => ({ normalize: toByteLevel, align: (piece) => piece.toByteLevel() }),
})
