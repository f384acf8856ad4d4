// Sequences that begin alike, such as the answers to one prompt, in a packed row that has their beginning once: each sequence is a
// document that attends to the tokens of the shared one and to its own. Independent of what is computed from the hidden states.
import type { BodyInputs, Model } from '../models/index.ts'
import { type Sequences, toInt64 } from './sequences.ts'

type OneSequence = Pick<Sequences, 'ids'>

/** A packed row in which sequences share their beginnings. */
export interface SharedRow {
  inputs: BodyInputs
  /** Tokens of the row. */
  tokens: number
  /** Index in the row of token `t` of sequence `i`. */
  placeOf(i: number, t: number): number
  /** The document that each sequence ends with; others are shared beginnings. */
  documents: Int32Array
}

/** Shorter beginnings, such as a start token, are not worth a document of their own. */
const leastShared = 4

/** Whether a model can share prompts now: its architecture does, and no active adapter has virtual tokens before each document. */
export const sharesPrompts = ({ facts, body }: Pick<Model, 'facts' | 'body'>): boolean =>
  facts.sharesKeys === true && facts.packs !== false && [...body.modules()].every(([, module]) => module.sharesKeys)

interface Group {
  /** Index of the first sequence, and the number of sequences. */
  first: number
  count: number
  /** Tokens that all of them begin with; each has at least one more. */
  prefix: number
}

const alike = (a: Uint32Array, b: Uint32Array): number => {
  const most = Math.min(a.length, b.length) - 1
  let same = 0
  while (same < most && a[same] === b[same]) same++
  return same
}

/** Groups of neighbours with a common beginning. */
const groupsOf = (examples: readonly OneSequence[]): Group[] => {
  const groups: Group[] = []
  for (const [i, { ids }] of examples.entries()) {
    const open = groups.at(-1)
    const same = open === undefined ? 0 : alike(examples[open.first].ids, ids)
    // An example with another prompt but, say, the same system prompt would leave the group a short beginning.
    const joins = same >= leastShared && (open?.count === 1 || same >= 0.8 * (open?.prefix ?? 0))
    if (open === undefined || !joins) groups.push({ first: i, count: 1, prefix: 0 })
    else {
      open.prefix = open.count === 1 ? same : Math.min(open.prefix, same)
      open.count++
    }
  }
  return groups
}

/** The sequences in one packed row that has common beginnings once; undefined where there are none. */
export const shareBeginnings = (examples: readonly OneSequence[], device?: string): SharedRow | undefined => {
  const groups = groupsOf(examples)
  if (groups.every(({ count }) => count === 1)) return undefined
  const ids: number[] = []
  const positions: number[] = []
  const starts = [0]
  const keys: number[] = []
  const keyStarts = [0]
  /** First token of each sequence's own part, and of its beginning, in the row. */
  const own = new Int32Array(examples.length)
  const beginning = new Int32Array(examples.length)
  const prefixes = new Int32Array(examples.length)
  const documents = new Int32Array(examples.length)
  const add = (tokens: Uint32Array, from: number, shared: number) => {
    for (let t = 0; t < from; t++) keys.push(shared + t)
    for (const [t, id] of tokens.subarray(from).entries()) {
      keys.push(ids.length)
      ids.push(id)
      positions.push(from + t)
    }
    starts.push(ids.length)
    keyStarts.push(keys.length)
  }
  for (const { first, count, prefix } of groups) {
    const shared = ids.length
    if (prefix > 0) add(examples[first].ids.subarray(0, prefix), 0, shared)
    for (let i = first; i < first + count; i++) {
      own[i] = ids.length
      beginning[i] = shared
      prefixes[i] = prefix
      documents[i] = starts.length - 1
      add(examples[i].ids, prefix, shared)
    }
  }
  const integers = (values: readonly number[], shape: readonly number[] = [values.length]) =>
    toInt64(Int32Array.from(values), shape, device)
  const edges = (values: readonly number[]) => toInt64(Int32Array.from(values), [values.length])
  return {
    inputs: {
      inputIds: integers(ids, [1, ids.length]),
      positionIds: integers(positions, [1, ids.length]),
      starts: edges(starts),
      sharedKeys: { places: integers(keys), starts: edges(keyStarts) },
    },
    tokens: ids.length,
    documents,
    placeOf: (i, t) => (t < prefixes[i] ? beginning[i] + t : own[i] + t - prefixes[i]),
  }
}
