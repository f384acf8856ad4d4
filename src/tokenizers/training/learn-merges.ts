// The training loop of byte-pair encoding: repeatedly merges the best adjacent pair of symbols, by frequency or by
// likelihood. Independent of files and of pre-tokenization.
import { larger } from '../larger.ts'
import { PairStore, type SymbolWords } from './pair-store.ts'

/** Score of a pair ab: `frequency` count(ab), or `likelihood` count(ab) / (count(a) · count(b)). */
export type MergeScore = 'frequency' | 'likelihood'

/** The growing vocabulary: token strings by id, and ids by token. */
export interface TokenList {
  tokens: string[]
  ids: Map<string, number>
}

/** Options of `learnMerges`. */
export interface LearnMergesOptions {
  vocabSize: number
  /** Minimum count of a merged pair. */
  minFrequency: number
  /** Maximum token length, in characters (in bytes for a byte-level vocabulary). */
  maxTokenLength: number
  score: MergeScore
  /** Prefix of symbols that do not start a word (`##`); removed when a symbol is merged with the one before it. */
  continuingPrefix: string
  onProgress?: (tokens: number) => void
}

/** A merge of two tokens, by id; its result is their concatenation. */
export type Merge = readonly [left: number, right: number]

/** Adds merged tokens to `list` until it has `vocabSize` tokens or no pair is left. Of equal scores, lower ids win. */
export const learnMerges = (words: SymbolWords, list: TokenList, options: LearnMergesOptions): Merge[] => {
  const { tokens, ids } = list
  const { vocabSize, minFrequency, maxTokenLength, score, continuingPrefix, onProgress } = options
  const lengths = tokens.map((token) => lengthOf(token, continuingPrefix))
  const merges: Merge[] = []
  if (tokens.length >= vocabSize) return merges
  const symbolCounts = score === 'likelihood' ? countSymbols(words, vocabSize) : undefined
  const pairs = new PairStore(words, (symbol) => lengths[symbol], maxTokenLength)
  const queue = symbolCounts === undefined ? new MergeQueue(pairs) : new LikelihoodQueue(pairs, symbolCounts)
  const least = Math.max(1, minFrequency)
  for (let pair = 0; pair < pairs.size; pair++) if (pairs.count[pair] >= least) queue.enqueue(pair)
  while (tokens.length < vocabSize) {
    const pair = queue.take(least)
    if (pair < 0) break
    const left = pairs.left[pair]
    const right = pairs.right[pair]
    const tail = tokens[right]
    const token = tokens[left] + (tail.startsWith(continuingPrefix) ? tail.slice(continuingPrefix.length) : tail)
    let id = ids.get(token)
    if (id === undefined) {
      id = tokens.length
      tokens.push(token)
      ids.set(token, id)
      lengths.push(lengths[left] + lengths[right])
    }
    merges.push([left, right])
    const merged = pairs.merge(pair, id)
    queue.merged(left, right, id, merged, least)
    if ((merges.length & 255) === 0) onProgress?.(tokens.length)
  }
  onProgress?.(tokens.length)
  return merges
}

const lengthOf = (token: string, prefix: string): number =>
  [...(prefix !== '' && token.startsWith(prefix) ? token.slice(prefix.length) : token)].length

const countSymbols = (words: SymbolWords, size: number): Float64Array => {
  const counts = new Float64Array(size)
  for (let word = 0, i = 0; word < words.ends.length; word++) {
    for (; i < words.ends[word]; i++) counts[words.symbols[i]] += words.counts[word]
  }
  return counts
}

/** Pairs by count. */
class MergeQueue {
  protected readonly pairs: PairStore
  protected readonly queue: PriorityQueue

  constructor(pairs: PairStore) {
    this.pairs = pairs
    this.queue = new PriorityQueue((a, b) => precedes(pairs, a, b))
  }

  protected scoreOf(pair: number): number {
    return this.pairs.count[pair]
  }

  enqueue(pair: number): void {
    this.queue.push(pair, this.scoreOf(pair))
  }

  /**
   * The best pair, or -1. Pairs whose score has fallen since they were queued are queued again; one whose score has risen
   * was queued again at that time.
   */
  take(least: number): number {
    for (;;) {
      const pair = this.queue.pop()
      if (pair < 0) return -1
      if (this.pairs.count[pair] < least) continue
      const score = this.scoreOf(pair)
      if (score === this.queue.poppedScore) return pair
      if (score < this.queue.poppedScore) this.queue.push(pair, score)
    }
  }

  merged(_left: number, _right: number, _id: number, _times: number, least: number): void {
    for (const pair of this.pairs.raised) if (this.pairs.count[pair] >= least) this.enqueue(pair)
  }
}

/** Pairs by likelihood. */
class LikelihoodQueue extends MergeQueue {
  readonly #withSymbol: number[][] = []
  #known = 0
  readonly #symbolCounts: Float64Array

  constructor(pairs: PairStore, symbolCounts: Float64Array) {
    super(pairs)
    this.#symbolCounts = symbolCounts
    this.#indexNewPairs()
  }

  protected override scoreOf(pair: number): number {
    const { pairs } = this
    const symbolCounts = this.#symbolCounts
    return pairs.count[pair] / (symbolCounts[pairs.left[pair]] * symbolCounts[pairs.right[pair]])
  }

  override merged(left: number, right: number, id: number, times: number, least: number): void {
    const { pairs, queue } = this
    const symbolCounts = this.#symbolCounts
    symbolCounts[left] -= times
    symbolCounts[right] -= times
    symbolCounts[id] += times
    this.#indexNewPairs()
    // Both symbols now occur less often, so every pair with one of them scores higher.
    if (queue.size > 1 << 20 && queue.size > 4 * pairs.size) {
      queue.clear()
      for (let pair = 0; pair < pairs.size; pair++) if (pairs.count[pair] >= least) this.enqueue(pair)
      return
    }
    super.merged(left, right, id, times, least)
    for (const symbol of left === right ? [left] : [left, right]) {
      for (const pair of this.#withSymbol[symbol]) if (pairs.count[pair] >= least) this.enqueue(pair)
    }
  }

  #indexNewPairs(): void {
    const { pairs } = this
    const withSymbol = this.#withSymbol
    for (; this.#known < pairs.size; this.#known++) {
      const left = pairs.left[this.#known]
      const right = pairs.right[this.#known]
      ;(withSymbol[left] ??= []).push(this.#known)
      if (left !== right) (withSymbol[right] ??= []).push(this.#known)
    }
  }
}

const precedes = (pairs: PairStore, a: number, b: number): boolean =>
  pairs.left[a] !== pairs.left[b] ? pairs.left[a] < pairs.left[b] : pairs.right[a] < pairs.right[b]

/** A priority queue, highest score first; items of equal score are ordered by `precedes`. */
class PriorityQueue {
  size = 0
  /** The score with which the item of the last `pop` was pushed. */
  poppedScore = 0
  #items = new Int32Array(1 << 12)
  #scores = new Float64Array(1 << 12)
  readonly #precedes: (a: number, b: number) => boolean

  constructor(precedes: (a: number, b: number) => boolean) {
    this.#precedes = precedes
  }

  push(item: number, score: number): void {
    if (this.size === this.#items.length) {
      this.#items = larger(this.#items, this.size * 2)
      this.#scores = larger(this.#scores, this.size * 2)
    }
    let at = this.size++
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!this.#before(score, item, this.#scores[parent], this.#items[parent])) break
      this.#scores[at] = this.#scores[parent]
      this.#items[at] = this.#items[parent]
      at = parent
    }
    this.#scores[at] = score
    this.#items[at] = item
  }

  /** Removes and returns the first item; -1 if the queue is empty. */
  pop(): number {
    if (this.size === 0) return -1
    const first = this.#items[0]
    this.poppedScore = this.#scores[0]
    const last = --this.size
    const item = this.#items[last]
    const score = this.#scores[last]
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= last) break
      if (
        child + 1 < last &&
        this.#before(this.#scores[child + 1], this.#items[child + 1], this.#scores[child], this.#items[child])
      ) {
        child++
      }
      if (!this.#before(this.#scores[child], this.#items[child], score, item)) break
      this.#scores[at] = this.#scores[child]
      this.#items[at] = this.#items[child]
      at = child
    }
    this.#scores[at] = score
    this.#items[at] = item
    return first
  }

  clear(): void {
    this.size = 0
  }

  #before(scoreA: number, a: number, scoreB: number, b: number): boolean {
    return scoreA !== scoreB ? scoreA > scoreB : this.#precedes(a, b)
  }
}
