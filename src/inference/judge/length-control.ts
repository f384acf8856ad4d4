// The share of questions that one side would win if both sides wrote equally long answers: a logistic regression of the
// preferences on the difference of the lengths, without the terms for the difficulty of questions, which need many models.
// @source Dubois et al. 2024, arXiv:2404.04475 (length-controlled AlpacaEval)
import { createRandom } from '../../core/index.ts'
import { type BootstrapOptions, type Interval, quantile } from '../../tasks/index.ts'

/** Of a question: how much the answer is preferred, from 0 to 1, and by how many characters it is longer. */
export interface Preference {
  preference: number
  longerBy: number
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x))

/** Standard deviation of the differences, which gives them one scale; 1 where they are equal. */
const spreadOf = (preferences: readonly Preference[]): number => {
  const mean = preferences.reduce((sum, { longerBy }) => sum + longerBy, 0) / preferences.length
  const variance = preferences.reduce((sum, { longerBy }) => sum + (longerBy - mean) ** 2, 0) / preferences.length
  return Math.sqrt(variance) || 1
}

/** Penalty on the squared weight of the length: it keeps the fit finite where the length decides every preference. */
const penalty = 1e-2

/**
 * Weights of a constant and of tanh(difference / spread), by Newton's method on the log-likelihood of the preferences.
 * @param counts how often each question counts
 */
const weightsOf = (preferences: readonly Preference[], spread: number, counts: ArrayLike<number>): [number, number] => {
  const lengths = preferences.map(({ longerBy }) => Math.tanh(longerBy / spread))
  let [constant, weight] = [0, 0]
  for (let round = 0; round < 100; round++) {
    let [g0, g1, h00, h01, h11] = [-penalty * constant, -penalty * weight, penalty, 0, penalty]
    for (let i = 0; i < lengths.length; i++) {
      const p = sigmoid(constant + weight * lengths[i])
      const error = counts[i] * (preferences[i].preference - p)
      const curvature = counts[i] * p * (1 - p)
      g0 += error
      g1 += error * lengths[i]
      h00 += curvature
      h01 += curvature * lengths[i]
      h11 += curvature * lengths[i] * lengths[i]
    }
    const determinant = h00 * h11 - h01 * h01
    // Far from the solution a whole step of Newton's method overshoots.
    const step = (x: number) => Math.max(-2, Math.min(2, x))
    const [d0, d1] = [step((h11 * g0 - h01 * g1) / determinant), step((h00 * g1 - h01 * g0) / determinant)]
    constant += d0
    weight += d1
    if (Math.abs(d0) + Math.abs(d1) < 1e-10) break
  }
  return [constant, weight]
}

/** The length-controlled share of wins, with a bootstrap interval over the questions. */
export const lengthControlled = (
  preferences: readonly Preference[],
  { seed = 0, resamples = 1000, confidence = 0.95 }: BootstrapOptions = {},
): Interval => {
  if (preferences.length === 0) return { value: Number.NaN, low: Number.NaN, high: Number.NaN }
  const spread = spreadOf(preferences)
  const share = (counts: ArrayLike<number>) => sigmoid(weightsOf(preferences, spread, counts)[0])
  const value = share(preferences.map(() => 1))
  if (preferences.length < 2) return { value, low: Number.NaN, high: Number.NaN }
  const random = createRandom(`length-controlled/${seed}`)
  const draws = Float64Array.from({ length: resamples }, () => {
    const counts = new Float64Array(preferences.length)
    for (let i = 0; i < counts.length; i++) counts[random.integer(counts.length)]++
    return share(counts)
  }).sort()
  return { value, low: quantile(draws, (1 - confidence) / 2), high: quantile(draws, (1 + confidence) / 2) }
}
