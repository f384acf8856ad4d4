// How sure a mean is: percentile bootstrap over the units that were drawn (documents, blocks, pairs). Knows no task.
import { createRandom } from '../../core/index.ts'

/** A value with the bounds of its confidence interval; the bounds are NaN where fewer than two units were seen. */
export interface Interval {
  value: number
  low: number
  high: number
}

export interface BootstrapOptions {
  /** The same seed gives the same interval. */
  seed?: number | string
  resamples?: number
  /** Share of intervals that hold the true value. */
  confidence?: number
}

/** More units than this are added up to so many first: sums of independent units are units again, and the work stays bounded. */
const maxUnits = 2000

/**
 * sum(numerators) / sum(denominators) with an interval over the units. @source Efron and Tibshirani, An Introduction to the
 * Bootstrap, 1993, chapter 13
 */
export function bootstrapRatio(
  numerators: ArrayLike<number>,
  denominators: ArrayLike<number>,
  options: BootstrapOptions = {},
): Interval {
  return bootstrapMean([{ numerators, denominators }], options)
}

/** Units of one kind, resampled among themselves. */
export interface Stratum {
  numerators: ArrayLike<number>
  denominators: ArrayLike<number>
}

/** The mean of the strata's ratios, each stratum resampled by itself. */
export function bootstrapMean(strata: readonly Stratum[], options: BootstrapOptions = {}): Interval {
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
  // Draws without any weight are no ratio.
  const sorted = draws.filter((draw) => !Number.isNaN(draw)).sort()
  return { value, low: quantile(sorted, (1 - confidence) / 2), high: quantile(sorted, (1 + confidence) / 2) }
}

function grouped(values: ArrayLike<number>): Float64Array {
  const groups = new Float64Array(Math.min(values.length, maxUnits))
  for (let i = 0; i < values.length; i++) groups[i % groups.length] += values[i]
  return groups
}

/** Between neighbours in proportion. */
export function quantile(sorted: Float64Array, share: number): number {
  if (sorted.length === 0) return Number.NaN
  const place = share * (sorted.length - 1)
  const below = Math.floor(place)
  const above = Math.min(sorted.length - 1, below + 1)
  return sorted[below] + (sorted[above] - sorted[below]) * (place - below)
}

function sum(values: ArrayLike<number>): number {
  let total = 0
  for (let i = 0; i < values.length; i++) total += values[i]
  return total
}

const mean = (values: readonly number[]) => sum(values) / values.length
