// Runs several normalizers one after the other.
import { cutsBefore } from '../cuts.ts'
import { defineNormalizer, type Normalizer } from './normalizer.ts'

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
      cutBefore: (lead) => cutsBefore(parts, lead),
      cutsAtAscii: parts.every((part) => part.cutsAtAscii),
      ...(parts.some((part) => part.minds) ? { minds: 'end' as const } : {}),
    }
  },
})
