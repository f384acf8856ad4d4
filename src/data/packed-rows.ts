// Rows of equal length, cut from documents written one after another ("concatenate and cut"). It knows no masks: each row
// says where its documents begin.
import { z } from 'zod'
import { DataError, parseConfig, permutedIndex } from '../core/index.ts'
import { checkIndex, type Row, type Sampler } from './sampler.ts'
import type { IdArray } from './shard-manifest.ts'
import type { TokenSource } from './token-source.ts'

export const packedRowsSchema = z.strictObject({
  seed: z.union([z.number().int(), z.string()]).default(0).describe('another seed gives another order'),
  length: z.number().int().positive().describe('tokens in a row'),
  overlap: z
    .number()
    .int()
    .min(0)
    .default(0)
    .describe('tokens that a row shares with the next; 1 when labels are the next tokens'),
  shuffle: z
    .enum(['none', 'rows', 'documents'])
    .default('rows')
    .describe(
      'rows: cut in the order of the corpus, at another place every epoch, then shuffled; documents: shuffled, then cut',
    ),
})

/** Rows of exactly `length` tokens; what is left at the end of an epoch is not used in it. */
export const packedRows = (source: TokenSource, input: z.input<typeof packedRowsSchema>): Sampler => {
  const { seed, length, overlap, shuffle } = parseConfig(packedRowsSchema, input, 'packedRows')
  const step = length - overlap
  if (step < 1) throw new DataError(`Expected an overlap below the length ${length}, got ${overlap}. Lower it.`)
  // One row is kept free, so that cutting at another place every epoch leaves their number the same.
  const movable = shuffle === 'rows'
  const rows = Math.floor((source.tokens - overlap) / step) - (movable && source.tokens - overlap >= 2 * step ? 1 : 0)
  if (rows < 1) {
    throw new DataError(
      `Expected at least ${length} tokens, got ${source.tokens}. Encode more text, or shorten the rows.`,
    )
  }
  const orders = new DocumentOrders(source, seed)
  return {
    rowsPerEpoch: rows,
    maxLength: length,
    row(epoch, index) {
      checkIndex(epoch, index, rows)
      if (shuffle === 'documents') return orders.row(epoch, index * step, length)
      const spare = source.tokens - overlap - rows * step
      const offset = movable && spare > 0 ? permutedIndex(`${seed}/cut`, spare + 1, epoch % (spare + 1)) : 0
      const place = movable ? permutedIndex(`${seed}/${epoch}`, rows, index) : index
      return contiguousRow(source, offset + place * step, length)
    },
  }
}

const contiguousRow = (source: TokenSource, start: number, length: number): Row => {
  const starts = [0]
  for (let at = source.documentEnd(source.documentAt(start)); at < start + length; ) {
    if (at > start + starts[starts.length - 1]) starts.push(at - start)
    at = source.documentEnd(source.documentAt(at))
  }
  return { ids: source.readTokens(start, length), starts, part: 0 }
}

/** The shuffled documents of an epoch and where each begins in it; those of the last two epochs are remembered. */
class DocumentOrders {
  readonly #remembered = new Map<number, { documents: Uint32Array; ends: Float64Array }>()
  readonly #source: TokenSource
  readonly #seed: number | string

  constructor(source: TokenSource, seed: number | string) {
    this.#source = source
    this.#seed = seed
  }

  row(epoch: number, start: number, length: number): Row {
    const { documents, ends } = this.#of(epoch)
    let ids: IdArray | undefined
    const starts: number[] = []
    let low = 0
    let high = ends.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (ends[middle] > start) high = middle
      else low = middle + 1
    }
    for (let done = 0; done < length; low++) {
      const from = this.#source.documentStart(documents[low])
      const size = this.#source.documentEnd(documents[low]) - from
      if (size === 0) continue
      const skip = size - (ends[low] - start - done)
      const piece = this.#source.readTokens(from + skip, Math.min(size - skip, length - done))
      ids ??= new (piece.constructor as new (length: number) => IdArray)(length)
      ids.set(piece, done)
      starts.push(done)
      done += piece.length
    }
    return { ids: ids as IdArray, starts, part: 0 }
  }

  #of(epoch: number): { documents: Uint32Array; ends: Float64Array } {
    const known = this.#remembered.get(epoch)
    if (known !== undefined) return known
    const count = this.#source.documents
    const documents = new Uint32Array(count)
    const ends = new Float64Array(count)
    let end = 0
    for (let i = 0; i < count; i++) {
      const document = permutedIndex(`${this.#seed}/${epoch}`, count, i)
      documents[i] = document
      end += this.#source.documentEnd(document) - this.#source.documentStart(document)
      ends[i] = end
    }
    if (this.#remembered.size >= 2) this.#remembered.delete(this.#remembered.keys().next().value as number)
    const order = { documents, ends }
    this.#remembered.set(epoch, order)
    return order
  }
}
