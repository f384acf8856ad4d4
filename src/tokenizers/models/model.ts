// The interface of tokenizer models: a vocabulary, and the split of a word into its tokens.
import { DataError } from '../../core/index.ts'
import { integer, isObject, type JsonObject, throwInvalid } from '../fields.ts'

/** Output of `Model.tokenize`: parallel arrays; starts and ends are UTF-16 offsets in the word. */
export interface TokenSink {
  ids: number[]
  starts: number[]
  ends: number[]
  /** Token strings that differ from the vocabulary entry (unknown tokens of Unigram), by index in `ids`. */
  names: Map<number, string>
}

/** A tokenizer model. */
export interface Model {
  /** Number of tokens. */
  readonly size: number
  /** The largest id; -1 for an empty vocabulary. */
  readonly maxId: number
  tokenToId(token: string): number | undefined
  idToToken(id: number): string | undefined
  /** Appends the tokens of a non-empty word to `sink`. Throws DataError if the unknown token is needed but missing. */
  tokenize(word: string, sink: TokenSink): void
  /** Whether a word may be split before `lead` (after any other character) and both parts tokenized independently. */
  allowsSplitBefore(lead: string): boolean
  /** All tokens with their ids. */
  entries(): Iterable<[token: string, id: number]>
  /** The `model` section of tokenizer.json. */
  toJson(): JsonObject
  /** Contents of the older vocabulary files of this model (vocab.txt, merges.txt …), by file name. */
  files(): Record<string, string>
}

/** An empty token sink. */
export const createTokenSink = (): TokenSink => ({ ids: [], starts: [], ends: [], names: new Map() })

/** Appends a token to a sink. */
export const putToken = (sink: TokenSink, id: number, start: number, end: number): void => {
  sink.ids.push(id)
  sink.starts.push(start)
  sink.ends.push(end)
}

/** A tokenizer's vocabulary: token to id and id to token. */
export class Vocabulary {
  readonly ids = new Map<string, number>()
  readonly tokens = new Map<number, string>()
  readonly maxId: number

  constructor(entries: Iterable<[string, number]>) {
    let maxId = -1
    for (const [token, id] of entries) {
      this.ids.set(token, id)
      this.tokens.set(id, token)
      if (id > maxId) maxId = id
    }
    this.maxId = maxId
  }

  /** The entries, sorted by id. */
  ordered(): [string, number][] {
    return [...this.ids].sort((a, b) => a[1] - b[1])
  }
}

/** Base class of the models with a plain vocabulary (all but Unigram). */
export abstract class VocabularyModel implements Model {
  constructor(protected readonly vocabulary: Vocabulary) {}

  get size(): number {
    return this.vocabulary.ids.size
  }

  get maxId(): number {
    return this.vocabulary.maxId
  }

  tokenToId(token: string): number | undefined {
    return this.vocabulary.ids.get(token)
  }

  idToToken(id: number): string | undefined {
    return this.vocabulary.tokens.get(id)
  }

  entries(): Iterable<[string, number]> {
    return this.vocabulary.ordered()
  }

  protected unknownId(token: string): number {
    const id = this.vocabulary.ids.get(token)
    if (id === undefined)
      throw new DataError(`The unknown token ${JSON.stringify(token)} is not in the vocabulary: add it.`)
    return id
  }

  abstract tokenize(word: string, sink: TokenSink): void
  abstract allowsSplitBefore(lead: string): boolean
  abstract toJson(): JsonObject
  abstract files(): Record<string, string>
}

/** Reads a vocabulary `{ token: id, … }`. Throws DataError. */
export const readVocabulary = (value: unknown, where: string): Vocabulary => {
  if (!isObject(value)) throwInvalid('an object of token ids by token', where, value)
  const entries: [string, number][] = []
  for (const token of Object.keys(value)) {
    const id = value[token]
    if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id > 0x7fffffff) integer(id, `${where}[${token}]`)
    else entries.push([token, id])
  }
  return new Vocabulary(entries)
}

/** The vocabulary as a JSON object, in the order of `entries`. */
export const vocabularyJson = (entries: Iterable<[string, number]>): JsonObject => {
  // A null prototype allows the token `__proto__`.
  const json: JsonObject = Object.create(null)
  for (const [token, id] of entries) json[token] = id
  return json
}
