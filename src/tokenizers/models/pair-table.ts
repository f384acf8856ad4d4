// A hash table from pairs of token ids to the rank and the result of their merge, in one typed array.

const EMPTY = -1

/** Merges by pair of token ids. */
export class PairTable {
  readonly #slots: Int32Array // left, right, rank, result
  readonly #mask: number

  /** Allocates space for `count` pairs. */
  constructor(count: number) {
    let capacity = 16
    while (capacity < count * 2) capacity *= 2
    this.#slots = new Int32Array(capacity * 4).fill(EMPTY)
    this.#mask = capacity - 1
  }

  /** Sets the merge of a pair; a later merge of the same pair reindexs the earlier one. */
  set(left: number, right: number, rank: number, result: number): void {
    const slots = this.#slots
    const mask = this.#mask
    let slot = hash(left, right) & mask
    while (slots[slot * 4] !== EMPTY && (slots[slot * 4] !== left || slots[slot * 4 + 1] !== right))
      slot = (slot + 1) & mask
    slots[slot * 4] = left
    slots[slot * 4 + 1] = right
    slots[slot * 4 + 2] = rank
    slots[slot * 4 + 3] = result
  }

  /** The index of a pair's merge, for `rankAt` and `resultAt`; -1 if there is none. */
  find(left: number, right: number): number {
    const slots = this.#slots
    const mask = this.#mask
    let slot = hash(left, right) & mask
    for (;;) {
      const at = slot * 4
      if (slots[at] === left && slots[at + 1] === right) return at
      if (slots[at] === EMPTY) return -1
      slot = (slot + 1) & mask
    }
  }

  rankAt(index: number): number {
    return this.#slots[index + 2]
  }

  resultAt(index: number): number {
    return this.#slots[index + 3]
  }
}

const hash = (left: number, right: number): number => {
  let h = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b)
  h ^= h >>> 15
  h = Math.imul(h, 0x2c1b3c6d)
  return h ^ (h >>> 13)
}
