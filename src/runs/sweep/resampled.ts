// Means over several splits of the same data, whose training records overlap: the corrected resampled t-test.
import { studentProbability, studentQuantile } from '../../core/index.ts'

/** A mean with its confidence interval, and the probability of a mean as far from 0 by chance. */
export interface ResampledMean {
  value: number
  low: number
  high: number
  /** Two-sided p-value. */
  probability: number
}

const confidence = 0.95

/**
 * The mean of values from several splits, one value each.
 * @param ratio validation records by training records; 0 for values that are independent, such as those of several seeds on one split
 * @returns undefined for a single value
 * @source Nadeau and Bengio, Inference for the Generalization Error, Machine Learning 52, 2003
 */
export const resampledMean = (values: readonly number[], ratio: number): ResampledMean | undefined => {
  const count = values.length
  if (count < 2) return undefined
  const value = values.reduce((sum, one) => sum + one, 0) / count
  const variance = values.reduce((sum, one) => sum + (one - value) ** 2, 0) / (count - 1)
  const error = Math.sqrt((1 / count + ratio) * variance)
  const half = error * studentQuantile(1 - confidence, count - 1)
  // Values that are equal but for rounding show no error, which does not make a few of them certain: chance alone gives all of
  // them one sign this often.
  const bySign = value === 0 ? 1 : 2 ** (1 - count)
  const areEqual = error <= 1e-9 * Math.abs(value)
  const probability = areEqual ? bySign : studentProbability(value / error, count - 1)
  return { value, low: value - half, high: value + half, probability }
}
