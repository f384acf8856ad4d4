// A trie over UTF-16 units with its edges in one hash table.

const EMPTY = -1

/** A map from strings to non-negative integers, searched one UTF-16 unit at a time. */
export class UnitTrie {
  readonly #slots: Int32Array // node, unit, child
  readonly #values: Int32Array
  readonly #mask: number
  #nodes = 1

  /** Allocates space for strings of `units` UTF-16 units in total. */
  constructor(units: number) {
    let capacity = 16
    while (capacity < units * 2) capacity *= 2
    this.#slots = new Int32Array(capacity * 3).fill(EMPTY)
    this.#values = new Int32Array(units + 1).fill(EMPTY)
    this.#mask = capacity - 1
  }

  add(text: string, value: number): void {
    let node = 0
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i)
      const at = this.#find(node, unit)
      if (this.#slots[at] === EMPTY) {
        this.#slots[at] = node
        this.#slots[at + 1] = unit
        this.#slots[at + 2] = this.#nodes++
      }
      node = this.#slots[at + 2]
    }
    this.#values[node] = value
  }

  /** The child of `node` (0 is the root) for `unit`; -1 if there is none. */
  step(node: number, unit: number): number {
    return this.#slots[this.#find(node, unit) + 2]
  }

  /** The value of the string that ends at `node`; -1 if none ends there. */
  valueAt(node: number): number {
    return this.#values[node]
  }

  #find(node: number, unit: number): number {
    const slots = this.#slots
    const mask = this.#mask
    let h = Math.imul(node, 0x9e3779b1) ^ Math.imul(unit, 0x85ebca6b)
    h ^= h >>> 15
    let slot = h & mask
    for (;;) {
      const at = slot * 3
      if (slots[at] === EMPTY || (slots[at] === node && slots[at + 1] === unit)) return at
      slot = (slot + 1) & mask
    }
  }
}
