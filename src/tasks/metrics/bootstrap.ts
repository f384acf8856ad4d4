// Confidence intervals of means: percentile bootstrap over units such as documents, blocks or pairs.
import { z } from 'zod'
import { createRandom } from '../../core/index.ts'

/** A value with the bounds of its confidence interval; the bounds are NaN for fewer than two units. */
export interface Interval {
  value: number
  low: number
  high: number
}

/** Settings of the bootstrap. */
export interface BootstrapOptions {
  /** The same seed gives the same interval. */
  seed?: number | string
  /** Number of resamples (default: 1000). */
  resamples?: number
  /** Confidence level (default: 0.95). */
  confidence?: number
}

/** `BootstrapOptions` among the settings of an evaluation. */
export const bootstrapFields = {
  seed: z.union([z.int(), z.string()]).default(0).describe('seed of the bootstrap'),
  resamples: z.int().positive().default(1000).describe('bootstrap resamples'),
  confidence: z.number().gt(0).lt(1).default(0.95).describe('confidence level of the intervals'),
}

/** More units than this are first summed into this many groups, which bounds the work: sums of independent units are independent. */
const maxUnits = 2000

/**
 * sum(numerators) / sum(denominators) with an interval over the units. @source Efron and Tibshirani, An Introduction to the
 * Bootstrap, 1993, chapter 13
 */
export const bootstrapRatio = (
  numerators: ArrayLike<number>,
  denominators: ArrayLike<number>,
  options: BootstrapOptions = {},
): Interval => {
  return bootstrapMean([{ numerators, denominators }], options)
}

/** Units that are resampled among themselves. */
export interface Stratum {
  numerators: ArrayLike<number>
  denominators: ArrayLike<number>
}

/** The mean of the strata's ratios with an interval; each stratum is resampled on its own. */
export const bootstrapMean = (strata: readonly Stratum[], options: BootstrapOptions = {}): Interval => {
  const { seed = 0, resamples = 1000, confidence = 0.95 } = options
  const value = mean(strata.map(({ numerators, denominators }) => sum(numerators) / sum(denominators)))
  if (strata.every(({ numerators }) => numerators.length < 2)) return { value, low: Number.NaN, high: Number.NaN }
  const random = createRandom(`bootstrap/${seed}`)
  const groups = strata.map(({ numerators, denominators }) => ({
    above: grouped(numerators),
    below: grouped(denominators),
  }))
  const draws = new Float64Array(resamples)
  for (let r = 0; r < resamples; r++) {
    let total = 0
    for (const { above, below } of groups) {
      let [numerator, denominator] = [0, 0]
      for (let i = 0; i < above.length; i++) {
        const unit = random.integer(above.length)
        numerator += above[unit]
        denominator += below[unit]
      }
      total += numerator / denominator
    }
    draws[r] = total / groups.length
  }
  // Resamples with denominator 0 have no ratio.
  const sorted = draws.filter((draw) => !Number.isNaN(draw)).sort()
  return { value, low: quantile(sorted, (1 - confidence) / 2), high: quantile(sorted, (1 + confidence) / 2) }
}

const grouped = (values: ArrayLike<number>): Float64Array => {
  const groups = new Float64Array(Math.min(values.length, maxUnits))
  for (let i = 0; i < values.length; i++) groups[i % groups.length] += values[i]
  return groups
}

/** A quantile of sorted values by linear interpolation. */
export const quantile = (sorted: Float64Array, share: number): number => {
  if (sorted.length === 0) return Number.NaN
  const place = share * (sorted.length - 1)
  const below = Math.floor(place)
  const above = Math.min(sorted.length - 1, below + 1)
  return sorted[below] + (sorted[above] - sorted[below]) * (place - below)
}

const sum = (values: ArrayLike<number>): number => {
  let total = 0
  for (let i = 0; i < values.length; i++) total += values[i]
  return total
}

const mean = (values: readonly number[]) => sum(values) / values.length
