// Keys and values of the beginnings of earlier texts, in blocks of tokens, so that a prompt that begins the same is not
// computed again. A block is found by the hash of its tokens, of all tokens before it, and of the weights and adapter that
// computed it. Independent of models and of the cache of the rows.
import { OutOfMemoryError, sha256 } from '../core/index.ts'
import { bytesOf, type Tensor } from '../tensor/index.ts'

/** Tokens of a block; only whole blocks are stored. */
export const blockTokens = 16

/** Blocks of keys and values, least recently used first. */
export class PrefixStore {
  readonly #limit: number
  readonly #blocks = new Map<string, Tensor>()
  #bytes = 0

  /** @param limit maximum bytes of all blocks */
  constructor(limit: number) {
    this.#limit = limit
  }

  /** Bytes of all blocks. */
  get bytes(): number {
    return this.#bytes
  }

  /**
   * The stored blocks at the beginning of a text, in order.
   * @param weights what names the weights that compute the text
   * @param most maximum number of tokens
   */
  find(weights: string, ids: readonly number[], most: number): Tensor[] {
    const found: [string, Tensor][] = []
    for (const key of this.#keys(weights, ids, Math.floor(most / blockTokens))) {
      const block = this.#blocks.get(key)
      if (block === undefined) break
      found.push([key, block])
    }
    this.#touch(found)
    return found.map(([, block]) => block)
  }

  /**
   * Stores the whole blocks of a text that are not stored yet; drops all where memory does not suffice.
   * @param length tokens that are computed
   * @param read copies the keys and values of some tokens; the store frees the copy
   */
  add(weights: string, ids: readonly number[], length: number, read: (from: number, count: number) => Tensor): void {
    const found: [string, Tensor][] = []
    try {
      for (const key of this.#keys(weights, ids, Math.floor(length / blockTokens)))
        found.push([key, this.#blocks.get(key) ?? read(found.length * blockTokens, blockTokens)])
    } catch (error) {
      if (!(error instanceof OutOfMemoryError)) throw error
      // Texts need the memory more than copies of what they could compute again.
      for (const [key, block] of found) if (!this.#blocks.has(key)) block.free()
      this.clear()
      return
    }
    for (const [key, block] of found) if (!this.#blocks.has(key)) this.#bytes += bytesOf(block)
    this.#touch(found)
    for (const [key, block] of this.#blocks) {
      if (this.#bytes <= this.#limit) break
      this.#blocks.delete(key)
      this.#bytes -= bytesOf(block)
      block.free()
    }
  }

  /** Drops all blocks. */
  clear(): void {
    for (const block of this.#blocks.values()) block.free()
    this.#blocks.clear()
    this.#bytes = 0
  }

  *#keys(weights: string, ids: readonly number[], count: number): Iterable<string> {
    let key = weights
    for (let block = 0; block < count; block++) {
      key = sha256(`${key}:${ids.slice(block * blockTokens, (block + 1) * blockTokens).join()}`)
      yield key
    }
  }

  /** Makes blocks the most recently used. A block counts as used after those that follow it, which are useless without it. */
  #touch(blocks: readonly [string, Tensor][]): void {
    for (const [key, block] of blocks.toReversed()) {
      this.#blocks.delete(key)
      this.#blocks.set(key, block)
    }
  }
}
