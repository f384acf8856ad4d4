// Pearson's and Spearman's correlation of weighted pairs of numbers. NaN where one side is constant.
// @source Spearman 1904, doi:10.2307/1412159; ties share the mean of their ranks
/** Reference and predicted numbers. */
export interface Pairs {
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
