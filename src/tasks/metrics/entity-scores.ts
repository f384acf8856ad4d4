// Precision, recall and F1 of entities; an entity is right if its type and both borders are. @source Tjong Kim Sang and De Meulder 2003,
// aclanthology.org/W03-0419
import { type EntityScheme, entitySpans } from './entity-spans.ts'
import { classF1, meanF1 } from './f1.ts'
import { GrowingList } from './growing-list.ts'
import type { ScoredUnits, Scores } from './scored-units.ts'

/** Names of the scores of entities. */
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
