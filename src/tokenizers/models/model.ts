// What a tokenizer model is: a vocabulary and the way a word becomes tokens of it. It knows none of them.
import { type Fields, integer, isObject, type JsonObject, refuse } from '../fields.ts'

/** Where a model writes the tokens of a word; positions are UTF-16 units of the word. */
export interface TokenSink {
  ids: number[]
  starts: number[]
  ends: number[]
  /** What the token is to be called when that is not its entry in the vocabulary, by place in `ids`. */
  names: Map<number, string>
}

export interface Model {
  readonly size: number
  /** The largest id, or -1 in an empty vocabulary. */
  readonly maxId: number
  tokenToId(token: string): number | undefined
  idToToken(id: number): string | undefined
  /** Appends the tokens of a word that is not empty. Throws DataError when it needs an unknown token and has none. */
  tokenize(word: string, sink: TokenSink): void
  /** Whether a word may be cut before `lead` (after any other character) and both parts tokenized by themselves. */
  bearsCut(lead: string): boolean
  entries(): Iterable<[token: string, id: number]>
  /** The `model` section of tokenizer.json. */
  toJson(): JsonObject
  /** The files besides tokenizer.json that older readers of such a model want, by name. */
  files(): Record<string, string>
}

export interface ModelDefinition {
  type: string
  read(fields: Fields): Model
}

export const defineModel = (definition: ModelDefinition): ModelDefinition => definition

export const createSink = (): TokenSink => ({ ids: [], starts: [], ends: [], names: new Map() })

/** A vocabulary in both directions. */
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

  /** The entries from the smallest id up. */
  ordered(): [string, number][] {
    return [...this.ids].sort((a, b) => a[1] - b[1])
  }
}

/** What every model that is a plain vocabulary answers alike. */
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

  abstract tokenize(word: string, sink: TokenSink): void
  abstract bearsCut(lead: string): boolean
  abstract toJson(): JsonObject
  abstract files(): Record<string, string>
}

/** Reads `{ token: id, … }`. */
export const readVocabulary = (value: unknown, where: string): Vocabulary => {
  if (!isObject(value)) refuse('an object of tokens and ids', where, value)
  const entries: [string, number][] = []
  for (const token of Object.keys(value)) {
    const id = value[token]
    if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id > 0x7fffffff) integer(id, `${where}[${token}]`)
    else entries.push([token, id])
  }
  return new Vocabulary(entries)
}

/** A vocabulary as an object whose keys are in the order of the ids. */
export const vocabularyJson = (entries: Iterable<[string, number]>): JsonObject => {
  // A null prototype lets a token be called `__proto__`.
  const json: JsonObject = Object.create(null)
  for (const [token, id] of entries) json[token] = id
  return json
}
