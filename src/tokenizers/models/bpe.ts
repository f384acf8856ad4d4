// Byte-pair encoding, over bytes as in GPT-2 or over characters as in SentencePiece. BPE dropout is ignored.
// Independent of the normalizer and the pre-tokenizer.
// @source Sennrich, Haddow and Birch 2016; the options are those of tokenizer.json
import type { ComponentType } from '../components.ts'
import { type JsonObject, throwInvalid } from '../fields.ts'
import { PairTable, Symbols } from './merging.ts'
import {
  type Model,
  putToken,
  readVocabulary,
  type TokenSink,
  type Vocabulary,
  VocabularyModel,
  vocabularyJson,
} from './model.ts'

/** Options of a BPE model, named as in tokenizer.json. */
interface BpeOptions {
  unkToken?: string
  continuingSubwordPrefix?: string
  endOfWordSuffix?: string
  fuseUnk?: boolean
  byteFallback?: boolean
  ignoreMerges?: boolean
}

type Merge = readonly [left: string, right: string]

/** A byte-pair encoding model: a vocabulary and a list of merges, best first. */
class Bpe extends VocabularyModel {
  readonly #table: PairTable
  readonly #symbols = new Symbols()
  readonly #byteIds: (number | undefined)[]
  // Ids of tokens of one UTF-16 unit, by unit: nearly all lookups go here.
  readonly #unitIds = new Int32Array(0x10000).fill(-1)
  readonly #merges: readonly Merge[]
  readonly #options: BpeOptions

  constructor(vocabulary: Vocabulary, merges: readonly Merge[], options: BpeOptions, where: string) {
    super(vocabulary)
    this.#merges = merges
    this.#options = options

    const { ids } = vocabulary
    const prefixLength = options.continuingSubwordPrefix?.length ?? 0
    this.#table = new PairTable(merges.length)
    // Without a list for each merge: a vocabulary has up to some hundred thousand of them, and every start waits.
    for (let rank = 0; rank < merges.length; rank++) {
      const [left, right] = merges[rank]
      const leftId = ids.get(left)
      const rightId = ids.get(right)
      const resultId = ids.get(left + (prefixLength === 0 ? right : right.slice(prefixLength)))
      if (leftId === undefined || rightId === undefined || resultId === undefined)
        throwInvalid(`merges whose two tokens and result are in the vocabulary`, `${where}.merges[${rank}]`, [
          left,
          right,
        ])
      this.#table.set(leftId, rightId, rank, resultId)
    }
    this.#byteIds = Array.from({ length: 256 }, (_, byte) =>
      ids.get(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`),
    )
    for (const [token, id] of ids) if (token.length === 1) this.#unitIds[token.charCodeAt(0)] = id
  }

  tokenize(word: string, sink: TokenSink): void {
    if (this.#options.ignoreMerges) {
      const id = this.vocabulary.ids.get(word)
      if (id !== undefined) {
        putToken(sink, id, 0, word.length)
        return
      }
    }
    const symbols = this.#symbols
    this.#readSymbols(word)
    symbols.merge(this.#table)
    for (let i = 0; i < symbols.count; i++) putToken(sink, symbols.ids[i], symbols.starts[i], symbols.ends[i])
  }

  #readSymbols(word: string): void {
    const symbols = this.#symbols
    const unitIds = this.#unitIds
    const options = this.#options
    const { ids } = this.vocabulary
    const plain = options.continuingSubwordPrefix === undefined && options.endOfWordSuffix === undefined
    symbols.clear()
    // The current run of unknown characters, added when it ends (`fuse_unk`).
    let unknownStart = -1
    let unknownEnd = -1
    const flush = () => {
      if (unknownStart >= 0) symbols.add(this.unknownId(options.unkToken!), unknownStart, unknownEnd)
      unknownStart = -1
    }
    for (let start = 0; start < word.length; ) {
      const unit = word.charCodeAt(start)
      const end = start + (unit >= 0xd800 && unit <= 0xdbff && start + 1 < word.length ? 2 : 1)
      let id: number | undefined
      let text: string | undefined
      if (plain && end === start + 1) id = unitIds[unit] < 0 ? undefined : unitIds[unit]
      else {
        text = this.#decorated(word.slice(start, end), start === 0, end === word.length)
        id = ids.get(text)
      }
      if (id !== undefined) {
        flush()
        symbols.add(id, start, end)
      } else if (!(options.byteFallback && this.#addBytes(text ?? word.slice(start, end), start, end))) {
        if (options.unkToken !== undefined) {
          if (!options.fuseUnk) flush()
          if (unknownStart < 0) unknownStart = start
          unknownEnd = end
        }
      }
      start = end
    }
    flush()
  }

  #decorated(character: string, isFirst: boolean, isLast: boolean): string {
    const { continuingSubwordPrefix = '', endOfWordSuffix = '' } = this.#options
    return `${isFirst ? '' : continuingSubwordPrefix}${character}${isLast ? endOfWordSuffix : ''}`
  }

  #addBytes(text: string, start: number, end: number): boolean {
    const bytes = Buffer.from(text, 'utf8')
    if (bytes.some((byte) => this.#byteIds[byte] === undefined)) return false
    for (const byte of bytes) this.#symbols.add(this.#byteIds[byte]!, start, end)
    return true
  }

  allowsSplitBefore(lead: string): boolean {
    const { continuingSubwordPrefix, endOfWordSuffix, ignoreMerges } = this.#options
    if (continuingSubwordPrefix !== undefined || endOfWordSuffix !== undefined) return false
    // An unknown character could be fused with the unknown characters before it.
    if (!this.vocabulary.ids.has(lead)) return false
    const crosses = (token: string) => {
      const at = token.lastIndexOf(lead)
      return at > 0 && token.slice(0, at).replaceAll(lead, '') !== ''
    }
    if (ignoreMerges) for (const token of this.vocabulary.ids.keys()) if (crosses(token)) return false
    return !this.#merges.some(([left, right]) => crosses(left + right))
  }

  toJson(): JsonObject {
    const options = this.#options
    return {
      type: 'BPE',
      dropout: null,
      unk_token: options.unkToken ?? null,
      continuing_subword_prefix: options.continuingSubwordPrefix ?? null,
      end_of_word_suffix: options.endOfWordSuffix ?? null,
      fuse_unk: options.fuseUnk ?? false,
      byte_fallback: options.byteFallback ?? false,
      ignore_merges: options.ignoreMerges ?? false,
      vocab: vocabularyJson(this.entries()),
      merges: this.#merges,
    }
  }

  files(): Record<string, string> {
    // merges.txt separates the two tokens by a space, so tokens with white space cannot be written.
    if (this.#merges.some((sides) => sides.some((side) => /\s/.test(side)))) return {}
    const lines = this.#merges.map(([left, right]) => `${left} ${right}\n`)
    return {
      'vocab.json': JSON.stringify(vocabularyJson(this.entries())),
      'merges.txt': `#version: 0.2\n${lines.join('')}`,
    }
  }
}

/** Reads merges, given as pairs or, in older files, as strings. Throws DataError. */
const readMerges = (list: readonly unknown[], where: string): Merge[] => {
  const merges: Merge[] = []
  for (const [i, item] of list.entries()) {
    if (typeof item === 'string') {
      if (item.startsWith('#version')) continue
      const space = item.indexOf(' ')
      if (space < 0 || item.includes(' ', space + 1))
        throwInvalid('two tokens separated by a space', `${where}[${i}]`, item)
      merges.push([item.slice(0, space), item.slice(space + 1)])
    } else if (Array.isArray(item) && item.length === 2 && typeof item[0] === 'string' && typeof item[1] === 'string') {
      merges.push([item[0], item[1]])
    } else throwInvalid('a pair of tokens', `${where}[${i}]`, item)
  }
  return merges
}

/** Reads a BPE model. */
export const bpe: ComponentType<Model> = (fields) => {
  const dropout = fields.get('dropout')
  if (dropout !== undefined && !(typeof dropout === 'number' && dropout >= 0 && dropout <= 1))
    throwInvalid('a number from 0 to 1', fields.at('dropout'), dropout)
  return new Bpe(
    readVocabulary(fields.get('vocab'), fields.at('vocab')),
    readMerges(fields.list('merges'), fields.at('merges')),
    {
      unkToken: fields.optionalString('unk_token'),
      continuingSubwordPrefix: fields.optionalString('continuing_subword_prefix'),
      endOfWordSuffix: fields.optionalString('end_of_word_suffix'),
      fuseUnk: fields.boolean('fuse_unk', false),
      byteFallback: fields.boolean('byte_fallback', false),
      ignoreMerges: fields.boolean('ignore_merges', false),
    },
    fields.where,
  )
}
