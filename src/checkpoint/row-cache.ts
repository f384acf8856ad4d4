// Rows of numbers by key on disk, such as features or log-probabilities of sequences, in shards named by the SHA-256 of their own
// bytes: shards are written atomically, a damaged one is detected, and new keys only add shards.
import { createHash } from 'node:crypto'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { makeFolder, sha256, sha256File, writeFileAtomic } from '../core/index.ts'
import { freeTensors, scope, Tensor, zeros } from '../tensor/index.ts'
import { makeSafetensorsHeader, openSafetensors } from './safetensors.ts'

/** Bytes of a key, which is written in hex. */
const keyBytes = 16
/** A shard is written when this many bytes are buffered: the work that a kill or a damaged byte may cost. */
const shardBytes = 8 << 20
/** A shard is also written after this time. */
const shardMs = 20_000
const shardName = /^[0-9a-f]{64}\.safetensors$/

interface Place {
  shard: number
  /** First row in the shard, and the number of rows. */
  row: number
  rows: number
}

/** The key of parts of what rows depend on; a part that is missing is no empty part. */
export const rowKey = (parts: readonly (Uint32Array | Uint8Array | undefined)[]): string => {
  const hash = createHash('sha256')
  for (const part of parts) {
    hash.update(Int32Array.of(part === undefined ? -1 : part.length))
    if (part !== undefined) hash.update(part)
  }
  return hash.digest('hex').slice(0, 2 * keyBytes)
}

/** How a cache is written. */
export interface CacheLimits {
  /** Bytes at which a shard is written. */
  most?: number
  /** False for processes that read what another one writes: what they add stays in memory. */
  writes?: boolean
}

/** Rows of `width` numbers by key; a key may have several rows. */
export class RowCache {
  readonly folder: string | undefined
  readonly width: number
  readonly damaged: string[] = []
  readonly #places = new Map<string, Place>()
  /** float32 [rows,width] of each shard: mapped files, or tensors in memory. */
  readonly #shards: Tensor[] = []
  #buffer: { key: string; values: Float32Array }[] = []
  #bufferedBytes = 0
  #flushed = performance.now()
  readonly #shardBytes: number
  readonly #writes: boolean

  /** @param folder undefined for a cache in memory only */
  private constructor(folder: string | undefined, width: number, { most = shardBytes, writes = true }: CacheLimits) {
    this.folder = folder
    this.width = width
    this.#shardBytes = most
    this.#writes = writes
  }

  /**
   * Opens the cache that `about` describes inside `root`; everything that all rows depend on belongs in `about`. Each shard is
   * checked by its hash, and removed where it is damaged.
   */
  static async open(
    root: string | undefined,
    about: object,
    width: number,
    limits: CacheLimits = {},
  ): Promise<RowCache> {
    if (root === undefined) return new RowCache(undefined, width, limits)
    const text = JSON.stringify(about, null, 2)
    const cache = new RowCache(join(root, sha256(text).slice(0, 32)), width, limits)
    const folder = cache.folder!
    await makeFolder(folder)
    const names: string[] = (await readdir(folder)).sort()
    if (!names.includes('about.json')) await writeFileAtomic(join(folder, 'about.json'), `${text}\n`)
    for (const name of names) if (shardName.test(name)) await cache.#openShard(join(folder, name), name.slice(0, 64))
    return cache
  }

  get size(): number {
    return this.#places.size
  }

  has(key: string): boolean {
    return this.#places.has(key)
  }

  /** Stores rows of `width` values under a key; they are on disk after the next `flush` at the latest. */
  async add(key: string, values: Float32Array): Promise<void> {
    this.#buffer.push({ key, values })
    this.#bufferedBytes += values.byteLength
    if (this.#bufferedBytes >= this.#shardBytes || performance.now() - this.#flushed > shardMs) await this.flush()
  }

  async flush(): Promise<void> {
    const entries = this.#buffer
    if (entries.length === 0) return
    this.#buffer = []
    this.#bufferedBytes = 0
    this.#flushed = performance.now()
    const keys = new Uint8Array(entries.length * keyBytes)
    const counts = new Int32Array(entries.length)
    const total = entries.reduce((sum, { values }) => sum + values.length, 0)
    const values = new Float32Array(total)
    let at = 0
    entries.forEach((entry, i) => {
      keys.set(Buffer.from(entry.key, 'hex'), i * keyBytes)
      counts[i] = entry.values.length / this.width
      values.set(entry.values, at)
      at += entry.values.length
    })
    const tensors = new Map([
      ['keys', Tensor.from(keys, { shape: [entries.length, keyBytes] })],
      ['rows', Tensor.from(counts)],
      ['values', Tensor.from(values, { shape: [total / this.width, this.width] })],
    ])
    if (this.folder !== undefined && this.#writes) {
      const parts = [makeSafetensorsHeader(tensors), keys, counts, values].map(
        (part) => new Uint8Array(part.buffer, part.byteOffset, part.byteLength),
      )
      const bytes = Buffer.concat(parts)
      await writeFileAtomic(join(this.folder, `${sha256(bytes)}.safetensors`), bytes)
    }
    this.#index(
      tensors.get('values')!,
      entries.map(({ key }) => key),
      counts,
    )
    freeTensors([tensors.get('keys')!, tensors.get('rows')!])
  }

  /** The rows of the keys in order, float32 [rows,width]. Call `flush` first. */
  gather(keys: readonly string[]): Tensor {
    const firsts: number[] = []
    let total = 0
    for (const key of keys) {
      firsts.push(total)
      total += this.#placeOf(key).rows
    }
    // Grouped by shard, so that each is read once.
    const from: number[][] = this.#shards.map(() => [])
    const to: number[][] = this.#shards.map(() => [])
    keys.forEach((key, i) => {
      const { shard, row, rows } = this.#placeOf(key)
      for (let n = 0; n < rows; n++) {
        from[shard].push(row + n)
        to[shard].push(firsts[i] + n)
      }
    })
    return scope(() => {
      const all = zeros([total, this.width])
      this.#shards.forEach((values, shard) => {
        if (from[shard].length === 0) return
        const [source, target] = [from, to].map((lists) => indices(lists[shard]))
        all.indexCopy_(0, target, values.indexSelect(0, source))
      })
      return all
    })
  }

  /** Lets go of everything; what was gathered stays. */
  close(): void {
    freeTensors(this.#shards)
    this.#places.clear()
  }

  rowsOf(key: string): number {
    return this.#placeOf(key).rows
  }

  #placeOf(key: string): Place {
    return this.#places.get(key)!
  }

  #index(values: Tensor, keys: readonly string[], counts: ArrayLike<number>): void {
    const shard = this.#shards.push(values.keep()) - 1
    let row = 0
    keys.forEach((key, i) => {
      this.#places.set(key, { shard, row, rows: counts[i] })
      row += counts[i]
    })
  }

  async #openShard(path: string, expected: string): Promise<void> {
    const reject = async () => {
      this.damaged.push(path)
      await rm(path, { force: true })
    }
    // The hash in the name is checked before anything is mapped or trusted.
    if ((await sha256File(path).catch(() => undefined)) !== expected) return reject()
    const file = await openSafetensors(path)
    const [keys, rows, values] = ['keys', 'rows', 'values'].map((name) => file.tensor(name))
    if (values.shape[1] !== this.width) return reject()
    const bytes = Buffer.from(keys.toTypedArray() as Uint8Array)
    const names = Array.from({ length: keys.shape[0] }, (_, i) =>
      bytes.toString('hex', i * keyBytes, (i + 1) * keyBytes),
    )
    this.#index(values, names, rows.toTypedArray() as Int32Array)
    freeTensors([keys, rows])
  }
}

const indices = (values: readonly number[]): Tensor => Tensor.from(Int32Array.from(values), { dtype: 'int64' })
