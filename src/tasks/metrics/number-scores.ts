// Scores of regression: correlations and errors of predicted numbers.
import { pearson, ranks, risingOrder } from './correlation.ts'
import { GrowingList } from './growing-list.ts'
import type { ScoredUnits, Scores } from './scored-units.ts'

/** Names of the scores of numbers. */
export const numberScoreNames = ['pearson', 'spearman', 'meanSquaredError', 'meanAbsoluteError'] as const

export class NumberScores implements ScoredUnits {
  readonly #right = new GrowingList()
  readonly #predicted = new GrowingList()
  #orders: { right: Uint32Array; predicted: Uint32Array } | undefined

  get units(): number {
    return this.#right.length
  }

  add(right: number, predicted: number): void {
    this.#right.push(right)
    this.#predicted.push(predicted)
    this.#orders = undefined
  }

  scores(counts?: ArrayLike<number>): Scores {
    const right = this.#right.values()
    const predicted = this.#predicted.values()
    // Sorted once: bootstrap resamples only change the counts.
    this.#orders ??= { right: risingOrder(right), predicted: risingOrder(predicted) }
    let units = 0
    let squares = 0
    let distances = 0
    for (let i = 0; i < right.length; i++) {
      const count = counts === undefined ? 1 : counts[i]
      const distance = Math.abs(right[i] - predicted[i])
      units += count
      squares += count * distance * distance
      distances += count * distance
    }
    const spearman = pearson({
      right: ranks(right, this.#orders.right, counts),
      predicted: ranks(predicted, this.#orders.predicted, counts),
      counts,
    })
    return {
      pearson: pearson({ right, predicted, counts }),
      spearman,
      meanSquaredError: squares / units,
      meanAbsoluteError: distances / units,
    }
  }

  details(): { [name: string]: unknown } {
    return {}
  }
}
