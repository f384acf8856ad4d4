// Scores of independent tags, such as parts of speech: each word counts on its own, and a sentence is a unit of the bootstrap.
import { accuracy } from './accuracy.ts'
import { type Confusion, classCounts } from './confusion-matrix.ts'
import { classF1, meanF1 } from './f1.ts'
import { GrowingList } from './growing-list.ts'
import type { ScoredUnits, Scores } from './scored-units.ts'

/** Names of the scores of tags. */
export const tagScoreNames = ['tokenAccuracy', 'f1Macro', 'f1Weighted'] as const

export class TagScores implements ScoredUnits {
  readonly #numbers = new Map<string, number>()
  /** Alternating reference and predicted tags of all sentences, and where each sentence ends among them. */
  readonly #tags = new GrowingList()
  readonly #ends = new GrowingList()

  get units(): number {
    return this.#ends.length
  }

  /** Reference and predicted tags of a sentence. */
  add(right: readonly string[], predicted: readonly string[]): void {
    const numberOf = (tag: string): number => {
      const known = this.#numbers.get(tag)
      if (known !== undefined) return known
      this.#numbers.set(tag, this.#numbers.size)
      return this.#numbers.size - 1
    }
    for (const [i, tag] of right.entries()) {
      this.#tags.push(numberOf(tag))
      this.#tags.push(numberOf(predicted[i]))
    }
    this.#ends.push(this.#tags.length)
  }

  #counted(counts?: ArrayLike<number>): Confusion {
    const classes = this.#numbers.size
    const cells = new Float64Array(classes ** 2)
    const tags = this.#tags.values()
    let i = 0
    this.#ends.values().forEach((end, unit) => {
      const count = counts === undefined ? 1 : counts[unit]
      for (; i < end; i += 2) cells[tags[i] * classes + tags[i + 1]] += count
    })
    return { classes, cells }
  }

  scores(counts?: ArrayLike<number>): Scores {
    const confusion = this.#counted(counts)
    const each = classCounts(confusion)
    return {
      tokenAccuracy: accuracy(confusion),
      f1Macro: meanF1(each, 'each').f1,
      f1Weighted: meanF1(each, 'support').f1,
    }
  }

  details(): { [name: string]: unknown } {
    const each = classCounts(this.#counted())
    const tags = [...this.#numbers].sort(([a], [b]) => (a < b ? -1 : 1))
    return { tags: Object.fromEntries(tags.map(([tag, i]) => [tag, { ...classF1(each, i), words: each.right[i] }])) }
  }
}
