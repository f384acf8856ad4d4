// T5's learned bias of attention scores by the distance of tokens, in buckets that widen with the distance.
import { ConfigError } from '../core/index.ts'
import { Tensor } from '../tensor/index.ts'
import { Embedding } from './embedding.ts'
import { Module } from './module.ts'

/** A learned bias of attention scores by distance. Its parameters are not set until `initialize` or `loadState`, see `Module`. */
export class RelativeBias extends Module {
  table: Embedding
  readonly #buckets: number
  /** Distance from which on all share the last bucket. */
  readonly maxDistance: number
  readonly #bidirectional: boolean

  constructor(options: { buckets: number; maxDistance: number; heads: number; bidirectional: boolean }) {
    super()
    // With fewer, no distance has a bucket of its own, and the logarithm of the others is undefined.
    if (options.buckets < 4 || options.maxDistance <= options.buckets / 2)
      throw new ConfigError(
        `Expected at least 4 buckets and a maximum distance of more than half of them for the relative bias, got ${options.buckets} and ${options.maxDistance}.`,
      )
    this.table = new Embedding(options.buckets, options.heads)
    this.#buckets = options.buckets
    this.maxDistance = options.maxDistance
    this.#bidirectional = options.bidirectional
  }

  /** The bucket of a distance (key position minus query position). @source arXiv:1910.10683, section 2.1 */
  bucket(distance: number): number {
    let buckets = this.#buckets
    let start = 0
    let back = -distance
    if (this.#bidirectional) {
      buckets = Math.floor(buckets / 2)
      if (distance > 0) start = buckets
      back = Math.abs(distance)
    } else back = Math.max(back, 0)
    const exact = Math.floor(buckets / 2)
    if (back < exact) return start + back
    // Rounded to float32 as in the published implementation, so that distances at an edge get the same bucket.
    const grown = Math.fround(
      Math.fround(Math.log(Math.fround(back / exact))) / Math.fround(Math.log(this.maxDistance / exact)),
    )
    return start + Math.min(exact + Math.floor(Math.fround(grown * (buckets - exact))), buckets - 1)
  }

  /** [1,H,T,S] for queries at positions `offset` … and keys at 0 … */
  forward(queries: number, keys: number, offset = 0): Tensor {
    const ids = new BigInt64Array(queries * keys)
    for (let t = 0; t < queries; t++)
      for (let s = 0; s < keys; s++) ids[t * keys + s] = BigInt(this.bucket(s - (t + offset)))
    return this.table
      .forward(Tensor.from(ids, { shape: [queries, keys], device: this.table.device }))
      .permute([2, 0, 1])
      .unsqueeze(0)
  }
}
