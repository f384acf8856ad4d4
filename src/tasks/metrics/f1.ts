// Precision, recall and F1 of one class, and their means, as in scikit-learn: 0/0 is 0, and means are over the classes that occur.
// @source van Rijsbergen 1979, Information Retrieval, chapter 7
import type { ClassCounts } from './confusion-matrix.ts'

export interface F1 {
  precision: number
  recall: number
  f1: number
}

const ratio = (part: number, whole: number) => (whole === 0 ? 0 : part / whole)

/** From counts as reference, as prediction, and as both. */
const f1Of = (right: number, predicted: number, both: number): F1 => ({
  precision: ratio(both, predicted),
  recall: ratio(both, right),
  f1: ratio(2 * both, right + predicted),
})

export const classF1 = ({ right, predicted, both }: ClassCounts, index: number): F1 =>
  f1Of(right[index], predicted[index], both[index])

/** Means: `each` macro, `support` weighted by reference counts, `all` micro. */
export const meanF1 = (counts: ClassCounts, weigh: 'each' | 'support' | 'all'): F1 => {
  const { right, predicted, both } = counts
  const sum = (values: Float64Array) => values.reduce((total, value) => total + value, 0)
  if (weigh === 'all') return f1Of(sum(right), sum(predicted), sum(both))
  const mean: F1 = { precision: 0, recall: 0, f1: 0 }
  let whole = 0
  for (let i = 0; i < right.length; i++) {
    if (right[i] + predicted[i] === 0) continue
    const weight = weigh === 'each' ? 1 : right[i]
    const { precision, recall, f1 } = classF1(counts, i)
    mean.precision += weight * precision
    mean.recall += weight * recall
    mean.f1 += weight * f1
    whole += weight
  }
  return { precision: ratio(mean.precision, whole), recall: ratio(mean.recall, whole), f1: ratio(mean.f1, whole) }
}
