// Keys and values of the tokens so far, a buffer for each layer that is written in place and doubles when it is full; rows can
// be picked, repeated and dropped. Knows nothing of models, and never records for backward.
import type { LayerCache } from '../nn/index.ts'
import { empty, keep, noGrad, scope, Tensor } from '../tensor/index.ts'

type Pair = { key: Tensor; value: Tensor }

class LayerBuffers implements LayerCache {
  #pair: Pair | undefined
  #source: Pair | undefined
  #length = 0
  #capacity: number

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  get length(): number {
    return this.#length
  }

  append(key: Tensor, value: Tensor): Pair {
    const added = key.shape[1]
    const total = this.#length + added
    this.#pair ??= { key: this.#room(key), value: this.#room(value) }
    if (total > this.#capacity) this.#grow(total)
    const { key: keys, value: values } = this.#pair
    noGrad(() => {
      keys.narrow(1, this.#length, added).copy_(key)
      values.narrow(1, this.#length, added).copy_(value)
    })
    this.#length = total
    return { key: keys.narrow(1, 0, total), value: values.narrow(1, 0, total) }
  }

  takeOne(): { keys: Tensor; values: Tensor; past: number } | undefined {
    if (this.#pair === undefined) return undefined
    const past = this.#length
    if (past + 1 > this.#capacity) this.#grow(past + 1)
    this.#length = past + 1
    return { keys: this.#pair.key, values: this.#pair.value, past }
  }

  source(make: () => Pair): Pair {
    if (this.#source === undefined) {
      const { key, value } = make()
      this.#source = { key: keep(key), value: keep(value) }
    }
    return this.#source
  }

  #room(like: Tensor): Tensor {
    const [rows, , heads, size] = like.shape
    return keep(empty([rows, this.#capacity, heads, size], { dtype: like.dtype, device: like.device }))
  }

  #grow(needed: number): void {
    this.#capacity = Math.max(needed, 2 * this.#capacity)
    this.#replace((old) => {
      const grown = this.#room(old)
      if (this.#length > 0) noGrad(() => grown.narrow(1, 0, this.#length).copy_(old.narrow(1, 0, this.#length)))
      return grown
    })
  }

  #replace(change: (old: Tensor) => Tensor): void {
    if (this.#pair === undefined) return
    const { key, value } = this.#pair
    this.#pair = { key: change(key), value: change(value) }
    key.free()
    value.free()
  }

  select(rows: Tensor): void {
    const pick = (tensor: Tensor) => keep(noGrad(() => tensor.indexSelect(0, rows)))
    this.#replace(pick)
    if (this.#source === undefined) return
    const { key, value } = this.#source
    this.#source = { key: pick(key), value: pick(value) }
    key.free()
    value.free()
  }

  truncate(length: number): void {
    this.#length = Math.min(this.#length, length)
  }

  free(): void {
    for (const pair of [this.#pair, this.#source]) {
      pair?.key.free()
      pair?.value.free()
    }
    this.#pair = this.#source = undefined
    this.#length = 0
  }
}

/** The caches of all layers of one batch. `free()` it when done; the collector does otherwise. */
export class KvCache {
  readonly layers: readonly LayerBuffers[]

  /** @param capacity tokens that fit before the first growth */
  constructor(numLayers: number, capacity: number) {
    this.layers = Array.from({ length: numLayers }, () => new LayerBuffers(Math.max(1, capacity)))
  }

  /** Tokens held, the same for every row. */
  get length(): number {
    return this.layers[0].length
  }

  /** Makes row i what row `rows[i]` was: reorders, repeats and drops. */
  select(rows: readonly number[]): void {
    scope(() => {
      const index = Tensor.from(BigInt64Array.from(rows, BigInt))
      for (const layer of this.layers) layer.select(index)
    })
  }

  /** Forgets the tokens after the first `length`. */
  truncate(length: number): void {
    for (const layer of this.layers) layer.truncate(length)
  }

  free(): void {
    for (const layer of this.layers) layer.free()
  }
}
