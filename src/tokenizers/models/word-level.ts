// The word-level model: one token per word; words outside the vocabulary become the unknown token.
// Independent of the normalizer and the pre-tokenizer.
import { DataError } from '../../core/index.ts'
import type { JsonObject } from '../fields.ts'
import {
  defineModel,
  readVocabulary,
  type TokenSink,
  type Vocabulary,
  VocabularyModel,
  vocabularyJson,
} from './model.ts'

/** A word-level model. */
class WordLevel extends VocabularyModel {
  readonly #unkToken: string
  constructor(vocabulary: Vocabulary, unkToken: string) {
    super(vocabulary)
    this.#unkToken = unkToken
  }

  tokenize(word: string, sink: TokenSink): void {
    const id = this.vocabulary.ids.get(word) ?? this.vocabulary.ids.get(this.#unkToken)
    if (id === undefined)
      throw new DataError(`The unknown token ${JSON.stringify(this.#unkToken)} is not in the vocabulary: add it.`)
    sink.ids.push(id)
    sink.starts.push(0)
    sink.ends.push(word.length)
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

/** The WordLevel model type. */
export const wordLevel = defineModel({
  type: 'WordLevel',
  read: (fields) => new WordLevel(readVocabulary(fields.get('vocab'), fields.at('vocab')), fields.string('unk_token')),
})
