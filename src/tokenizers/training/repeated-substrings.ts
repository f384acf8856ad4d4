// Finds the substrings that occur at least twice in a set of words, by a suffix array. Only right-maximal substrings
// are returned: those that cannot be extended without losing an occurrence.
import { larger } from '../larger.ts'

/** Words as sequences of small integers; word `w` is `symbols[ends[w - 1] ?? 0 .. ends[w])`. */
export interface SymbolText {
  symbols: Int32Array
  ends: Uint32Array
}

/** A suffix array, and the runs of suffixes that share a prefix. */
export interface RepeatedSubstrings {
  suffixes: Int32Array
  /** Substring `i` is `length[i]` symbols long and occurs at `suffixes[from[i] .. to[i])`. */
  from: Int32Array<ArrayBuffer>
  to: Int32Array<ArrayBuffer>
  length: Uint8Array<ArrayBuffer>
  size: number
}

/** Substrings of 2 to `maxLength` symbols; none crosses the end of a word. */
export const findRepeatedSubstrings = (text: SymbolText, maxLength: number): RepeatedSubstrings => {
  const total = text.ends[text.ends.length - 1] ?? 0
  const wordEnd = new Int32Array(total)
  for (let word = 0, at = 0; word < text.ends.length; word++) {
    for (; at < text.ends[word]; at++) wordEnd[at] = text.ends[word]
  }
  // Sorting by one more symbol distinguishes prefixes that end from prefixes cut off at the limit.
  const suffixes = sortSuffixes(text.symbols, wordEnd, total, maxLength + 1)
  return collect(text.symbols, wordEnd, suffixes, maxLength)
}

/**
 * Sorts suffixes by prefix doubling, up to the power of two that covers `depth` symbols; equal suffixes by position.
 */
const sortSuffixes = (symbols: Int32Array, wordEnd: Int32Array, total: number, depth: number): Int32Array => {
  let ranks = new Int32Array(total)
  let highest = 0
  for (let i = 0; i < total; i++) {
    ranks[i] = symbols[i] + 1
    if (ranks[i] > highest) highest = ranks[i]
  }
  const order = new Int32Array(total)
  const buckets = new Int32Array(Math.max(highest, total) + 2)
  const other = new Int32Array(total)
  const sortByKey = (source: Int32Array, key: (position: number) => number, target: Int32Array, keys: number) => {
    buckets.fill(0, 0, keys + 2)
    for (let i = 0; i < total; i++) buckets[key(source[i]) + 1]++
    for (let k = 0; k <= keys; k++) buckets[k + 1] += buckets[k]
    for (let i = 0; i < total; i++) target[buckets[key(source[i])]++] = source[i]
  }
  for (let i = 0; i < total; i++) other[i] = i
  sortByKey(other, (position) => ranks[position], order, highest)
  for (let width = 1; width < depth; width *= 2) {
    const second = (position: number) => (position + width < wordEnd[position] ? ranks[position + width] : 0)
    sortByKey(order, second, other, highest)
    sortByKey(other, (position) => ranks[position], order, highest)
    const next = new Int32Array(total)
    let rank = 0
    for (let i = 0; i < total; i++) {
      const position = order[i]
      if (i === 0 || ranks[position] !== ranks[order[i - 1]] || second(position) !== second(order[i - 1])) rank++
      next[position] = rank
    }
    ranks = next
    highest = rank
    if (rank === total) break
  }
  return order
}

const collect = (
  symbols: Int32Array,
  wordEnd: Int32Array,
  suffixes: Int32Array,
  maxLength: number,
): RepeatedSubstrings => {
  let capacity = 1 << 14
  const found: RepeatedSubstrings = {
    suffixes,
    from: new Int32Array(capacity),
    to: new Int32Array(capacity),
    length: new Uint8Array(capacity),
    size: 0,
  }
  const add = (from: number, to: number, length: number) => {
    if (length < 2 || length > maxLength) return
    if (found.size === capacity) {
      capacity *= 2
      found.from = larger(found.from, capacity)
      found.to = larger(found.to, capacity)
      found.length = larger(found.length, capacity)
    }
    found.from[found.size] = from
    found.to[found.size] = to
    found.length[found.size++] = length
  }
  // A stack of nested open runs: start and number of shared symbols.
  const starts = [0]
  const shared = [0]
  for (let i = 1; i <= suffixes.length; i++) {
    const common =
      i === suffixes.length ? 0 : commonLength(symbols, wordEnd, suffixes[i - 1], suffixes[i], maxLength + 1)
    let start = i - 1
    while (shared[shared.length - 1] > common) {
      start = starts.pop() as number
      add(start, i, shared.pop() as number)
    }
    if (shared[shared.length - 1] < common) {
      starts.push(start)
      shared.push(common)
    }
  }
  return found
}

const commonLength = (symbols: Int32Array, wordEnd: Int32Array, a: number, b: number, limit: number): number => {
  const most = Math.min(limit, wordEnd[a] - a, wordEnd[b] - b)
  let length = 0
  while (length < most && symbols[a + length] === symbols[b + length]) length++
  return length
}
