// One document per row, in a new random order in each epoch, without packing.
import { z } from 'zod'
import { DataError, parseConfig, permutedIndex } from '../core/index.ts'
import { checkIndex, type Sampler } from './sampler.ts'
import type { TokenSource } from './token-source.ts'

/** Schema of the options of `wholeDocuments`. */
export const wholeDocumentsSchema = z.strictObject({
  seed: z.union([z.number().int(), z.string()]).default(0).describe('random seed of the order'),
  maxLength: z.number().int().positive().describe('maximum row length in tokens; longer documents are truncated'),
  shuffle: z
    .boolean()
    .default(true)
    .describe('shuffle the documents in each epoch; false keeps the order of the corpus'),
})

/** A sampler of whole documents, each truncated to `maxLength` tokens. Throws DataError for an empty source. */
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
