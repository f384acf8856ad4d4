// Grammars over bytes: nodes that describe texts, and a machine that reads a text byte by byte and tells which bytes may come
// next. Nodes may be recursive, so the machine keeps a stack; equal stacks are one object, so that states can be compared and
// cached by number.
import { ConfigError } from '../../core/index.ts'

/** Steps between two looks at the clock. */
const stride = 200

/** Work that must end within some time of the processor. */
export class Effort {
  readonly #message: string
  readonly #maxTime: number
  #started = 0
  #used = process.cpuUsage()
  #steps = 0

  /**
   * @param message of the error, without the place in a schema
   * @param maxTime in milliseconds
   */
  constructor(message: string, maxTime = 1000) {
    this.#message = message
    this.#maxTime = maxTime
    this.restart()
  }

  /** Allows the whole time again. */
  restart(): void {
    this.#started = performance.now()
    this.#used = process.cpuUsage()
    this.#steps = 0
  }

  /** Counts steps that are done. @throws ConfigError when the time is over */
  spend(steps = 1): void {
    this.#steps += steps
    if (this.#steps < stride) return
    this.#steps = 0
    if (performance.now() - this.#started < this.#maxTime) return
    // Time that other programs had does not count, so that a busy machine refuses nothing else.
    const { user, system } = process.cpuUsage(this.#used)
    if ((user + system) / 1000 >= this.#maxTime) throw new ConfigError(this.#message)
  }
}

/** For the grammar of one document. */
export const compilingEffort = (): Effort =>
  new Effort(
    'the schema takes more than a second to compile. Use fewer or simpler patterns, lookaheads, repetitions and multiples.',
  )

/** A set of bytes: 256 flags. */
type Bytes = Uint8Array

/** A part of a grammar. */
export type Node =
  | { kind: 'bytes'; bytes: Bytes }
  | { kind: 'sequence'; parts: readonly Node[] }
  | { kind: 'choice'; parts: readonly Node[] }
  | { kind: 'repeat'; part: Node; min: number; max: number }
  | { kind: 'reference'; resolve(): Node }
  | { kind: 'known'; resolve(): Node }

/** The text of nothing. */
export const nothing: Node = { kind: 'sequence', parts: [] }
export const sequence = (...parts: Node[]): Node => ({ kind: 'sequence', parts })
export const choice = (...parts: Node[]): Node => (parts.length === 1 ? parts[0] : { kind: 'choice', parts })
export const optional = (part: Node): Node => choice(part, nothing)
export const repeat = (part: Node, min = 0, max = Number.POSITIVE_INFINITY): Node => ({
  kind: 'repeat',
  part,
  min,
  max,
})
export const reference = (resolve: () => Node): Node => ({ kind: 'reference', resolve })

/** A part that is made when a text comes to it, and is known to have texts. */
export const known = (make: () => Node): Node => {
  let made: Node | undefined
  return {
    kind: 'known',
    resolve() {
      made ??= make()
      return made
    },
  }
}

/** One byte of several ranges, each `[first, last]`. */
export const oneOf = (...ranges: readonly (readonly [number, number])[]): Node => {
  const bytes = new Uint8Array(256)
  for (const [first, last] of ranges) bytes.fill(1, first, last + 1)
  return { kind: 'bytes', bytes }
}

const singles = Array.from({ length: 256 }, (_, byte) => oneOf([byte, byte]))

export const literal = (text: string): Node => sequence(...[...Buffer.from(text, 'utf8')].map((byte) => singles[byte]))

export const anyOf = (characters: string): Node =>
  oneOf(...[...Buffer.from(characters, 'latin1')].map((byte) => [byte, byte] as const))

/** A sequence without its first parts, so that a long one is read no further than a text goes. */
interface Tail {
  kind: 'tail'
  parts: readonly Node[]
  from: number
}

/** What is still to be read: a node, then the rest. */
interface Stack {
  readonly id: number
  readonly node: Node | Tail
  readonly rest: Stack | undefined
}

/** Where a machine is in a text. Equal places are the same object. */
export interface State {
  readonly id: number
  /** Whether the text may end here. */
  readonly ends: boolean
}

interface FullState extends State {
  /** Stacks whose top is a set of bytes. */
  readonly stacks: readonly Stack[]
  readonly next: Map<number, FullState | null>
}

/** Reads texts of one grammar. */
export class Machine {
  readonly start: State
  readonly #nodes = new Map<Node | Tail, number>()
  readonly #stacks = new Map<string, Stack>()
  readonly #states = new Map<string, FullState>()
  /** A repetition after one of its parts, by the node and the number of parts so far. */
  readonly #repeated = new Map<string, Node>()
  /** Sequences without their first parts, by the parts and their number. */
  readonly #tails = new Map<readonly Node[], Tail[]>()
  readonly #effort: Effort | undefined

  /** @param effort limits the work; its error comes from the constructor and from `next` */
  constructor(grammar: Node, effort?: Effort) {
    this.#effort = effort
    this.start = this.#stateOf([this.#push(grammar, undefined)])
  }

  /** The state after a byte; undefined for one that may not come. */
  next(state: State, byte: number): State | undefined {
    const full = state as FullState
    const known = full.next.get(byte)
    if (known !== undefined) return known ?? undefined
    const after: (Stack | undefined)[] = []
    for (const { node, rest } of full.stacks) if (node.kind === 'bytes' && node.bytes[byte] === 1) after.push(rest)
    const found = after.length === 0 ? null : this.#stateOf(after)
    full.next.set(byte, found)
    return found ?? undefined
  }

  #numberOf(node: Node | Tail): number {
    const number = this.#nodes.get(node) ?? this.#nodes.size
    this.#nodes.set(node, number)
    return number
  }

  #push(node: Node | Tail, rest: Stack | undefined): Stack {
    this.#effort?.spend()
    const key = `${this.#numberOf(node)}:${rest?.id ?? ''}`
    const known = this.#stacks.get(key)
    if (known !== undefined) return known
    const made = { id: this.#stacks.size, node, rest }
    this.#stacks.set(key, made)
    return made
  }

  #stateOf(tops: readonly (Stack | undefined)[]): FullState {
    const found = new Map<number, Stack>()
    const seen = new Set<number>()
    let ends = false
    const todo = [...tops]
    while (todo.length > 0) {
      const top = todo.pop()
      if (top === undefined) ends = true
      else if (!seen.has(top.id)) {
        seen.add(top.id)
        if (top.node.kind === 'bytes') found.set(top.id, top)
        else todo.push(...this.#expand(top))
      }
    }
    const stacks = [...found.values()].sort((a, b) => a.id - b.id)
    const key = `${ends ? '!' : ''}${stacks.map(({ id }) => id).join()}`
    const known = this.#states.get(key)
    if (known !== undefined) return known
    const state = { id: this.#states.size, ends, stacks, next: new Map() }
    this.#states.set(key, state)
    return state
  }

  #expand({ node, rest }: Stack): (Stack | undefined)[] {
    switch (node.kind) {
      case 'sequence':
        return [this.#pushParts(node.parts, 0, rest)]
      case 'tail':
        return [this.#pushParts(node.parts, node.from, rest)]
      case 'choice':
        return node.parts.map((part) => this.#push(part, rest))
      case 'reference':
      case 'known':
        return [this.#push(node.resolve(), rest)]
      case 'repeat': {
        const again = node.max > 0 ? [this.#push(node.part, this.#push(this.#less(node), rest))] : []
        return node.min > 0 ? again : [...again, rest]
      }
      default:
        return []
    }
  }

  /** Parts of a sequence from one of them. */
  #pushParts(parts: readonly Node[], from: number, rest: Stack | undefined): Stack | undefined {
    if (from >= parts.length) return rest
    if (from === parts.length - 1) return this.#push(parts[from], rest)
    const tails = this.#tails.get(parts) ?? []
    this.#tails.set(parts, tails)
    tails[from + 1] ??= { kind: 'tail', parts, from: from + 1 }
    return this.#push(parts[from], this.#push(tails[from + 1], rest))
  }

  /** The repetition with one part less. */
  #less(node: Extract<Node, { kind: 'repeat' }>): Node {
    const { part, min, max } = node
    if (min === 0 && max === Number.POSITIVE_INFINITY) return node
    const key = `${this.#numberOf(part)}:${min}:${max}`
    const known = this.#repeated.get(key) ?? repeat(part, Math.max(0, min - 1), max - 1)
    this.#repeated.set(key, known)
    return known
  }
}

/** Whether a grammar has any text at all: one that only refers to itself has none. */
export const hasText = (grammar: Node): boolean => {
  /** Nodes by those that they have as a part. */
  const users = new Map<Node, Node[]>([[grammar, []]])
  for (const node of users.keys())
    for (const part of partsOf(node)) {
      const known = users.get(part)
      if (known === undefined) users.set(part, [node])
      else known.push(node)
    }
  /** Parts that a sequence waits for. */
  const missing = new Map<Node, number>()
  const productive = new Set<Node>()
  const todo = [...users.keys()].filter(isProductiveAlone)
  for (let node = todo.pop(); node !== undefined; node = todo.pop()) {
    if (productive.has(node)) continue
    productive.add(node)
    for (const user of users.get(node) ?? []) {
      const left = user.kind === 'sequence' ? (missing.get(user) ?? user.parts.length) - 1 : 0
      missing.set(user, left)
      if (left === 0 && (user.kind !== 'repeat' || user.max >= user.min)) todo.push(user)
    }
  }
  return productive.has(grammar)
}

const partsOf = (node: Node): readonly Node[] => {
  switch (node.kind) {
    case 'sequence':
    case 'choice':
      return node.parts
    case 'repeat':
      return [node.part]
    case 'reference':
      return [node.resolve()]
    default:
      return []
  }
}

/** Whether a node has texts whatever its parts are. */
const isProductiveAlone = (node: Node): boolean => {
  switch (node.kind) {
    case 'bytes':
      return node.bytes.includes(1)
    case 'sequence':
      return node.parts.length === 0
    case 'repeat':
      return node.min === 0
    default:
      return node.kind === 'known'
  }
}
