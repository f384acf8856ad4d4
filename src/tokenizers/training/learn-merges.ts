// The training loop of byte-pair encoding: repeatedly merges the best adjacent pair of symbols, by frequency or by
// likelihood. Independent of files and of pre-tokenization.
import { PairStore, type SymbolWords } from './pair-store.ts'
import { PriorityQueue } from './priority-queue.ts'

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
  const queue = symbolCounts === undefined ? new FrequencyQueue(pairs) : new LikelihoodQueue(pairs, symbolCounts)
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
class FrequencyQueue {
  readonly #queue: PriorityQueue
  readonly #pairs: PairStore

  constructor(pairs: PairStore) {
    this.#pairs = pairs

    this.#queue = new PriorityQueue((a, b) => precedes(pairs, a, b))
  }

  enqueue(pair: number): void {
    this.#queue.push(pair, this.#pairs.count[pair])
  }

  /** The best pair, or -1. Pairs whose count has fallen since they were queued are queued again. */
  take(least: number): number {
    for (;;) {
      const pair = this.#queue.pop()
      if (pair < 0) return -1
      const count = this.#pairs.count[pair]
      if (count === this.#queue.poppedScore) return pair
      if (count >= least && count < this.#queue.poppedScore) this.#queue.push(pair, count)
    }
  }

  merged(_left: number, _right: number, _id: number, _times: number, least: number): void {
    for (const pair of this.#pairs.raised) if (this.#pairs.count[pair] >= least) this.enqueue(pair)
  }
}

/** Pairs by likelihood. */
class LikelihoodQueue {
  readonly #queue: PriorityQueue
  readonly #withSymbol: number[][] = []
  #known = 0
  readonly #pairs: PairStore
  readonly #symbolCounts: Float64Array

  constructor(pairs: PairStore, symbolCounts: Float64Array) {
    this.#pairs = pairs
    this.#symbolCounts = symbolCounts

    this.#queue = new PriorityQueue((a, b) => precedes(pairs, a, b))
    this.#indexNewPairs()
  }

  enqueue(pair: number): void {
    this.#queue.push(pair, this.#scoreOf(pair))
  }

  take(least: number): number {
    for (;;) {
      const pair = this.#queue.pop()
      if (pair < 0) return -1
      if (this.#pairs.count[pair] < least) continue
      const score = this.#scoreOf(pair)
      if (score === this.#queue.poppedScore) return pair
      // A pair whose score has risen was queued again at that time.
      if (score < this.#queue.poppedScore) this.#queue.push(pair, score)
    }
  }

  merged(left: number, right: number, id: number, times: number, least: number): void {
    const pairs = this.#pairs
    const symbolCounts = this.#symbolCounts
    symbolCounts[left] -= times
    symbolCounts[right] -= times
    symbolCounts[id] += times
    this.#indexNewPairs()
    // Both symbols now occur less often, so every pair with one of them scores higher.
    if (this.#queue.size > 1 << 20 && this.#queue.size > 4 * pairs.size) {
      this.#queue.clear()
      for (let pair = 0; pair < pairs.size; pair++) if (pairs.count[pair] >= least) this.enqueue(pair)
      return
    }
    for (const pair of pairs.raised) if (pairs.count[pair] >= least) this.enqueue(pair)
    for (const symbol of left === right ? [left] : [left, right]) {
      for (const pair of this.#withSymbol[symbol]) if (pairs.count[pair] >= least) this.enqueue(pair)
    }
  }

  #scoreOf(pair: number): number {
    const pairs = this.#pairs
    const symbolCounts = this.#symbolCounts
    return pairs.count[pair] / (symbolCounts[pairs.left[pair]] * symbolCounts[pairs.right[pair]])
  }

  #indexNewPairs(): void {
    const pairs = this.#pairs
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
