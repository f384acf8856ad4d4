// Whether two runs differ by more than chance: their predictions of the same records, scored in pairs. Independent of the task.

import { TunesmithError } from '../../core/index.ts'
import { pairedDifferences, type TaskPrediction, type TaskRecord } from '../../tasks/index.ts'
import { type ScoredRun, scoredPredictions, scoredRecords } from './scored-run.ts'

/** The difference of two runs with its confidence interval. */
export interface ComparedDifference {
  /** Name of the other run. */
  to: string
  /** This run minus the other. */
  value: number
  low: number
  high: number
  /** Two-sided p-value: how often chance alone gives a difference as large. */
  probability: number
}

interface Side extends ScoredRun {
  name: string
  metric: string
}

/** Differences between pairs of runs. */
export interface Pairs {
  /** Undefined if predictions or records are missing, which `faults` then reports. */
  difference(run: Side, other: Side): Promise<ComparedDifference | undefined>
  readonly faults: string[]
}

/** For runs that were scored on the same records, which are read once. */
export const createPairs = ({ resamples = 1000, seed = 0 }: { resamples?: number; seed?: number }): Pairs => {
  const faults: string[] = []
  let known: Promise<TaskRecord[] | undefined> | undefined
  const predictions = new Map<string, Promise<TaskPrediction[] | undefined>>()
  const done = new Map<string, ComparedDifference>()
  const orFault = async <Value>(value: Promise<Value>): Promise<Value | undefined> => {
    try {
      return await value
    } catch (error) {
      if (!(error instanceof TunesmithError)) throw error
      faults.push(`No significance: ${error.message}`)
      return undefined
    }
  }
  const predictionsOf = (side: Side, records: readonly TaskRecord[]) => {
    let found = predictions.get(side.model)
    if (found === undefined) predictions.set(side.model, (found = orFault(scoredPredictions(side, records))))
    return found
  }
  return {
    faults,
    async difference(run, other) {
      const key = `${run.model}\0${other.model}`
      const before = done.get(key)
      if (before !== undefined) return before
      if (run.evaluation.records === undefined || other.evaluation.records === undefined) return undefined
      known ??= orFault(scoredRecords(other, other.name))
      const records = await known
      if (records === undefined) return undefined
      const [own, others] = [await predictionsOf(run, records), await predictionsOf(other, records)]
      if (own === undefined || others === undefined) return undefined
      const twice = [...records, ...records]
      const both = run.comparison.score(twice, [...own, ...others], run.recipe, run.evaluation.labels)
      const found = pairedDifferences(both, { resamples, seed })[run.metric]
      const { value, low, high, randomization: probability } = found
      const difference = { to: other.name, value, low, high, probability }
      done.set(key, difference)
      return difference
    },
  }
}
