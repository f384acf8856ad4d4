// Whether two settings differ beyond the chance of their seeds: Welch's t-test, which takes a spread of its own for each.
import { studentProbability, studentQuantile } from '../../core/index.ts'
import type { ResampledMean } from './resampled.ts'

/** Fewer seeds of a setting say too little of its spread: with two, settings far apart seldom differ significantly. */
const fewestSeeds = 3

const confidence = 0.95

/** Whether values are all the same. The variance of such values can be a rounding error above 0. */
export const isConstant = (values: readonly number[]): boolean => values.every((value) => value === values[0])

const momentsOf = (values: readonly number[]): { mean: number; squaredError: number } => {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1)
  return { mean, squaredError: variance / values.length }
}

/**
 * The mean of `a` minus that of `b`, one value for each seed. Seeds that both have are not paired: their values hardly go together, and
 * where they do, the test is stricter than it says.
 * @returns undefined below three seeds each, and for seeds that change nothing
 * @source B. L. Welch, The Generalization of 'Student's' Problem when Several Different Population Variances are Involved, Biometrika 34, 1947
 */
export const seedDifference = (a: readonly number[], b: readonly number[]): ResampledMean | undefined => {
  if (a.length < fewestSeeds || b.length < fewestSeeds || (isConstant(a) && isConstant(b))) return undefined
  const [first, second] = [momentsOf(a), momentsOf(b)]
  const squaredError = first.squaredError + second.squaredError
  if (!Number.isFinite(squaredError)) return undefined
  const freedom =
    squaredError ** 2 / (first.squaredError ** 2 / (a.length - 1) + second.squaredError ** 2 / (b.length - 1))
  const value = first.mean - second.mean
  const error = Math.sqrt(squaredError)
  const half = error * studentQuantile(1 - confidence, freedom)
  return { value, low: value - half, high: value + half, probability: studentProbability(value / error, freedom) }
}
