// Models in which a word outside the vocabulary becomes the unknown token: word-level, with one token per word, and
// WordPiece, a greedy longest-match-first split. Independent of the normalizer and the pre-tokenizer.
// @source Schuster and Nakajima 2012; Devlin et al. 2019 (BERT)
import type { ComponentType } from '../components.ts'
import type { JsonObject } from '../fields.ts'
import {
  type Model,
  putToken,
  readVocabulary,
  type TokenSink,
  type Vocabulary,
  VocabularyModel,
  vocabularyJson,
} from './model.ts'

/** Options of a WordPiece model, named as in tokenizer.json. */
interface WordPieceOptions {
  unkToken: string
  continuingSubwordPrefix: string
  maxInputCharsPerWord: number
}

/** A WordPiece model. */
class WordPiece extends VocabularyModel {
  readonly #longest: number
  readonly #options: WordPieceOptions

  constructor(vocabulary: Vocabulary, options: WordPieceOptions) {
    super(vocabulary)
    this.#options = options

    let longest = 0
    for (const token of vocabulary.ids.keys()) longest = Math.max(longest, token.length)
    this.#longest = longest
  }

  tokenize(word: string, sink: TokenSink): void {
    const { ids } = this.vocabulary
    const { continuingSubwordPrefix, maxInputCharsPerWord } = this.#options
    const first = sink.ids.length
    let start = characters(word) > maxInputCharsPerWord ? -1 : 0
    while (start >= 0 && start < word.length) {
      const prefix = start > 0 ? continuingSubwordPrefix : ''
      let end = Math.min(word.length, start + this.#longest)
      let id: number | undefined
      for (; end > start; end--) {
        if (splitsPair(word, end)) continue
        id = ids.get(prefix + word.slice(start, end))
        if (id !== undefined) break
      }
      if (id === undefined) start = -1
      else {
        putToken(sink, id, start, end)
        start = end
      }
    }
    if (start < 0) {
      sink.ids.length = sink.starts.length = sink.ends.length = first
      putToken(sink, this.unknownId(this.#options.unkToken), 0, word.length)
    }
  }

  allowsSplitBefore(): boolean {
    return false
  }

  toJson(): JsonObject {
    return {
      type: 'WordPiece',
      unk_token: this.#options.unkToken,
      continuing_subword_prefix: this.#options.continuingSubwordPrefix,
      max_input_chars_per_word: this.#options.maxInputCharsPerWord,
      vocab: vocabularyJson(this.entries()),
    }
  }

  files(): Record<string, string> {
    const ordered = this.vocabulary.ordered()
    // In vocab.txt the line number is the id, so a vocabulary with gaps cannot be written.
    if (ordered.some(([token, id], i) => id !== i || /[\r\n]/.test(token))) return {}
    return { 'vocab.txt': ordered.map(([token]) => `${token}\n`).join('') }
  }
}

const characters = (word: string): number => {
  let count = 0
  for (let i = 0; i < word.length; i++) if (!splitsPair(word, i)) count++
  return count
}

const splitsPair = (word: string, at: number): boolean => {
  const unit = word.charCodeAt(at)
  if (!(unit >= 0xdc00 && unit <= 0xdfff) || at === 0) return false
  const before = word.charCodeAt(at - 1)
  return before >= 0xd800 && before <= 0xdbff
}

/** Reads a WordPiece model. */
export const wordPiece: ComponentType<Model> = (fields) =>
  new WordPiece(readVocabulary(fields.get('vocab'), fields.at('vocab')), {
    unkToken: fields.string('unk_token'),
    continuingSubwordPrefix: fields.string('continuing_subword_prefix'),
    maxInputCharsPerWord: fields.integer('max_input_chars_per_word'),
  })

/** A word-level model. */
class WordLevel extends VocabularyModel {
  readonly #unkToken: string

  constructor(vocabulary: Vocabulary, unkToken: string) {
    super(vocabulary)
    this.#unkToken = unkToken
  }

  tokenize(word: string, sink: TokenSink): void {
    putToken(sink, this.vocabulary.ids.get(word) ?? this.unknownId(this.#unkToken), 0, word.length)
  }

  allowsSplitBefore(): boolean {
    return false
  }

  toJson(): JsonObject {
    return { type: 'WordLevel', vocab: vocabularyJson(this.entries()), unk_token: this.#unkToken }
  }

  files(): Record<string, string> {
    return { 'vocab.json': JSON.stringify(vocabularyJson(this.entries())) }
  }
}

/** Reads a word-level model. */
export const wordLevel: ComponentType<Model> = (fields) =>
  new WordLevel(readVocabulary(fields.get('vocab'), fields.at('vocab')), fields.string('unk_token'))
