// Constrained decoding: tokens after which a text could no longer follow its grammar are excluded. Which tokens are allowed
// depends on the state of the grammar only, so it is computed once for each state, over a tree of all tokens.
import type { LogitsProcessor } from '../../generation/index.ts'
import { type Tokenizer, tokenBytes } from '../../tokenizers/index.ts'
import { badRequest } from '../http/errors.ts'
import { Effort, Machine, type Node, type State } from './nodes.ts'

/** Tokens by their bytes. */
interface Branch {
  children: Map<number, Branch>
  ids: number[]
}

const trees = new WeakMap<Tokenizer, Branch>()

/** The tree of all tokens that are text. */
const treeOf = (tokenizer: Tokenizer): Branch => {
  const known = trees.get(tokenizer)
  if (known !== undefined) return known
  const root: Branch = { children: new Map(), ids: [] }
  const special = new Set(tokenizer.addedTokens.filter(({ token }) => token.special).map(({ id }) => id))
  for (let id = 0; id <= tokenizer.maxId; id++) {
    if (special.has(id)) continue
    const bytes = tokenBytes(tokenizer, id)
    if (bytes.length === 0) continue
    let branch = root
    for (const byte of bytes) {
      const next = branch.children.get(byte) ?? { children: new Map(), ids: [] }
      branch.children.set(byte, next)
      branch = next
    }
    branch.ids.push(id)
  }
  trees.set(tokenizer, root)
  return root
}

/** States whose tokens are kept; a string and the places around it are few. */
const maxCached = 512

/** Milliseconds that each token of a vocabulary adds to the time in which the next one must be found. */
const timePerToken = 0.01

/** The tokens of one tokenizer that a grammar allows. */
export class Constraint {
  readonly #effort: Effort
  readonly #machine: Machine
  readonly #tokenizer: Tokenizer
  readonly #allowed = new Map<number, Uint32Array>()
  /** How far each text has been read, by its list of ids. */
  readonly #read = new WeakMap<readonly number[], { count: number; state: State | undefined }>()

  /** @throws ApiError where no token begins a text of the grammar, ConfigError where finding them takes too long */
  constructor(grammar: Node, tokenizer: Tokenizer, param: string) {
    this.#tokenizer = tokenizer
    treeOf(tokenizer)
    this.#effort = new Effort(
      `Finding the next token takes too long: a text can be read in too many ways by the schema of \`${param}\`. Give alternatives different beginnings.`,
      500 + tokenizer.maxId * timePerToken,
    )
    this.#machine = new Machine(grammar, this.#effort)
    if (this.#tokensAfter(this.#machine.start).length === 0)
      throw badRequest(`No token of the model's vocabulary begins a text for \`${param}\`.`, param)
  }

  /** Excludes all other tokens; the end tokens are allowed where the text may end. */
  processor(eosTokenIds: readonly number[]): LogitsProcessor {
    return (scores, { ids, newTokens }) => {
      this.#effort.restart()
      const state = this.#stateOf(ids, newTokens)
      const allowed = state === undefined ? [] : this.#tokensAfter(state)
      const kept = new Map<number, number>()
      for (const id of allowed) if (id < scores.length) kept.set(id, scores[id])
      // A text that cannot continue ends.
      if (state === undefined || state.ends || kept.size === 0)
        for (const id of eosTokenIds) if (id < scores.length) kept.set(id, kept.size === 0 ? 0 : scores[id])
      scores.fill(Number.NEGATIVE_INFINITY)
      for (const [id, score] of kept) scores[id] = score
    }
  }

  #stateOf(ids: readonly number[], newTokens: number): State | undefined {
    const start = ids.length - newTokens
    const read = this.#read.get(ids) ?? { count: 0, state: this.#machine.start }
    for (; read.count < newTokens && read.state !== undefined; read.count++)
      for (const byte of tokenBytes(this.#tokenizer, ids[start + read.count])) {
        if (read.state === undefined) break
        read.state = this.#machine.next(read.state, byte)
      }
    this.#read.set(ids, read)
    return read.state
  }

  #tokensAfter(state: State): Uint32Array {
    const known = this.#allowed.get(state.id)
    if (known !== undefined) return known
    const found: number[] = []
    const todo: [Branch, State][] = [[treeOf(this.#tokenizer), state]]
    for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
      const [branch, at] = next
      found.push(...branch.ids)
      this.#effort.spend()
      for (const [byte, child] of branch.children) {
        const after = this.#machine.next(at, byte)
        if (after !== undefined) todo.push([child, after])
      }
    }
    const tokens = Uint32Array.from(found)
    if (this.#allowed.size >= maxCached) this.#allowed.clear()
    this.#allowed.set(state.id, tokens)
    return tokens
  }
}
