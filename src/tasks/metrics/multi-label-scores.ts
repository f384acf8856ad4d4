// Scores of multi-label classification: per label decision, and of whole label sets.
import { type ClassCounts, classF1, meanF1 } from './class-counts.ts'
import { GrowingList, type ScoredUnits, type Scores } from './scored-units.ts'

export const multiLabelScoreNames = [
  'accuracy',
  'f1Micro',
  'precisionMicro',
  'recallMicro',
  'f1Macro',
  'f1Weighted',
  'hammingLoss',
] as const

export class MultiLabelScores implements ScoredUnits {
  readonly #labels: readonly string[]
  /** Of each unit: how many labels the reference has, these labels, how many the prediction has, and these. */
  readonly #numbers = new GrowingList()
  #units = 0

  constructor(labels: readonly string[]) {
    this.#labels = labels
  }

  get units(): number {
    return this.#units
  }

  /** Distinct label indices of the reference and of the prediction. */
  add(right: readonly number[], predicted: readonly number[]): void {
    this.#units++
    for (const labels of [right, predicted]) {
      this.#numbers.push(labels.length)
      for (const label of labels) this.#numbers.push(label)
    }
  }

  #counted(counts?: ArrayLike<number>): { each: ClassCounts; exact: number; all: number; wrong: number } {
    const size = this.#labels.length
    const each = { right: new Float64Array(size), predicted: new Float64Array(size), both: new Float64Array(size) }
    let exact = 0
    let all = 0
    let wrong = 0
    const numbers = this.#numbers.values()
    let at = 0
    const next = () => numbers.subarray(at + 1, (at += 1 + numbers[at]))
    for (let i = 0; i < this.#units; i++) {
      const [right, predicted] = [next(), next()]
      const count = counts === undefined ? 1 : counts[i]
      if (count === 0) continue
      let both = 0
      for (const label of right) {
        each.right[label] += count
        if (!predicted.includes(label)) continue
        each.both[label] += count
        both++
      }
      for (const label of predicted) each.predicted[label] += count
      const different = right.length + predicted.length - 2 * both
      if (different === 0) exact += count
      wrong += different * count
      all += count
    }
    return { each, exact, all, wrong }
  }

  scores(counts?: ArrayLike<number>): Scores {
    const { each, exact, all, wrong } = this.#counted(counts)
    const micro = meanF1(each, 'all')
    return {
      /** Subset accuracy: all labels right. */
      accuracy: exact / all,
      f1Micro: micro.f1,
      precisionMicro: micro.precision,
      recallMicro: micro.recall,
      f1Macro: meanOverAll(each),
      f1Weighted: meanF1(each, 'support').f1,
      hammingLoss: wrong / (all * this.#labels.length),
    }
  }

  details(): { [name: string]: unknown } {
    const { each } = this.#counted()
    const classes = this.#labels.map((label, i) => [label, { ...classF1(each, i), records: each.right[i] }])
    return { labels: [...this.#labels], classes: Object.fromEntries(classes) }
  }
}

/** Mean F1 over all labels, also those that never occur, as in scikit-learn's multilabel case. */
const meanOverAll = (each: ClassCounts): number => {
  const size = each.right.length
  let sum = 0
  for (let i = 0; i < size; i++) sum += classF1(each, i).f1
  return sum / size
}
