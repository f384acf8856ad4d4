// The unigram language model: the split of a word with the highest total token score, found by the Viterbi algorithm.
// Independent of the normalizer and the pre-tokenizer.
// @source Kudo 2018 (subword regularization); ties and unknown characters as in SentencePiece
import { DataError } from '../../core/index.ts'
import { type Fields, type JsonObject, throwInvalid } from '../fields.ts'
import { defineModel, type Model, type TokenSink } from './model.ts'
import { UnitTrie } from './unit-trie.ts'

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

  constructor(vocabulary: readonly (readonly [token: string, score: number])[], options: UnigramOptions = {}) {
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
        for (const byte of bytes) put(sink, byte, start, end)
        return
      }
    }
    if (id === undefined) {
      id = this.#unknownId()
      sink.names.set(sink.ids.length, text)
    }
    put(sink, id, start, end)
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

const put = (sink: TokenSink, id: number, start: number, end: number): void => {
  sink.ids.push(id)
  sink.starts.push(start)
  sink.ends.push(end)
}

/** The Unigram model type. */
export const unigram = defineModel({
  type: 'Unigram',
  read(fields: Fields) {
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
  },
})
