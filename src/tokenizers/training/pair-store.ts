// Words as sequences of symbols, with the count and the positions of every adjacent pair, updated while pairs are
// merged. Independent of the choice of merges.
import { larger } from '../larger.ts'

/** Distinct words: word `w` is `symbols[ends[w - 1] ?? 0 .. ends[w])` and occurs `counts[w]` times. */
export interface SymbolWords {
  symbols: Int32Array
  ends: Uint32Array
  counts: Float64Array
}

const NONE = -1

/** The adjacent pairs of symbols in a set of words. A pair is identified by its index, which never changes. */
export class PairStore {
  /** Number of pairs, including those that no longer occur. */
  size = 0
  left = new Int32Array(1 << 10)
  right = new Int32Array(1 << 10)
  count = new Float64Array(1 << 10)
  /** Pairs whose count increased in the last `merge`, each once. */
  raised: number[] = []

  readonly #symbols: Int32Array
  readonly #starts: Uint32Array
  readonly #lengths: Uint32Array
  readonly #counts: Float64Array
  readonly #symbolLength: (symbol: number) => number
  readonly #maxLength: number
  #slots = new Int32Array(1 << 12).fill(NONE)
  #mask = (1 << 12) - 1
  // Words that hold a pair, as linked lists; a word may still be listed after the pair has gone from it.
  #first = new Int32Array(1 << 10).fill(NONE)
  #listedWord = new Int32Array(1 << 12)
  #listedNext = new Int32Array(1 << 12)
  #listed = 0
  #raisedIn = new Int32Array(1 << 10)
  #merges = 0

  /** Takes ownership of `words.symbols`. Pairs that would give a symbol longer than `maxLength` are not counted. */
  constructor(words: SymbolWords, symbolLength: (symbol: number) => number, maxLength: number) {
    this.#symbols = words.symbols
    this.#counts = words.counts
    this.#symbolLength = symbolLength
    this.#maxLength = maxLength
    this.#starts = new Uint32Array(words.ends.length)
    this.#lengths = new Uint32Array(words.ends.length)
    for (let word = 0; word < words.ends.length; word++) {
      const start = word === 0 ? 0 : words.ends[word - 1]
      this.#starts[word] = start
      this.#lengths[word] = words.ends[word] - start
      for (let i = start; i + 1 < words.ends[word]; i++) {
        this.#raise(this.#symbols[i], this.#symbols[i + 1], this.#counts[word], word)
      }
    }
    this.raised = []
  }

  /** Replaces every occurrence of `pair` by `replacement`, from left to right; returns the number replaced. */
  merge(pair: number, replacement: number): number {
    this.#merges++
    this.raised = []
    const a = this.left[pair]
    const b = this.right[pair]
    const symbols = this.#symbols
    let merged = 0
    for (let entry = this.#first[pair]; entry !== NONE; entry = this.#listedNext[entry]) {
      const word = this.#listedWord[entry]
      const start = this.#starts[word]
      const end = start + this.#lengths[word]
      let read = start
      while (read + 1 < end && !(symbols[read] === a && symbols[read + 1] === b)) read++
      if (read + 1 >= end) continue
      const count = this.#counts[word]
      let write = read
      while (read < end) {
        if (read + 1 < end && symbols[read] === a && symbols[read + 1] === b) {
          this.count[pair] -= count
          merged += count
          if (write > start) {
            const before = symbols[write - 1]
            this.#lower(before, a, count)
            this.#raise(before, replacement, count, word)
          }
          if (read + 2 < end) {
            const after = symbols[read + 2]
            this.#lower(b, after, count)
            this.#raise(replacement, after, count, word)
          }
          symbols[write++] = replacement
          read += 2
        } else symbols[write++] = symbols[read++]
      }
      this.#lengths[word] = write - start
    }
    this.#first[pair] = NONE
    return merged
  }

  #slotOf(a: number, b: number): number {
    let hash = Math.imul(a, 0x9e3779b1) ^ Math.imul(b, 0x85ebca6b)
    hash ^= hash >>> 15
    let slot = hash & this.#mask
    for (;;) {
      const pair = this.#slots[slot]
      if (pair === NONE || (this.left[pair] === a && this.right[pair] === b)) return slot
      slot = (slot + 1) & this.#mask
    }
  }

  #lower(a: number, b: number, count: number): void {
    const pair = this.#slots[this.#slotOf(a, b)]
    if (pair !== NONE) this.count[pair] -= count
  }

  #raise(a: number, b: number, count: number, word: number): void {
    const slot = this.#slotOf(a, b)
    let pair = this.#slots[slot]
    if (pair === NONE) {
      if (this.#symbolLength(a) + this.#symbolLength(b) > this.#maxLength) return
      pair = this.#addPair(a, b, slot)
    }
    this.count[pair] += count
    if (this.#raisedIn[pair] !== this.#merges) {
      this.#raisedIn[pair] = this.#merges
      this.raised.push(pair)
    }
    const head = this.#first[pair]
    if (head !== NONE && this.#listedWord[head] === word) return
    if (this.#listed === this.#listedWord.length) {
      this.#listedWord = larger(this.#listedWord, this.#listed * 2)
      this.#listedNext = larger(this.#listedNext, this.#listed * 2)
    }
    this.#listedWord[this.#listed] = word
    this.#listedNext[this.#listed] = head
    this.#first[pair] = this.#listed++
  }

  #addPair(a: number, b: number, slot: number): number {
    if (this.size === this.left.length) {
      this.left = larger(this.left, this.size * 2)
      this.right = larger(this.right, this.size * 2)
      this.count = larger(this.count, this.size * 2)
      this.#raisedIn = larger(this.#raisedIn, this.size * 2)
      this.#first = larger(this.#first, this.size * 2).fill(NONE, this.size)
    }
    const pair = this.size++
    this.left[pair] = a
    this.right[pair] = b
    this.#raisedIn[pair] = NONE
    this.#slots[slot] = pair
    if (this.size * 2 > this.#slots.length) this.#rehash()
    return pair
  }

  #rehash(): void {
    this.#slots = new Int32Array(this.#slots.length * 2).fill(NONE)
    this.#mask = this.#slots.length - 1
    for (let pair = 0; pair < this.size; pair++) this.#slots[this.#slotOf(this.left[pair], this.right[pair])] = pair
  }
}
