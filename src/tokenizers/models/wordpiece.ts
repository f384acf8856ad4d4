// WordPiece: greedy longest-match-first split; a word that cannot be split into tokens becomes one unknown token.
// Independent of the normalizer and the pre-tokenizer.
// @source Schuster and Nakajima 2012; Devlin et al. 2019 (BERT)
import { DataError } from '../../core/index.ts'
import type { Fields, JsonObject } from '../fields.ts'
import {
  defineModel,
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
        sink.ids.push(id)
        sink.starts.push(start)
        sink.ends.push(end)
        start = end
      }
    }
    if (start < 0) {
      sink.ids.length = sink.starts.length = sink.ends.length = first
      sink.ids.push(this.#unknownId())
      sink.starts.push(0)
      sink.ends.push(word.length)
    }
  }

  #unknownId(): number {
    const id = this.vocabulary.ids.get(this.#options.unkToken)
    if (id === undefined)
      throw new DataError(
        `The unknown token ${JSON.stringify(this.#options.unkToken)} is not in the vocabulary: add it.`,
      )
    return id
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

/** The WordPiece model type. */
export const wordPiece = defineModel({
  type: 'WordPiece',
  read: (fields: Fields) =>
    new WordPiece(readVocabulary(fields.get('vocab'), fields.at('vocab')), {
      unkToken: fields.string('unk_token'),
      continuingSubwordPrefix: fields.string('continuing_subword_prefix'),
      maxInputCharsPerWord: fields.integer('max_input_chars_per_word'),
    }),
})
