// Which elements of which parameters each process has: parameters are put into buckets, of each of which a process has an equal share.
// Independent of optimizers, and of how processes talk.
import type { Tensor } from '../tensor/index.ts'

/** Elements of a parameter that belong to the part, and where they are in it. */
export interface Piece {
  path: string
  /** First element in the parameter, flattened. */
  from: number
  size: number
  /** First element in the part. */
  at: number
}

/** Parameters whose gradients are exchanged together. */
export interface GradientBucket {
  /** Parameters with their place in the bucket, flat. */
  parts: { path: string; at: number; size: number }[]
  /** Elements of all of them. */
  size: number
}

/** The first bucket has at most this many bytes, as a fraction of the others: it is sent early. */
const firstShare = 1 / 25

/**
 * Buckets of parameters in an order in which a backward pass completes gradients: the last ones first.
 * @param early size of the first buckets as a fraction of the others
 */
export const gradientBuckets = (
  parameters: ReadonlyMap<string, Tensor>,
  bytes: number,
  early = firstShare,
): GradientBucket[] => {
  const buckets: GradientBucket[] = []
  for (const [path, { size }] of [...parameters].reverse()) {
    const most = (buckets.length < 2 ? early : 1) * bytes
    const last = buckets.at(-1)
    if (last === undefined || (last.size + size) * 4 > most) buckets.push({ parts: [{ path, at: 0, size }], size })
    else {
      last.parts.push({ path, at: last.size, size })
      last.size += size
    }
  }
  return buckets
}

/** The layout of parameters in parts: each part has an equal share of every bucket, so that buckets are exchanged one by one. */
export class ShardLayout {
  readonly buckets: readonly GradientBucket[]
  /** Elements of a part. */
  readonly partSize: number
  readonly #count: number
  readonly #starts: readonly number[]

  constructor(buckets: readonly GradientBucket[], count: number) {
    this.#count = count
    this.buckets = buckets
    const starts: number[] = []
    let at = 0
    for (const { size } of this.buckets) {
      starts.push(at)
      at += this.paddedSize(size) / count
    }
    this.#starts = starts
    this.partSize = at
  }

  /** Elements of a bucket with those that fill its last share. */
  paddedSize(size: number): number {
    return Math.ceil(size / this.#count) * this.#count
  }

  /** First element of the share of a bucket in each part. */
  partStart(bucket: number): number {
    return this.#starts[bucket]
  }

  piecesOf(index: number): Piece[] {
    return this.buckets.flatMap(({ parts, size }, bucket) => {
      const share = this.paddedSize(size) / this.#count
      const [first, end] = [index * share, (index + 1) * share]
      return parts.flatMap(({ path, at, size: length }) => {
        const [from, to] = [Math.max(first, at), Math.min(end, at + length)]
        return from < to ? [{ path, from: from - at, size: to - from, at: this.#starts[bucket] + from - first }] : []
      })
    })
  }
}
