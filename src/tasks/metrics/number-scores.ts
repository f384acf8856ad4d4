// Scores of regression: correlations and errors of predicted numbers.
import { pearson, ranks, risingOrder } from './correlation.ts'
import { GrowingList } from './growing-list.ts'
import type { ScoredUnits, Scores } from './scored-units.ts'

/** Names of the scores of numbers. */
export const numberScoreNames = ['pearson', 'spearman', 'meanSquaredError', 'meanAbsoluteError'] as const

export class NumberScores implements ScoredUnits {
  readonly #right = new GrowingList()
  readonly #said = new GrowingList()
  #orders: { right: Uint32Array; said: Uint32Array } | undefined

  get units(): number {
    return this.#right.length
  }

  add(right: number, said: number): void {
    this.#right.push(right)
    this.#said.push(said)
    this.#orders = undefined
  }

  scores(counts?: ArrayLike<number>): Scores {
    const right = this.#right.values()
    const said = this.#said.values()
    // Sorted once: bootstrap resamples only change the counts.
    this.#orders ??= { right: risingOrder(right), said: risingOrder(said) }
    let units = 0
    let squares = 0
    let distances = 0
    for (let i = 0; i < right.length; i++) {
      const count = counts === undefined ? 1 : counts[i]
      const distance = Math.abs(right[i] - said[i])
      units += count
      squares += count * distance * distance
      distances += count * distance
    }
    const spearman = pearson({
      right: ranks(right, this.#orders.right, counts),
      said: ranks(said, this.#orders.said, counts),
      counts,
    })
    return {
      pearson: pearson({ right, said, counts }),
      spearman,
      meanSquaredError: squares / units,
      meanAbsoluteError: distances / units,
    }
  }

  details(): { [name: string]: unknown } {
    return {}
  }
}
