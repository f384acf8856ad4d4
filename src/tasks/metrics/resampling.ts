// Confidence intervals of scores, and significance of the difference between two sets of predictions: the bootstrap over units, and
// approximate randomisation. Independent of the metric: `ScoredUnits` scores any resample of its units.
// @source Efron and Tibshirani 1993, chapters 13 and 16; Noreen 1989; Koehn 2004, aclanthology.org/W04-3250
import { setImmediate } from 'node:timers/promises'
import { createRandom, invariant, type Random } from '../../core/index.ts'
import { type BootstrapOptions, type Interval, quantile } from './bootstrap.ts'
import type { ScoredUnits, Scores } from './scored-units.ts'

/** Scores with their confidence intervals. */
export interface ScoreIntervals {
  [metric: string]: Interval
}

const resampleUnits = (counts: Uint32Array, units: number, random: Random, draws = units): void => {
  for (let i = 0; i < draws; i++) counts[random.integer(units)]++
}

/** Units that are drawn before others may work. */
const drawsPerTurn = 1 << 17

/** Percentile intervals of all scores, with pauses. */
function* resampled(scored: ScoredUnits, options: BootstrapOptions): Generator<void, ScoreIntervals, void> {
  const { seed = 0, resamples = 1000, confidence = 0.95 } = options
  const { units } = scored
  const values = scored.scores()
  const names = Object.keys(values)
  const draws = names.map(() => new Float64Array(resamples))
  const random = createRandom(`intervals/${seed}`)
  const counts = new Uint32Array(units)
  for (let r = 0; r < resamples && units > 1; r++) {
    counts.fill(0)
    for (let done = 0; done < units; done += drawsPerTurn) {
      yield
      resampleUnits(counts, units, random, Math.min(drawsPerTurn, units - done))
    }
    yield
    const drawn = scored.scores(counts)
    names.forEach((name, i) => {
      draws[i][r] = drawn[name]
    })
  }
  return Object.fromEntries(
    names.map((name, i): [string, Interval] => {
      const sorted = units > 1 ? draws[i].filter((draw) => !Number.isNaN(draw)).sort() : new Float64Array(0)
      const bound = (share: number) => quantile(sorted, share)
      return [name, { value: values[name], low: bound((1 - confidence) / 2), high: bound((1 + confidence) / 2) }]
    }),
  )
}

/** Percentile intervals of all scores; the bounds are NaN for fewer than two units. */
export const scoreIntervals = (scored: ScoredUnits, options: BootstrapOptions = {}): ScoreIntervals => {
  const work = resampled(scored, options)
  for (;;) {
    const step = work.next()
    if (step.done) return step.value
  }
}

/** The values of all scores; the bounds are NaN. */
export const scoresWithoutIntervals = (scored: ScoredUnits): ScoreIntervals =>
  Object.fromEntries(
    Object.entries(scored.scores()).map(([name, value]) => [name, { value, low: Number.NaN, high: Number.NaN }]),
  )

/** Time of resampling before others may work. */
const turnMs = 10

/** The same, letting others work between two resamples. @throws the signal's reason when it is aborted */
export const scoreIntervalsByTurns = async (
  scored: ScoredUnits,
  options: BootstrapOptions = {},
  signal?: AbortSignal,
): Promise<ScoreIntervals> => {
  const work = resampled(scored, options)
  for (let began = performance.now(); ; ) {
    const step = work.next()
    if (step.done) return step.value
    if (performance.now() - began < turnMs) continue
    await setImmediate()
    signal?.throwIfAborted()
    began = performance.now()
  }
}

/** The difference of a score between two sets of predictions. */
export interface Difference {
  /** First minus second set of predictions. */
  value: number
  /** Bounds of the paired bootstrap. */
  low: number
  high: number
  /** Two-sided p-value by approximate randomisation; NaN where the score is undefined. */
  randomization: number
  /** Two-sided p-value by the paired bootstrap; NaN where the score is undefined. */
  bootstrap: number
}

/**
 * Compares two sets of predictions of the same records.
 * @param both units of the first set's predictions, then of the second's: twice as many as records
 */
export const pairedDifferences = (
  both: ScoredUnits,
  options: BootstrapOptions = {},
): { [metric: string]: Difference } => {
  const { seed = 0, resamples = 1000, confidence = 0.95 } = options
  invariant(both.units % 2 === 0, 'both sets have a prediction for every record.')
  const units = both.units / 2
  const random = createRandom(`differences/${seed}`)
  const counts = new Uint32Array(2 * units)
  const [first, second] = [counts.subarray(0, units), counts.subarray(units)]
  const difference = (): Scores => {
    // Each set alone: the units of the other have count 0.
    const [left, right] = [first.slice(), second.slice()]
    second.fill(0)
    const a = both.scores(counts)
    second.set(right)
    first.fill(0)
    const b = both.scores(counts)
    first.set(left)
    return Object.fromEntries(Object.keys(a).map((name) => [name, a[name] - b[name]]))
  }
  counts.fill(1)
  const seen = difference()
  const names = Object.keys(seen)
  const drawn = names.map(() => new Float64Array(resamples))
  const larger = new Float64Array(names.length)
  const shuffles = new Float64Array(names.length)
  for (let r = 0; r < resamples; r++) {
    first.fill(0)
    resampleUnits(first, units, random)
    second.set(first)
    const again = difference()
    names.forEach((name, i) => {
      drawn[i][r] = again[name]
    })
    const shuffled = randomized(both, units, random)
    names.forEach((name, i) => {
      // Undefined scores are left out, as in the bootstrap.
      if (!Number.isNaN(shuffled[name])) shuffles[i]++
      // Tolerance for sums in another order.
      if (Math.abs(shuffled[name]) >= Math.abs(seen[name]) - 1e-12) larger[i]++
    })
  }
  return Object.fromEntries(
    names.map((name, i): [string, Difference] => {
      const sorted = drawn[i].filter((value) => !Number.isNaN(value)).sort()
      const below = sorted.reduce((count, value) => count + (value <= 0 ? 1 : 0), 0)
      const above = sorted.reduce((count, value) => count + (value >= 0 ? 1 : 0), 0)
      const bound = (share: number) => quantile(sorted, share)
      return [
        name,
        {
          value: seen[name],
          low: bound((1 - confidence) / 2),
          high: bound((1 + confidence) / 2),
          randomization: Number.isNaN(seen[name]) ? Number.NaN : (larger[i] + 1) / (shuffles[i] + 1),
          bootstrap: Number.isNaN(seen[name])
            ? Number.NaN
            : Math.min(1, (2 * (Math.min(below, above) + 1)) / (sorted.length + 1)),
        },
      ]
    }),
  )
}

/** The difference after swapping the two predictions of each record with probability 1/2. */
const randomized = (both: ScoredUnits, units: number, random: Random): Scores => {
  const mine = new Uint32Array(2 * units)
  const theirs = new Uint32Array(2 * units)
  let coins = 0
  for (let i = 0; i < units; i++) {
    if (i % 32 === 0) coins = random.uint32()
    const swap = (coins >>> (i % 32)) & 1
    mine[swap === 1 ? units + i : i] = 1
    theirs[swap === 1 ? i : units + i] = 1
  }
  const a = both.scores(mine)
  const b = both.scores(theirs)
  return Object.fromEntries(Object.keys(a).map((name) => [name, a[name] - b[name]]))
}
