// The Sequence normalizer: applies several normalizers in order.

import { checkExpansion } from '../growth.ts'
import { safeSplitBeforeAll } from '../split-points.ts'
import { defineNormalizer, type Normalizer } from './normalizer.ts'

/** Applies normalizers in order. */
export const normalizerSequence = defineNormalizer({
  type: 'Sequence',
  read(fields, nested) {
    const where = fields.at('normalizers')
    const parts: Normalizer[] = fields.list('normalizers').map((value, i) => nested(value, `${where}[${i}]`))
    return {
      normalize(text, edges) {
        let normalized = text
        for (const [i, part] of parts.entries()) {
          normalized = part.normalize(normalized, edges)
          checkExpansion(text.length, normalized.length, `${where}[${i}]`)
        }
        return normalized
      },
      align(piece) {
        const { length } = piece.text
        for (const [i, part] of parts.entries()) {
          part.align(piece)
          checkExpansion(length, piece.text.length, `${where}[${i}]`)
        }
      },
      safeSplitBefore: (lead) => safeSplitBeforeAll(parts, lead),
      splitsSafelyAtAscii: parts.every((part) => part.splitsSafelyAtAscii),
      ...(parts.some((part) => part.dependsOn) ? { dependsOn: 'end' as const } : {}),
    }
  },
})
