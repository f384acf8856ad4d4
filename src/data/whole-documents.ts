// One document a row, in an order shuffled anew every epoch. It packs nothing.
import { z } from 'zod'
import { DataError, parseConfig, permutedIndex } from '../core/index.ts'
import { checkIndex, type Sampler } from './sampler.ts'
import type { TokenSource } from './token-source.ts'

export const wholeDocumentsSchema = z.strictObject({
  seed: z.union([z.number().int(), z.string()]).default(0).describe('another seed gives another order'),
  maxLength: z.number().int().positive().describe('longest row in tokens; the rest of a longer document is left out'),
  shuffle: z.boolean().default(true).describe('false keeps the order of the corpus'),
})

/** Documents of `source`, each cut to `maxLength` tokens. */
export const wholeDocuments = (source: TokenSource, input: z.input<typeof wholeDocumentsSchema>): Sampler => {
  const { seed, maxLength, shuffle } = parseConfig(wholeDocumentsSchema, input, 'wholeDocuments')
  if (source.documents === 0) throw new DataError('Expected at least one document, got none. Encode more text.')
  return {
    rowsPerEpoch: source.documents,
    maxLength,
    row(epoch, index) {
      checkIndex(epoch, index, source.documents)
      const document = shuffle ? permutedIndex(`${seed}/${epoch}`, source.documents, index) : index
      const start = source.documentStart(document)
      const length = Math.min(maxLength, source.documentEnd(document) - start)
      return { ids: source.readTokens(start, length), starts: [0], part: 0 }
    },
  }
}
