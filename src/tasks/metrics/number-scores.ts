// Scores of regression: correlations and errors of predicted numbers.
import { GrowingList, type ScoredUnits, type Scores } from './scored-units.ts'

// @source Spearman 1904, doi:10.2307/1412159; ties share the mean of their ranks
interface Pairs {
  right: ArrayLike<number>
  predicted: ArrayLike<number>
  /** Weight of each pair (default: 1). */
  counts?: ArrayLike<number>
}

export const pearson = ({ right, predicted, counts }: Pairs): number => {
  const countOf = (i: number) => (counts === undefined ? 1 : counts[i])
  // Checked on the values: rounding of the mean would make equal numbers seem to vary.
  if (!varies(right, countOf) || !varies(predicted, countOf)) return Number.NaN
  let units = 0
  let rightMean = 0
  let predictedMean = 0
  for (let i = 0; i < right.length; i++) {
    units += countOf(i)
    rightMean += countOf(i) * right[i]
    predictedMean += countOf(i) * predicted[i]
  }
  rightMean /= units
  predictedMean /= units
  let [both, rightSquares, predictedSquares] = [0, 0, 0]
  for (let i = 0; i < right.length; i++) {
    const count = countOf(i)
    const x = right[i] - rightMean
    const y = predicted[i] - predictedMean
    both += count * x * y
    rightSquares += count * x * x
    predictedSquares += count * y * y
  }
  const share = both / (Math.sqrt(rightSquares) * Math.sqrt(predictedSquares))
  return Math.max(-1, Math.min(1, share))
}

const varies = (values: ArrayLike<number>, countOf: (i: number) => number): boolean => {
  let first: number | undefined
  for (let i = 0; i < values.length; i++) {
    if (countOf(i) === 0) continue
    first ??= values[i]
    if (values[i] !== first) return true
  }
  return false
}

/** Indices of the values in ascending order. */
export const risingOrder = (values: ArrayLike<number>): Uint32Array =>
  Uint32Array.from({ length: values.length }, (_, i) => i).sort((a, b) => values[a] - values[b])

/** The mean rank of each value, where value i occurs `counts[i]` times. */
export const ranks = (values: ArrayLike<number>, order: Uint32Array, counts?: ArrayLike<number>): Float64Array => {
  const result = new Float64Array(values.length)
  let below = 0
  for (let from = 0; from < order.length; ) {
    let to = from
    let tied = 0
    for (; to < order.length && values[order[to]] === values[order[from]]; to++)
      tied += counts === undefined ? 1 : counts[order[to]]
    for (; from < to; from++) result[order[from]] = below + (tied + 1) / 2
    below += tied
  }
  return result
}

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
