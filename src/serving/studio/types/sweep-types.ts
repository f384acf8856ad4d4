// What the pages of sweeps get. Only types, and independent of Node, since the pages import them.

/** A setting of a grid, or a trial of a search. */
export interface SweepTrialRow {
  /** From 1, in the order of the sweep. */
  number: number
  /** Its value of each key that varies, in their order. */
  values: (string | number)[]
  /** Its runs that have begun, by their ids. */
  runs: string[]
  /** Runs of it, one for each seed and split, and those that have finished. */
  of: number
  done: number
  /** Runs of it that failed, which its score leaves out. */
  failed: number
  status: 'running' | 'finished' | 'stopped' | 'interrupted' | 'failed' | 'waiting'
  /** Step of the last comparison with others, for a trial that was stopped by one. */
  stoppedAt: number | null
  message: string | null
  value: number | null
  low: number | null
  high: number | null
  /** The best minus this one, with its p-value, where both have the same splits, or three seeds or more. */
  difference: { value: number; probability: number } | null
  seconds: number | null
}

/** The best trial so far. */
export type SweepBest = Pick<SweepTrialRow, 'values' | 'value' | 'low' | 'high'>

/** A sweep in the list. */
export interface SweepRow {
  id: string
  /** What its runs train. */
  title: string
  /** `grid`, or the method of the search. */
  method: string
  /** Keys that vary, without seed and split. */
  axes: string[]
  state: 'running' | 'finished' | 'unfinished'
  /** Trials that are over: finished, stopped or failed. */
  over: number
  planned: number
  metric: string | null
  best: SweepBest | null
  /** Why its files cannot be read. */
  fault: string | null
}

/** Answer of `GET /api/sweeps`. */
export interface SweepList {
  sweeps: SweepRow[]
}

/** Answer of `GET /api/sweep?id=…`. */
export interface SweepDetails {
  row: SweepRow
  folder: string
  lowerIsBetter: boolean
  /** Whether the best stands out from the second; null where that is not known. */
  clear: boolean | null
  /** Keys whose values are numbers on a logarithmic scale. */
  logAxes: string[]
  trials: SweepTrialRow[]
  /** Finished runs that no score is of, as they have another metric or none. */
  unranked: { name: string; id: string | null; reason: string }[]
  /** Number of the best trial; null before the first result. */
  best: number | null
}
