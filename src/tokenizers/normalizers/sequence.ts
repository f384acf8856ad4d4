// The Sequence normalizer: applies several normalizers in order.
import { safeSplitBeforeAll } from '../split-points.ts'
import { defineNormalizer, type Normalizer } from './normalizer.ts'

/** Applies normalizers in order. */
export const normalizerSequence = defineNormalizer({
  type: 'Sequence',
  read(fields, nested) {
    const where = fields.at('normalizers')
    const parts: Normalizer[] = fields.list('normalizers').map((value, i) => nested(value, `${where}[${i}]`))
    return {
      normalize: (text, edges) => parts.reduce((done, part) => part.normalize(done, edges), text),
      align(piece) {
        for (const part of parts) part.align(piece)
      },
      safeSplitBefore: (lead) => safeSplitBeforeAll(parts, lead),
      splitsSafelyAtAscii: parts.every((part) => part.splitsSafelyAtAscii),
      ...(parts.some((part) => part.dependsOn) ? { dependsOn: 'end' as const } : {}),
    }
  },
})
