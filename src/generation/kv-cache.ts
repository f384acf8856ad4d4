// The KV cache: keys and values of earlier tokens, in one buffer a layer that is written in place and doubles when it
// is full. Rows can be selected, repeated and dropped. Independent of models; no gradient goes through it.
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

  /** Device of the buffers. */
  get device(): string {
    return (this.#pair ?? this.#source)?.key.device ?? 'cpu'
  }

  append(key: Tensor, value: Tensor): Pair {
    const added = key.shape[1]
    const total = this.#length + added
    this.#pair ??= { key: this.#allocate(key), value: this.#allocate(value) }
    if (total > this.#capacity) this.#grow(total)
    const { key: keys, value: values } = this.#pair
    noGrad(() => {
      keys.narrow(1, this.#length, added).copy_(key)
      values.narrow(1, this.#length, added).copy_(value)
    })
    this.#length = total
    return { key: keys.narrow(1, 0, total), value: values.narrow(1, 0, total) }
  }

  take(): { keys: Tensor; values: Tensor; past: number } | undefined {
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

  #allocate(like: Tensor): Tensor {
    const [rows, , heads, size] = like.shape
    return keep(empty([rows, this.#capacity, heads, size], { dtype: like.dtype, device: like.device }))
  }

  #grow(needed: number): void {
    this.#capacity = Math.max(needed, 2 * this.#capacity)
    this.#replace((old) => {
      const grown = this.#allocate(old)
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

/** The caches of all layers for one batch. Call `free()` when done; otherwise the garbage collector frees it later. */
export class KvCache {
  readonly layers: readonly LayerBuffers[]

  /** @param capacity tokens that fit before the buffers must grow */
  constructor(numLayers: number, capacity: number) {
    this.layers = Array.from({ length: numLayers }, () => new LayerBuffers(Math.max(1, capacity)))
  }

  /** Number of cached tokens, the same for every row. */
  get length(): number {
    return this.layers[0].length
  }

  /** Makes row i the former row `rows[i]`: reorders, repeats or drops rows. */
  select(rows: readonly number[]): void {
    scope(() => {
      const { device } = this.layers[0]
      const index = Tensor.from(BigInt64Array.from(rows, BigInt), { device })
      for (const layer of this.layers) layer.select(index)
    })
  }

  /** Drops all tokens after the first `length`. */
  truncate(length: number): void {
    for (const layer of this.layers) layer.truncate(length)
  }

  /** Frees the buffers. */
  free(): void {
    for (const layer of this.layers) layer.free()
  }
}
