// Packed rows with virtual tokens: several documents in one row, each with its own virtual positions in front. One
// lookup turns a row of virtual positions followed by the texts into that form. Independent of methods.
import { ShapeError } from '../../core/index.ts'
import type { BodyInputs } from '../../models/index.ts'
import { embedding, Tensor } from '../../tensor/index.ts'

/** Index tables of one packed batch. */
export class PackedDocuments {
  /** Cumulative lengths including the virtual positions, int64 [n+1] on the CPU. */
  readonly starts: Tensor
  /** Length of the longest document, without virtual positions. */
  readonly longest: number
  readonly #order: Tensor
  readonly #text: Tensor

  /**
   * @param starts cumulative lengths without virtual positions, int64 [n+1] on the CPU
   * @param virtual number of virtual positions of a document
   * @param device where the tokens are
   */
  constructor(starts: Tensor, virtual: number, device: string) {
    const edges = Array.from(starts.to('int64').toTypedArray() as BigInt64Array, Number)
    const count = edges.length - 1
    const tokens = edges[count]
    const order = new BigInt64Array(count * virtual + tokens)
    const text = new BigInt64Array(tokens)
    let longest = 0
    let at = 0
    for (let document = 0; document < count; document++) {
      const [from, to] = [edges[document], edges[document + 1]]
      longest = Math.max(longest, to - from)
      for (let place = 0; place < virtual; place++) order[at++] = BigInt(place)
      for (let token = from; token < to; token++) {
        text[token] = BigInt(at)
        order[at++] = BigInt(virtual + token)
      }
    }
    const wide = BigInt64Array.from(edges, (edge, document) => BigInt(edge + document * virtual))
    this.starts = Tensor.from(wide, { shape: [count + 1] })
    this.longest = longest
    this.#order = Tensor.from(order, { shape: [order.length], device })
    this.#text = Tensor.from(text, { shape: [tokens], device })
  }

  /** Repeats the first P ids before each document: [1,P+N] -> [1,n·P+N]. */
  repeatIds(ids: Tensor): Tensor {
    return ids.indexSelect(1, this.#order)
  }

  /** The same for vectors: [1,P+N,...] -> [1,n·P+N,...]. Gradients of the copies are summed in float32. */
  repeat(rows: Tensor): Tensor {
    return rowsAt(rows, this.#order)
  }

  /** Drops the virtual positions: [1,n·P+N,...] -> [1,N,...]. */
  textOf(rows: Tensor): Tensor {
    return rowsAt(rows, this.#text)
  }

  /** The same for ids: [1,n·P+N] -> [1,N]. */
  textIdsOf(ids: Tensor): Tensor {
    return ids.indexSelect(1, this.#text)
  }
}

/** [1,R,...] at int64 [M] -> [1,M,...] */
const rowsAt = (rows: Tensor, places: Tensor): Tensor => {
  const [, count, ...rest] = rows.shape
  return embedding(rows.reshape([count, -1]), places).view([1, places.shape[0], ...rest])
}

/** The documents of a packed batch; undefined for padded rows. @throws ShapeError for packed rows with a cache */
export const packedDocuments = (
  { inputIds, starts, cache }: BodyInputs,
  virtual: number,
): PackedDocuments | undefined => {
  if (starts === undefined) return undefined
  if (cache !== undefined)
    throw new ShapeError(
      'Expected no `cache` together with packed rows (`starts`), got one: a cache has one length for all rows. Pad the batch.',
    )
  return new PackedDocuments(starts, virtual, inputIds.device)
}
