// Several documents in one row, each with virtual positions of its own in front. What is made for one row, the virtual positions and then
// the text's, becomes that by one lookup. Knows no method.
import { ShapeError } from '../../core/index.ts'
import type { BodyInputs } from '../../models/index.ts'
import { embedding, Tensor } from '../../tensor/index.ts'

export class PackedDocuments {
  /** Cumulative lengths with the virtual positions, int64 [n+1]. */
  readonly starts: Tensor
  /** Tokens of the longest document, without the virtual ones. */
  readonly longest: number
  readonly #order: Tensor
  readonly #text: Tensor

  /** @param starts cumulative lengths without the virtual positions, int64 [n+1] */
  constructor(starts: Tensor, virtual: number) {
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
    const { device } = starts
    const wide = BigInt64Array.from(edges, (edge, document) => BigInt(edge + document * virtual))
    this.starts = Tensor.from(wide, { shape: [count + 1], device })
    this.longest = longest
    this.#order = Tensor.from(order, { shape: [order.length], device })
    this.#text = Tensor.from(text, { shape: [tokens], device })
  }

  /** Of whole numbers, such as ids: [1,P+N] -> [1,n·P+N], the first P before each document's own. */
  repeatIds(ids: Tensor): Tensor {
    return ids.indexSelect(1, this.#order)
  }

  /** The same of vectors: [1,P+N,...] -> [1,n·P+N,...]. Gradients of the copies are summed in float32. */
  repeat(rows: Tensor): Tensor {
    return rowsAt(rows, this.#order)
  }

  /** Without the virtual positions: [1,n·P+N,...] -> [1,N,...]. */
  textOf(rows: Tensor): Tensor {
    return rowsAt(rows, this.#text)
  }

  /** The same of ids: [1,n·P+N] -> [1,N]. */
  textIdsOf(ids: Tensor): Tensor {
    return ids.indexSelect(1, this.#text)
  }
}

/** [1,R,...] at int64 [M] -> [1,M,...] */
const rowsAt = (rows: Tensor, places: Tensor): Tensor => {
  const [, count, ...rest] = rows.shape
  return embedding(rows.reshape([count, -1]), places).view([1, places.shape[0], ...rest])
}

/** Of a batch of packed rows; undefined where rows are padded. @throws ShapeError where packed rows come with a cache */
export const packedDocuments = ({ starts, cache }: BodyInputs, virtual: number): PackedDocuments | undefined => {
  if (starts === undefined) return undefined
  if (cache !== undefined)
    throw new ShapeError(
      'Expected no `cache` beside packed rows (`starts`), got one: it counts one length for all documents. Pad the batch.',
    )
  return new PackedDocuments(starts, virtual)
}
