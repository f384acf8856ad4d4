// Applies the merges of byte-pair encoding to the symbols of a word: always the merge of the lowest rank, leftmost
// first. Short words use a linear scan, long words a heap.
// @source Sennrich, Haddow and Birch 2016
import { larger } from '../larger.ts'

const SHORT = 48
const NO_RANK = 0x7fffffff
// A heap key packs rank and position into one number: rank * 2^31 + position is exact below 2^53.
const RANK_UNIT = 2 ** 31

/** The symbols of one word, with their UTF-16 spans; the arrays are reused for the next word. */
export class Symbols {
  count = 0
  ids = new Int32Array(64)
  starts = new Int32Array(64)
  ends = new Int32Array(64)
  #ranks = new Int32Array(64)
  #results = new Int32Array(64)

  clear(): void {
    this.count = 0
  }

  add(id: number, start: number, end: number): void {
    if (this.count === this.ids.length) this.#grow()
    this.ids[this.count] = id
    this.starts[this.count] = start
    this.ends[this.count++] = end
  }

  #grow(): void {
    const size = this.ids.length * 2
    this.ids = larger(this.ids, size)
    this.starts = larger(this.starts, size)
    this.ends = larger(this.ends, size)
    this.#ranks = larger(this.#ranks, size)
    this.#results = larger(this.#results, size)
  }

  merge(merges: PairTable): void {
    if (this.count <= SHORT) this.#mergeShort(merges)
    else this.#mergeLong(merges)
  }

  #mergeShort(merges: PairTable): void {
    const { ids, starts, ends } = this
    const ranks = this.#ranks
    const results = this.#results
    let count = this.count
    for (let i = 0; i + 1 < count; i++) this.#setRank(merges, i)
    for (;;) {
      let best = NO_RANK
      let at = -1
      for (let i = 0; i + 1 < count; i++) {
        if (ranks[i] < best) {
          best = ranks[i]
          at = i
        }
      }
      if (at < 0) break
      ids[at] = results[at]
      ends[at] = ends[at + 1]
      count--
      for (let i = at + 1; i < count; i++) {
        ids[i] = ids[i + 1]
        starts[i] = starts[i + 1]
        ends[i] = ends[i + 1]
        ranks[i] = ranks[i + 1]
        results[i] = results[i + 1]
      }
      if (at > 0) this.#setRank(merges, at - 1)
      if (at + 1 < count) this.#setRank(merges, at)
    }
    this.count = count
  }

  #setRank(merges: PairTable, i: number): void {
    const slot = merges.find(this.ids[i], this.ids[i + 1])
    this.#ranks[i] = slot < 0 ? NO_RANK : merges.rankAt(slot)
    if (slot >= 0) this.#results[i] = merges.resultAt(slot)
  }

  #mergeLong(merges: PairTable): void {
    const { ids, starts, ends, count } = this
    const next = new Int32Array(count)
    const previous = new Int32Array(count)
    const removed = new Uint8Array(count)
    const heap = new Heap(count)
    const enqueue = (at: number) => {
      const slot = next[at] < count ? merges.find(ids[at], ids[next[at]]) : -1
      if (slot >= 0) heap.push(merges.rankAt(slot) * RANK_UNIT + at)
    }
    for (let i = 0; i < count; i++) {
      next[i] = i + 1
      previous[i] = i - 1
    }
    for (let i = 0; i + 1 < count; i++) enqueue(i)
    for (let key = heap.pop(); key >= 0; key = heap.pop()) {
      const at = key % RANK_UNIT
      const right = next[at]
      if (removed[at] === 1 || right >= count) continue
      // Skip outdated entries: the pair at this position has changed since the push.
      const slot = merges.find(ids[at], ids[right])
      if (slot < 0 || merges.rankAt(slot) !== (key - at) / RANK_UNIT) continue
      ids[at] = merges.resultAt(slot)
      ends[at] = ends[right]
      removed[right] = 1
      next[at] = next[right]
      if (next[at] < count) previous[next[at]] = at
      if (previous[at] >= 0) enqueue(previous[at])
      enqueue(at)
    }
    let kept = 0
    for (let i = 0; i < count; i++) {
      if (removed[i] === 1) continue
      ids[kept] = ids[i]
      starts[kept] = starts[i]
      ends[kept++] = ends[i]
    }
    this.count = kept
  }
}

const EMPTY = -1

/** A hash table from pairs of token ids to the rank and the result of their merge, in one typed array. */
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

/** A binary min-heap of numbers. */
class Heap {
  #keys: Float64Array<ArrayBuffer>
  #count = 0

  constructor(capacity: number) {
    this.#keys = new Float64Array(Math.max(16, capacity * 2))
  }

  push(key: number): void {
    if (this.#count === this.#keys.length) this.#keys = larger(this.#keys, this.#count * 2)
    const keys = this.#keys
    let at = this.#count++
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (keys[parent] <= key) break
      keys[at] = keys[parent]
      at = parent
    }
    keys[at] = key
  }

  /** Removes and returns the smallest key; -1 if the heap is empty. */
  pop(): number {
    if (this.#count === 0) return -1
    const keys = this.#keys
    const top = keys[0]
    const key = keys[--this.#count]
    let at = 0
    for (;;) {
      let child = at * 2 + 1
      if (child >= this.#count) break
      if (child + 1 < this.#count && keys[child + 1] < keys[child]) child++
      if (keys[child] >= key) break
      keys[at] = keys[child]
      at = child
    }
    keys[at] = key
    return top
  }
}
