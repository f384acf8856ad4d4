// Tokens that are cut out of the text before anything else looks at it, and the two vocabularies as one.
// It knows no normalizer and no pre-tokenizer.
import { Fields, type JsonObject, refuse } from './fields.ts'
import type { Model } from './models/index.ts'
import { classOf, WHITE_SPACE } from './unicode.ts'

export interface AddedToken {
  content: string
  /** Passed over by `decode` when special tokens are skipped. */
  special: boolean
  /** Matches only where no letter or digit touches it. */
  singleWord: boolean
  /** Takes the white space before it. */
  lstrip: boolean
  /** Takes the white space after it. */
  rstrip: boolean
  /** Is looked for in the normalized text, in its own normalized form. */
  normalized: boolean
}

/** A stretch of text; with an id when it is an added token. */
export interface Stretch {
  start: number
  end: number
  id?: number
}

const WORD_START = /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u
const WORD_END = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]$/u

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
   * Adds tokens in their order. One that the vocabulary knows keeps its id, any other gets the next free one (and not
   * the one that the file may name: so do all other readers).
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

  /** The token as the decoder wants it. */
  tokenOf(id: number): string | undefined {
    return this.#normalizedForms.get(id) ?? this.#tokens.get(id)?.content ?? this.#model.idToToken(id)
  }

  isSpecial(token: string): boolean {
    return this.#specials.has(token)
  }

  isSpecialId(id: number): boolean {
    return this.#tokens.get(id)?.special ?? false
  }

  /** Cuts of `text` without the special tokens that lie in one of the `literal` stretches: they are text there. */
  asText(stretches: readonly Stretch[], text: string, literal: readonly (readonly [number, number])[]): Stretch[] {
    if (literal.length === 0) return [...stretches]
    const joined: Stretch[] = []
    for (const stretch of stretches) {
      const { start, end, id } = stretch
      // White space around a match is its own only by the token's leave.
      const inner = text.slice(start, end)
      const from = start + inner.length - inner.trimStart().length
      const to = end - inner.length + inner.trimEnd().length
      const said = id !== undefined && this.isSpecialId(id) && literal.some(([a, b]) => from < b && to > a)
      const last = joined.at(-1)
      if (id !== undefined && !said) joined.push(stretch)
      else if (last !== undefined && last.id === undefined) joined[joined.length - 1] = { start: last.start, end }
      else joined.push({ start, end })
    }
    return joined
  }

  /** How many of these the model's own vocabulary lacks. */
  countBeyondModel(): number {
    return [...this.#ids.keys()].filter((token) => this.#model.tokenToId(token) === undefined).length
  }

  maxId(): number {
    return Math.max(this.#model.maxId, ...this.#tokens.keys())
  }

  list(): { id: number; token: AddedToken }[] {
    return [...this.#tokens].map(([id, token]) => ({ id, token })).sort((a, b) => a.id - b.id)
  }

  /** Cuts the tokens that are looked for in the text as it is. */
  splitRaw(text: string): Stretch[] {
    return this.#raw === undefined ? whole(text) : this.#raw.split(text)
  }

  /** Cuts the tokens that are looked for in normalized text. */
  splitNormalized(text: string): Stretch[] {
    return this.#normalized === undefined ? whole(text) : this.#normalized.split(text)
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

const whole = (text: string): Stretch[] => [{ start: 0, end: text.length }]

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

/** Finds the leftmost and longest of many strings, again and again. */
class Matcher {
  readonly #root: Node = { children: new Map() }
  // The engine jumps to the next place where a token could begin.
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
    if (this.#root.children.size === 0) refuse('tokens with text', 'added_tokens', [])
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

  split(text: string): Stretch[] {
    const stretches: Stretch[] = []
    const starts = this.#starts
    let done = 0
    for (let at = nextStart(starts, text, 0); at >= 0; ) {
      const entry = this.#longestAt(text, at)
      if (entry === undefined) {
        at = nextStart(starts, text, at + 1)
        continue
      }
      const matchEnd = at + entry.text.length
      const span = place(text, entry.token, at, matchEnd, done)
      if (span !== undefined) {
        if (done < span[0]) stretches.push({ start: done, end: span[0] })
        stretches.push({ start: span[0], end: span[1], id: entry.id })
        done = span[1]
      }
      at = nextStart(starts, text, matchEnd)
    }
    if (done < text.length || stretches.length === 0) stretches.push({ start: done, end: text.length })
    return stretches
  }
}

const nextStart = (starts: RegExp, text: string, from: number): number => {
  starts.lastIndex = from
  return starts.test(text) ? starts.lastIndex - 1 : -1
}

/** The span that a match takes with its white space, or undefined when it must be a word of its own and is not. */
const place = (
  text: string,
  token: AddedToken,
  start: number,
  end: number,
  done: number,
): [number, number] | undefined => {
  if (token.singleWord) {
    // Two units are enough to see the character beside the match.
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
