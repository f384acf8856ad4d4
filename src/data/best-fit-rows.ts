// Packs whole documents into rows with best-fit decreasing, so that few documents are split and little padding is
// needed. A row holds the start of each of its documents.
// @source Ding et al. 2024, arXiv:2404.10830 (best-fit packing)
import { z } from 'zod'
import { DataError, parseConfig, permutedIndex } from '../core/index.ts'
import { checkIndex, type Sampler } from './sampler.ts'
import type { IdArray } from './shard-manifest.ts'
import type { TokenSource } from './token-source.ts'

/** Schema of the options of `bestFitRows`. */
export const bestFitRowsSchema = z.strictObject({
  seed: z.union([z.number().int(), z.string()]).default(0).describe('random seed of the order'),
  length: z
    .number()
    .int()
    .positive()
    .max(1 << 24)
    .describe('maximum row length in tokens'),
  shuffle: z.boolean().default(true).describe('shuffle the rows in each epoch; false keeps the order of packing'),
})

/** An assignment of documents, or pieces of long documents, to rows. */
export interface PackingPlan {
  /** Piece `p` is the tokens `start[p] .. start[p] + length[p])` of the source. */
  start: Float64Array
  length: Uint32Array
  /** Row `r` holds the pieces `order[rowEnds[r - 1] ?? 0 .. rowEnds[r])`. */
  order: Uint32Array
  rowEnds: Uint32Array
}

/**
 * A sampler of rows of at most `length` tokens with whole documents. Only documents longer than a row are split. The
 * rows are the same in each epoch, in another order. Throws DataError for an empty source.
 */
export const bestFitRows = (source: TokenSource, input: z.input<typeof bestFitRowsSchema>): Sampler => {
  const { seed, length, shuffle } = parseConfig(bestFitRowsSchema, input, 'bestFitRows')
  if (source.tokens === 0) throw new DataError('Expected at least one token, got none. Encode more text.')
  const plan = planBestFit(source, length)
  const rows = plan.rowEnds.length
  return {
    rowsPerEpoch: rows,
    maxLength: length,
    row(epoch, index) {
      checkIndex(epoch, index, rows)
      const row = shuffle ? permutedIndex(`${seed}/${epoch}`, rows, index) : index
      const pieces = plan.order.subarray(row === 0 ? 0 : plan.rowEnds[row - 1], plan.rowEnds[row])
      const starts: number[] = []
      let size = 0
      for (const piece of pieces) {
        starts.push(size)
        size += plan.length[piece]
      }
      let ids: IdArray | undefined
      for (let i = 0; i < pieces.length; i++) {
        const part = source.readTokens(plan.start[pieces[i]], plan.length[pieces[i]])
        ids ??= new (part.constructor as new (length: number) => IdArray)(size)
        ids.set(part, starts[i])
      }
      return { ids: ids as IdArray, starts, part: 0 }
    },
  }
}

/** Assigns pieces to rows, longest first, each to the fullest row with enough space. */
export const planBestFit = (source: TokenSource, rowLength: number): PackingPlan => {
  let count = 0
  for (let document = 0; document < source.documents; document++) {
    count += Math.ceil((source.documentEnd(document) - source.documentStart(document)) / rowLength)
  }
  const start = new Float64Array(count)
  const length = new Uint32Array(count)
  let piece = 0
  for (let document = 0; document < source.documents; document++) {
    const end = source.documentEnd(document)
    for (let at = source.documentStart(document); at < end; at += rowLength) {
      start[piece] = at
      length[piece++] = Math.min(rowLength, end - at)
    }
  }
  const byLength = Uint32Array.from({ length: count }, (_, i) => i).sort((a, b) => length[b] - length[a] || a - b)
  // Rows by free space: heads of linked lists, and a tree that finds the smallest space that is large enough.
  const spaces = new SpaceTree(rowLength)
  const firstWith = new Int32Array(rowLength + 1).fill(-1)
  const nextWith = new Int32Array(count)
  const rowOf = new Uint32Array(count)
  let rows = 0
  for (const item of byLength) {
    const space = spaces.smallestAtLeast(length[item])
    let row = rows
    let free = rowLength
    if (space >= 0) {
      row = firstWith[space]
      free = space
      firstWith[space] = nextWith[row]
      if (firstWith[space] < 0) spaces.remove(space)
    } else rows++
    rowOf[item] = row
    free -= length[item]
    if (free === 0) continue
    if (firstWith[free] < 0) spaces.add(free)
    nextWith[row] = firstWith[free]
    firstWith[free] = row
  }
  const rowEnds = new Uint32Array(rows)
  for (const row of rowOf) rowEnds[row]++
  for (let row = 1; row < rows; row++) rowEnds[row] += rowEnds[row - 1]
  const order = new Uint32Array(count)
  const next = rowEnds.slice()
  // Backwards, so that the pieces of a row are in the order of the corpus.
  for (let item = count - 1; item >= 0; item--) order[--next[rowOf[item]]] = item
  return { start, length, order, rowEnds }
}

/** A set of integers from 0 to `most` with a search for the smallest element at or above a number. */
class SpaceTree {
  readonly #size: number
  readonly #present: Uint8Array

  constructor(most: number) {
    this.#size = 2 ** Math.ceil(Math.log2(most + 1))
    this.#present = new Uint8Array(2 * this.#size)
  }

  add(value: number): void {
    for (let node = this.#size + value; node > 0; node >>= 1) this.#present[node] = 1
  }

  remove(value: number): void {
    let node = this.#size + value
    this.#present[node] = 0
    for (node >>= 1; node > 0; node >>= 1) this.#present[node] = this.#present[2 * node] | this.#present[2 * node + 1]
  }

  smallestAtLeast(value: number): number {
    let node = this.#size + value
    if (this.#present[node]) return value
    // Up to the first non-empty subtree on the right, then down its left side.
    while (node > 1 && (node & 1 || !this.#present[node + 1])) node >>= 1
    if (node <= 1) return -1
    node++
    while (node < this.#size) node = this.#present[2 * node] ? 2 * node : 2 * node + 1
    return node - this.#size
  }
}
