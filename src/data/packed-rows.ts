// Rows of equal length from concatenated documents. Each row holds the start of each of its documents.
// Independent of attention masks.
import { z } from 'zod'
import { DataError, parseConfig, permutedIndex } from '../core/index.ts'
import { checkIndex, type Row, type Sampler } from './sampler.ts'
import type { IdArray } from './shard-manifest.ts'
import { firstAbove, type TokenSource } from './token-source.ts'

/** Schema of the options of `packedRows`. */
export const packedRowsSchema = z.strictObject({
  seed: z.union([z.number().int(), z.string()]).default(0).describe('random seed of the order'),
  length: z.number().int().positive().describe('row length in tokens'),
  overlap: z
    .number()
    .int()
    .min(0)
    .default(0)
    .describe('tokens shared by consecutive rows; 1 if labels are the next tokens'),
  shuffle: z
    .enum(['none', 'rows', 'documents'])
    .default('rows')
    .describe(
      'rows: split the concatenated corpus at another offset in each epoch, then shuffle the rows; documents: shuffle the documents, then split; none: keep the order',
    ),
})

/**
 * A sampler of rows of exactly `length` tokens; the remainder at the end of an epoch is not used in it. Throws
 * DataError if the source is shorter than one row.
 */
export const packedRows = (source: TokenSource, input: z.input<typeof packedRowsSchema>): Sampler => {
  const { seed, length, overlap, shuffle } = parseConfig(packedRowsSchema, input, 'packedRows')
  const step = length - overlap
  if (step < 1) throw new DataError(`Expected an overlap below the length ${length}, got ${overlap}. Lower it.`)
  // One row is left out, so that the number of rows is the same for every offset.
  const shifts = shuffle === 'rows'
  const rows = Math.floor((source.tokens - overlap) / step) - (shifts && source.tokens - overlap >= 2 * step ? 1 : 0)
  if (rows < 1) {
    throw new DataError(
      `Expected at least ${length} tokens, got ${source.tokens}. Encode more text, or shorten the rows.`,
    )
  }
  const orders = new DocumentOrders(source, seed)
  const startOf = (epoch: number, index: number): number => {
    const spare = source.tokens - overlap - rows * step
    const offset = shifts && spare > 0 ? permutedIndex(`${seed}/cut`, spare + 1, epoch % (spare + 1)) : 0
    const row = shifts ? permutedIndex(`${seed}/${epoch}`, rows, index) : index
    return offset + row * step
  }
  return {
    rowsPerEpoch: rows,
    maxLength: length,
    row(epoch, index) {
      checkIndex(epoch, index, rows)
      if (shuffle === 'documents') return orders.row(epoch, index * step, length)
      return contiguousRow(source, startOf(epoch, index), length)
    },
    place(epoch, index) {
      if (source.folder === undefined || shuffle === 'documents') return undefined
      return `document ${source.documentAt(startOf(epoch, index)) + 1} of ${source.folder}`
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

/** The shuffled documents of each epoch with their ends; cached for the last two epochs. */
class DocumentOrders {
  readonly #cached = new Map<number, { documents: Uint32Array; ends: Float64Array }>()
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
    let place = firstAbove(ends, ends.length, start)
    for (let done = 0; done < length; place++) {
      const from = this.#source.documentStart(documents[place])
      const size = this.#source.documentEnd(documents[place]) - from
      if (size === 0) continue
      const skip = size - (ends[place] - start - done)
      const piece = this.#source.readTokens(from + skip, Math.min(size - skip, length - done))
      ids ??= new (piece.constructor as new (length: number) => IdArray)(length)
      ids.set(piece, done)
      starts.push(done)
      done += piece.length
    }
    return { ids: ids as IdArray, starts, part: 0 }
  }

  #of(epoch: number): { documents: Uint32Array; ends: Float64Array } {
    const known = this.#cached.get(epoch)
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
    if (this.#cached.size >= 2) this.#cached.delete(this.#cached.keys().next().value as number)
    const order = { documents, ends }
    this.#cached.set(epoch, order)
    return order
  }
}
