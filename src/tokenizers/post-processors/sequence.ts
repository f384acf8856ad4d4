// The Sequence post-processor: applies several post-processors in order.
import { definePostProcessor } from './post-processor.ts'

/** Applies post-processors in order. */
export const postProcessorSequence = definePostProcessor({
  type: 'Sequence',
  read(fields, nested) {
    const where = fields.at('processors')
    const parts = fields.list('processors').map((value, i) => nested(value, `${where}[${i}]`))
    return {
      added: (isPair) => parts.reduce((sum, part) => sum + part.added(isPair), 0),
      process: (encodings, addSpecialTokens) =>
        parts.reduce((now, part) => part.process(now, addSpecialTokens), encodings),
    }
  },
})
