// The unigram language model: the split of a word with the highest total token score, found by the Viterbi algorithm.
// Independent of the normalizer and the pre-tokenizer.
// @source Kudo 2018 (subword regularization); ties and unknown characters as in SentencePiece
import { DataError } from '../../core/index.ts'
import type { ComponentType } from '../components.ts'
import { type JsonObject, throwInvalid } from '../fields.ts'
import { type Model, putToken, type TokenSink } from './model.ts'

const UNKNOWN_PENALTY = 10

/** Options of a Unigram model, named as in tokenizer.json. */
interface UnigramOptions {
  unkId?: number
  byteFallback?: boolean
}

/** A Unigram model: tokens with their log-probabilities; the id of a token is its index. */
class Unigram implements Model {
  readonly #ids = new Map<string, number>()
  readonly #scoreOf: Float64Array
  readonly #trie: UnitTrie
  readonly #unknownScore: number
  #best = new Float64Array(64)
  #from = new Int32Array(64)
  #via = new Int32Array(64)
  readonly #vocabulary: readonly (readonly [token: string, score: number])[]
  readonly #options: UnigramOptions

  constructor(vocabulary: readonly (readonly [token: string, score: number])[], options: UnigramOptions) {
    this.#vocabulary = vocabulary
    this.#options = options

    let units = 0
    let least = Number.POSITIVE_INFINITY
    this.#scoreOf = new Float64Array(vocabulary.length)
    for (const [id, [token, score]] of vocabulary.entries()) {
      this.#ids.set(token, id)
      this.#scoreOf[id] = score
      if (score < least) least = score
      units += token.length
    }
    this.#trie = new UnitTrie(units)
    for (const [token, id] of this.#ids) if (token !== '') this.#trie.add(token, id)
    this.#unknownScore = least - UNKNOWN_PENALTY
  }

  get size(): number {
    return this.#vocabulary.length
  }

  get maxId(): number {
    return this.#vocabulary.length - 1
  }

  tokenToId(token: string): number | undefined {
    return this.#ids.get(token)
  }

  idToToken(id: number): string | undefined {
    return this.#vocabulary[id]?.[0]
  }

  *entries(): Iterable<[string, number]> {
    for (const [id, [token]] of this.#vocabulary.entries()) yield [token, id]
  }

  tokenize(word: string, sink: TokenSink): void {
    this.#findBest(word)
    const from = this.#from
    const via = this.#via
    const { unkId } = this.#options
    // Walk back from the end; adjacent unknown characters become one token.
    const bounds: number[] = [word.length]
    for (let end = word.length; end > 0; ) {
      let start = from[end]
      if (unkId !== undefined && via[end] === unkId) while (start > 0 && via[start] === unkId) start = from[start]
      bounds.push(start)
      end = start
    }
    for (let i = bounds.length - 1; i > 0; i--) this.#emit(word, bounds[i], bounds[i - 1], sink)
  }

  #findBest(word: string): void {
    const size = word.length + 1
    if (this.#best.length < size) {
      this.#best = new Float64Array(size * 2)
      this.#from = new Int32Array(size * 2)
      this.#via = new Int32Array(size * 2)
    }
    const best = this.#best
    const from = this.#from
    const via = this.#via
    const trie = this.#trie
    const scoreOf = this.#scoreOf
    best.fill(0, 0, size)
    from.fill(-1, 0, size)
    for (let start = 0; start < word.length; ) {
      const unit = word.charCodeAt(start)
      const single = start + (unit >= 0xd800 && unit <= 0xdbff && start + 1 < word.length ? 2 : 1)
      const here = best[start]
      let known = false
      let node = 0
      for (let end = start; end < word.length; ) {
        node = trie.step(node, word.charCodeAt(end++))
        if (node < 0) break
        const id = trie.valueAt(node)
        if (id < 0) continue
        const score = scoreOf[id] + here
        if (from[end] < 0 || score > best[end]) {
          best[end] = score
          from[end] = start
          via[end] = id
        }
        if (end === single) known = true
      }
      if (!known) {
        const score = this.#unknownScore + here
        if (from[single] < 0 || score > best[single]) {
          best[single] = score
          from[single] = start
          via[single] = this.#unknownId()
        }
      }
      start = single
    }
  }

  #emit(word: string, start: number, end: number, sink: TokenSink): void {
    const text = word.slice(start, end)
    let id = this.#ids.get(text)
    if (id === undefined && this.#options.byteFallback) {
      const bytes = [...Buffer.from(text, 'utf8')].map((byte) =>
        this.#ids.get(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`),
      )
      if (bytes.every((byte) => byte !== undefined)) {
        for (const byte of bytes) putToken(sink, byte, start, end)
        return
      }
    }
    if (id === undefined) {
      id = this.#unknownId()
      sink.names.set(sink.ids.length, text)
    }
    putToken(sink, id, start, end)
  }

  #unknownId(): number {
    const { unkId } = this.#options
    if (unkId === undefined)
      throw new DataError('A character outside the vocabulary needs `model.unk_id`: set it in tokenizer.json.')
    return unkId
  }

  allowsSplitBefore(): boolean {
    // Floating-point sums depend on where the text is split, so a split could change the result of a near tie.
    return false
  }

  toJson(): JsonObject {
    return {
      type: 'Unigram',
      unk_id: this.#options.unkId ?? null,
      vocab: this.#vocabulary,
      byte_fallback: this.#options.byteFallback ?? false,
    }
  }

  files(): Record<string, string> {
    return {}
  }
}

const EMPTY = -1

/** A map from strings to non-negative integers, searched one UTF-16 unit at a time. */
class UnitTrie {
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

/** Reads a Unigram model. */
export const unigram: ComponentType<Model> = (fields) => {
  const where = fields.at('vocab')
  const vocabulary = fields.list('vocab').map((item, i): [string, number] => {
    if (Array.isArray(item) && item.length === 2 && typeof item[0] === 'string' && Number.isFinite(item[1]))
      return [item[0], item[1] as number]
    return throwInvalid('a token and its score', `${where}[${i}]`, item)
  })
  const unkId = fields.has('unk_id') ? fields.integer('unk_id') : undefined
  if (unkId !== undefined && unkId >= vocabulary.length)
    throwInvalid(`an id below ${vocabulary.length}`, fields.at('unk_id'), unkId)
  return new Unigram(vocabulary, { unkId, byteFallback: fields.boolean('byte_fallback', false) })
}
