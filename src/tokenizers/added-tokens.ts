// Added tokens: matched in the text before pre-tokenization, and looked up together with the model's vocabulary.
// Independent of the normalizer and the pre-tokenizer.
import { Fields, type JsonObject, throwInvalid } from './fields.ts'
import type { Model } from './models/index.ts'
import { classOf, WHITE_SPACE } from './unicode.ts'

/** A token outside the model's vocabulary, as in `added_tokens` of tokenizer.json. */
export interface AddedToken {
  /** Text of the token. */
  content: string
  /** Left out by `decode` with `skipSpecialTokens`. */
  special: boolean
  /** Matches only where no letter or digit is adjacent. */
  singleWord: boolean
  /** The match includes the white space before it. */
  lstrip: boolean
  /** The match includes the white space after it. */
  rstrip: boolean
  /** Matched in the normalized text, by its own normalized form. */
  normalized: boolean
}

/** A range of text in UTF-16 units, end excluded; with an id if it is an added token. */
export interface Segment {
  start: number
  end: number
  id?: number
}

const WORD_START = /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u
const WORD_END = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]$/u

/** The added tokens of one tokenizer: matching in text, and lookup over added tokens and model vocabulary. */
export class AddedTokens {
  readonly #ids = new Map<string, number>()
  readonly #tokens = new Map<number, AddedToken>()
  readonly #normalizedForms = new Map<number, string>()
  readonly #specials = new Set<string>()
  #raw: Matcher | undefined
  #normalized: Matcher | undefined
  readonly #model: Model
  readonly #normalize: (text: string) => string

  constructor(model: Model, normalize: (text: string) => string) {
    this.#model = model
    this.#normalize = normalize
  }

  get count(): number {
    return this.#ids.size
  }

  get hasNormalized(): boolean {
    return this.#normalized !== undefined
  }

  /**
   * Adds tokens in order. A token in the vocabulary keeps its id; any other gets the next free id. An id given in the
   * file is ignored, as in all other readers of tokenizer.json.
   */
  add(tokens: readonly AddedToken[]): void {
    const largest = Math.max(-1, ...this.#tokens.keys())
    const size = this.#model.size
    let next = largest >= size || size === 0 ? largest + 1 : size
    for (const token of tokens) {
      if (token.content === '') continue
      const id = this.idOf(token.content) ?? next++
      this.#ids.set(token.content, id)
      this.#tokens.set(id, token)
      if (token.special) this.#specials.add(token.content)
      this.#normalizedForms.delete(id)
      if (token.normalized) {
        const form = this.#normalize(token.content)
        if (form !== token.content) this.#normalizedForms.set(id, form)
      }
    }
    const patterns = [...this.#tokens].map(([id, token]) => ({
      id,
      token,
      text: token.normalized ? (this.#normalizedForms.get(id) ?? token.content) : token.content,
    }))
    this.#raw = createMatcher(patterns.filter(({ token }) => !token.normalized))
    this.#normalized = createMatcher(patterns.filter(({ token }) => token.normalized))
  }

  idOf(token: string): number | undefined {
    return this.#ids.get(token) ?? this.#model.tokenToId(token)
  }

  /** The token's text as the decoder expects it: the normalized form if the token has one. */
  tokenOf(id: number): string | undefined {
    return this.#normalizedForms.get(id) ?? this.#tokens.get(id)?.content ?? this.#model.idToToken(id)
  }

  isSpecial(token: string): boolean {
    return this.#specials.has(token)
  }

  isSpecialId(id: number): boolean {
    return this.#tokens.get(id)?.special ?? false
  }

  /** Turns the special tokens inside the `literal` ranges back into plain text, joined with the text around them. */
  keepLiterals(segments: readonly Segment[], text: string, literal: readonly (readonly [number, number])[]): Segment[] {
    if (literal.length === 0) return [...segments]
    const joined: Segment[] = []
    for (const segment of segments) {
      const { start, end, id } = segment
      // `lstrip` and `rstrip` may have added white space to the match; only the token's own text counts here.
      const inner = text.slice(start, end)
      const from = start + inner.length - inner.trimStart().length
      const to = end - inner.length + inner.trimEnd().length
      const isLiteral = id !== undefined && this.isSpecialId(id) && literal.some(([a, b]) => from < b && to > a)
      const last = joined.at(-1)
      if (id !== undefined && !isLiteral) joined.push(segment)
      else if (last !== undefined && last.id === undefined) joined[joined.length - 1] = { start: last.start, end }
      else joined.push({ start, end })
    }
    return joined
  }

  /** Number of added tokens that are not in the model's own vocabulary. */
  countBeyondModel(): number {
    return [...this.#ids.keys()].filter((token) => this.#model.tokenToId(token) === undefined).length
  }

  maxId(): number {
    return Math.max(this.#model.maxId, ...this.#tokens.keys())
  }

  list(): { id: number; token: AddedToken }[] {
    return [...this.#tokens].map(([id, token]) => ({ id, token })).sort((a, b) => a.id - b.id)
  }

  /** Splits raw text at the added tokens that are matched before normalization. */
  splitRaw(text: string): Segment[] {
    return this.#raw === undefined ? wholeText(text) : this.#raw.split(text)
  }

  /** Splits normalized text at the added tokens that are matched after normalization. */
  splitNormalized(text: string): Segment[] {
    return this.#normalized === undefined ? wholeText(text) : this.#normalized.split(text)
  }

  toJson(): JsonObject[] {
    return this.list().map(({ id, token }) => ({
      id,
      content: token.content,
      single_word: token.singleWord,
      lstrip: token.lstrip,
      rstrip: token.rstrip,
      normalized: token.normalized,
      special: token.special,
    }))
  }
}

const wholeText = (text: string): Segment[] => [{ start: 0, end: text.length }]

/** Reads one entry of `added_tokens`. */
export const readAddedToken = (value: unknown, where: string): AddedToken => {
  const fields = new Fields(value, where)
  const special = fields.boolean('special', false)
  return {
    content: fields.string('content'),
    special,
    singleWord: fields.boolean('single_word', false),
    lstrip: fields.boolean('lstrip', false),
    rstrip: fields.boolean('rstrip', false),
    normalized: fields.boolean('normalized', !special),
  }
}

interface Entry {
  id: number
  token: AddedToken
  text: string
}

interface Node {
  children: Map<number, Node>
  entry?: Entry
}

const createMatcher = (entries: readonly Entry[]): Matcher | undefined => {
  const usable = entries.filter(({ text }) => text !== '')
  return usable.length === 0 ? undefined : new Matcher(usable)
}

/** Splits text at the leftmost-longest matches of a set of strings, by a trie over UTF-16 units. */
class Matcher {
  readonly #root: Node = { children: new Map() }
  // Matches the first unit of any token, so that V8 skips to the next candidate position.
  readonly #starts: RegExp

  constructor(entries: readonly Entry[]) {
    for (const entry of entries) {
      let node = this.#root
      for (let i = 0; i < entry.text.length; i++) {
        const unit = entry.text.charCodeAt(i)
        let child = node.children.get(unit)
        if (child === undefined) node.children.set(unit, (child = { children: new Map() }))
        node = child
      }
      node.entry = entry
    }
    if (this.#root.children.size === 0) throwInvalid('tokens that are not empty', 'added_tokens', [])
    const units = [...this.#root.children.keys()].map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`)
    this.#starts = new RegExp(`[${units.join('')}]`, 'g')
  }

  #longestAt(text: string, start: number): Entry | undefined {
    let found: Entry | undefined
    let node: Node | undefined = this.#root
    for (let at = start; at < text.length; at++) {
      node = node.children.get(text.charCodeAt(at))
      if (node === undefined) break
      found = node.entry ?? found
    }
    return found
  }

  split(text: string): Segment[] {
    const segments: Segment[] = []
    const starts = this.#starts
    let done = 0
    for (let at = nextStart(starts, text, 0); at >= 0; ) {
      const entry = this.#longestAt(text, at)
      if (entry === undefined) {
        at = nextStart(starts, text, at + 1)
        continue
      }
      const matchEnd = at + entry.text.length
      const span = matchSpan(text, entry.token, at, matchEnd, done)
      if (span !== undefined) {
        if (done < span[0]) segments.push({ start: done, end: span[0] })
        segments.push({ start: span[0], end: span[1], id: entry.id })
        done = span[1]
      }
      at = nextStart(starts, text, matchEnd)
    }
    if (done < text.length || segments.length === 0) segments.push({ start: done, end: text.length })
    return segments
  }
}

const nextStart = (starts: RegExp, text: string, from: number): number => {
  starts.lastIndex = from
  return starts.test(text) ? starts.lastIndex - 1 : -1
}

/** The span of a match with the white space it strips, or undefined for a single-word token inside a longer word. */
const matchSpan = (
  text: string,
  token: AddedToken,
  start: number,
  end: number,
  done: number,
): [number, number] | undefined => {
  if (token.singleWord) {
    // Two UTF-16 units always hold the adjacent character.
    if (start > 0 && WORD_END.test(text.slice(Math.max(0, start - 2), start))) return undefined
    if (end < text.length && WORD_START.test(text.slice(end, end + 2))) return undefined
  }
  let from = start
  let to = end
  if (token.lstrip) while (from > done && isSpaceAt(text, from - 1)) from--
  if (token.rstrip) while (to < text.length && isSpaceAt(text, to)) to++
  return [from, to]
}

const isSpaceAt = (text: string, at: number): boolean => (classOf(text.charCodeAt(at)) & WHITE_SPACE) !== 0
