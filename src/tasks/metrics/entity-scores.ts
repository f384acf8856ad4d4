// Precision, recall and F1 of entities; an entity is right if its type and both borders are. @source Tjong Kim Sang and De Meulder 2003,
// aclanthology.org/W03-0419

import { ConfigError } from '../../core/index.ts'
import { classF1, meanF1 } from './class-counts.ts'
import { GrowingList, type ScoredUnits, type Scores } from './scored-units.ts'

// @source Tjong Kim Sang and Buchholz 2000, aclanthology.org/W00-0726 (schemes); seqeval 1.2.2, whose results these are
/** An entity of a sentence. */
export interface EntitySpan {
  type: string
  /** The first token, and the one after the last. */
  start: number
  end: number
}

interface Tag {
  prefix: string
  type: string
}

/** Patterns of strict schemes: [previous tag][tag][= same type, ! another type, * any]; several letters are alternatives. */
interface Scheme {
  letters: string
  starts: readonly string[]
  inside: readonly string[]
  ends: readonly string[]
}

const any = 'BIOESLU'

const schemes = {
  iob1: {
    letters: 'BIO',
    starts: ['O I *', 'I I !', 'B I *', 'IB B ='],
    inside: ['BI I ='],
    ends: ['IB I !', 'I OB *', 'B O *', 'B B ='],
  },
  iob2: { letters: 'BIO', starts: [`${any} B *`], inside: ['BI I ='], ends: ['BI OB *', 'BI I !'] },
  ioe1: {
    letters: 'IOE',
    starts: ['OE I *', 'I I !', 'E E ='],
    inside: ['I IE ='],
    ends: ['I I !', 'I O *', 'I E !', 'E IE ='],
  },
  ioe2: {
    letters: 'IOE',
    starts: ['OE IE *', 'I IE !'],
    inside: ['I IE ='],
    ends: [`E ${any} *`],
  },
  iobes: {
    letters: 'BIOES',
    starts: [`${any} BS *`],
    inside: ['BI IE ='],
    ends: [`SE ${any} *`],
  },
  bilou: {
    letters: 'BIOLU',
    starts: [`${any} BU *`],
    inside: ['BI IL ='],
    ends: [`UL ${any} *`],
  },
} as const satisfies { [name: string]: Scheme }

/** Names of the tagging schemes. */
export const entitySchemes = ['lenient', ...(Object.keys(schemes) as (keyof typeof schemes)[])] as const
/** `lenient`, or a strict tagging scheme. */
export type EntityScheme = (typeof entitySchemes)[number]

const outside: Tag = { prefix: 'O', type: '_' }

/** @throws ConfigError for a tag that is not of the scheme */
const parsed = (tag: string, letters: string): Tag => {
  const prefix = tag[0] ?? ''
  const named = tag.length === 1 || (tag[1] === '-' && tag.length > 2)
  const isTag = tag === 'O' || (prefix !== '' && letters.includes(prefix) && named)
  if (!isTag)
    throw new ConfigError(
      `Expected a tag such as O or ${letters.replace('O', '')[0]}-NAME, with one of the letters ${letters}, got "${tag}".`,
    )
  return { prefix, type: tag.slice(2) || '_' }
}

/** Entities whose borders need no prefix: a change of type is enough. */
const lenientSpans = (tags: readonly Tag[]): EntitySpan[] => {
  const spans: EntitySpan[] = []
  let before = outside
  let start = 0
  for (let i = 0; i <= tags.length; i++) {
    const tag = tags[i] ?? outside
    const opens = 'BS'.includes(tag.prefix)
    const changes = tag.type !== before.type
    if (before.prefix !== 'O' && ('ES'.includes(before.prefix) || opens || tag.prefix === 'O' || changes))
      spans.push({ type: before.type, start, end: i })
    if (tag.prefix !== 'O' && (opens || 'ESO'.includes(before.prefix) || changes)) start = i
    before = tag
  }
  return spans
}

const fits = (patterns: readonly string[], before: Tag, tag: Tag): boolean =>
  patterns.some((pattern) => {
    const [first, second, types] = pattern.split(' ')
    if (!first.includes(before.prefix) || !second.includes(tag.prefix)) return false
    return types === '*' || (types === '=') === (before.type === tag.type)
  })

const strictSpans = (tags: readonly Tag[], { starts, inside, ends }: Scheme): EntitySpan[] => {
  const spans: EntitySpan[] = []
  const at = (i: number) => tags[i] ?? outside
  for (let i = 0; i < tags.length; ) {
    if (!fits(starts, at(i - 1), at(i))) {
      i++
      continue
    }
    let end = i + 1
    while (end < tags.length && fits(inside, at(end - 1), at(end))) end++
    if (fits(ends, at(end - 1), at(end))) spans.push({ type: at(i).type, start: i, end })
    i = end
  }
  return spans
}

/** The entities of a sequence of tags. @throws ConfigError for a tag that is not of the scheme */
export const entitySpans = (tags: readonly string[], scheme: EntityScheme = 'lenient'): EntitySpan[] => {
  if (scheme === 'lenient') return lenientSpans(tags.map((tag) => parsed(tag, 'BIOES')))
  const strict: Scheme = schemes[scheme]
  return strictSpans(
    tags.map((tag) => parsed(tag, strict.letters)),
    strict,
  )
}

export const entityScoreNames = ['precision', 'recall', 'f1', 'f1Macro', 'f1Weighted', 'tokenAccuracy'] as const

export class EntityScores implements ScoredUnits {
  readonly #scheme: EntityScheme
  readonly #types = new Map<string, number>()
  /** Of each sentence: tokens, right tokens, how many entity types, and of each its number and its counts: in the reference, in the
   * prediction, and in both. */
  readonly #numbers = new GrowingList()
  #units = 0

  constructor(scheme: EntityScheme = 'lenient') {
    this.#scheme = scheme
  }

  get units(): number {
    return this.#units
  }

  /** Reference and predicted tags of a sentence. @throws ConfigError for a tag that is not of the scheme */
  add(right: readonly string[], predicted: readonly string[]): void {
    const types = new Map<number, [right: number, predicted: number, both: number]>()
    const hits = right.reduce((sum, tag, i) => sum + Number(tag === predicted[i]), 0)
    const countsOf = (type: string) => {
      let number = this.#types.get(type)
      if (number === undefined) this.#types.set(type, (number = this.#types.size))
      let counts = types.get(number)
      if (counts === undefined) types.set(number, (counts = [0, 0, 0]))
      return counts
    }
    const spans = new Set<string>()
    for (const { type, start, end } of entitySpans(right, this.#scheme)) {
      countsOf(type)[0]++
      spans.add(`${start} ${end} ${type}`)
    }
    for (const { type, start, end } of entitySpans(predicted, this.#scheme)) {
      const counts = countsOf(type)
      counts[1]++
      if (spans.has(`${start} ${end} ${type}`)) counts[2]++
    }
    this.#units++
    for (const number of [right.length, hits, types.size, ...[...types].flat(2)]) this.#numbers.push(number)
  }

  #counted(counts?: ArrayLike<number>) {
    const size = this.#types.size
    const each = { right: new Float64Array(size), predicted: new Float64Array(size), both: new Float64Array(size) }
    let tokens = 0
    let hits = 0
    const numbers = this.#numbers.values()
    for (let i = 0, at = 0; i < this.#units; i++) {
      const count = counts === undefined ? 1 : counts[i]
      tokens += count * numbers[at]
      hits += count * numbers[at + 1]
      const end = at + 3 + 4 * numbers[at + 2]
      for (at += 3; at < end; at += 4) {
        const type = numbers[at]
        each.right[type] += count * numbers[at + 1]
        each.predicted[type] += count * numbers[at + 2]
        each.both[type] += count * numbers[at + 3]
      }
    }
    return { each, tokens, hits }
  }

  scores(counts?: ArrayLike<number>): Scores {
    const { each, tokens, hits } = this.#counted(counts)
    return {
      ...meanF1(each, 'all'),
      f1Macro: meanF1(each, 'each').f1,
      f1Weighted: meanF1(each, 'support').f1,
      /** Accuracy of single tags, O included. */
      tokenAccuracy: hits / tokens,
    }
  }

  details(): { [name: string]: unknown } {
    const { each } = this.#counted()
    const types = [...this.#types].sort(([a], [b]) => (a < b ? -1 : 1))
    const rows = types.map(([type, i]) => [type, { ...classF1(each, i), entities: each.right[i] }])
    return { scheme: this.#scheme, entities: Object.fromEntries(rows) }
  }
}
