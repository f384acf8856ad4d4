// A token for each whole word; every other word is unknown. It knows no normalizer and no pre-tokenizer.
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

export class WordLevel extends VocabularyModel {
  readonly #unkToken: string
  constructor(vocabulary: Vocabulary, unkToken: string) {
    super(vocabulary)
    this.#unkToken = unkToken
  }

  tokenize(word: string, sink: TokenSink): void {
    const id = this.vocabulary.ids.get(word) ?? this.vocabulary.ids.get(this.#unkToken)
    if (id === undefined)
      throw new DataError(
        `Expected the unknown token ${JSON.stringify(this.#unkToken)} in the vocabulary, got none. Add it.`,
      )
    sink.ids.push(id)
    sink.starts.push(0)
    sink.ends.push(word.length)
  }

  bearsCut(): boolean {
    return false
  }

  toJson(): JsonObject {
    return { type: 'WordLevel', vocab: vocabularyJson(this.entries()), unk_token: this.#unkToken }
  }

  files(): Record<string, string> {
    return { 'vocab.json': JSON.stringify(vocabularyJson(this.entries())) }
  }
}

export const wordLevel = defineModel({
  type: 'WordLevel',
  read: (fields) => new WordLevel(readVocabulary(fields.get('vocab'), fields.at('vocab')), fields.string('unk_token')),
})
