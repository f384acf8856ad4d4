// What the page "Compare" and the server say to each other. Only types, and independent of Node, since the pages import it too.
import type { MatrixColumn, MatrixRow } from '../../../inference/index.ts'
import type { ComparedRun, PredictionPairs } from '../../../runs/index.ts'

/** Families of fine-tuning methods, which have a shape and a colour of their own. */
export type MethodFamily = ComparedRun['family']

/** A value with its confidence interval; null where it is undefined. */
export interface IntervalValue {
  value: number | null
  low: number | null
  high: number | null
}

/** The difference of two runs on the same records. */
export interface PairedDifference extends IntervalValue {
  /** Id of the other run. */
  to: string
  /** Two-sided p-value; null where it is undefined. */
  probability: number | null
}

/** Fields of a run that its page shows as they are. */
type ShownFields =
  | ('base' | 'task' | 'variant' | 'family' | 'randomInit' | 'metric')
  | ('trainedParameters' | 'seconds' | 'peakBytes' | 'fileBytes')

/** A finished run of a comparison. Runs of one task are compared with each other. */
export interface ComparedRunRow extends IntervalValue, Pick<ComparedRun, ShownFields> {
  id: string
  /** Name of its validation data. */
  data: string
  /** Runs with equal keys were scored on the same records by the same metric. */
  group: string
  seed: string
  lowerIsBetter: boolean
  trainedShare: number | null
  energyJoules: number | null
  cost: { amount: number; currency: string } | null
  /** This run minus the best one on the same records. */
  difference: PairedDifference | null
  /** This run minus the same one with a randomly initialised base. */
  pretraining: PairedDifference | null
}

/** The score of a baseline without training. */
interface ReferenceRow extends IntervalValue {
  task: string
  metric: string
  name: string
  /** Ids of the runs that were scored on the same records. */
  runs: string[]
}

/** A place on a chart of reward against KL divergence. */
interface RewardPlace extends IntervalValue {
  /** Id of the run, or what else has this place. */
  name: string
  method: string
  kl: number
}

/** Answer of `GET /api/comparison?runs=…`. */
export interface RunComparisonAnswer {
  /** By task, the best first. */
  runs: ComparedRunRow[]
  references: ReferenceRow[]
  rewards: { reward: string; points: RewardPlace[] }[]
  warnings: string[]
  /** Chosen runs without a score, and why. */
  skipped: { id: string; reason: string }[]
}

/** Which pairs of predictions are shown: by which run has the better score for a record. */
export type PairFilter = 'all' | 'changed' | 'first' | 'second' | 'both-right' | 'both-wrong'

/** A record with the predictions of two runs; long texts are cut. */
export interface PredictionRow {
  id: string
  inputs: [name: string, value: string][]
  answer: string
  predictions: [PredictionText, PredictionText]
  scores: [number | null, number | null]
}

/** A prediction in a few words, with the most probable classes where they are known. */
export interface PredictionText {
  text: string
  probabilities: [name: string, probability: number][]
}

/** Answer of `GET /api/comparison/predictions?first=…&second=…`. */
export interface PredictionPage extends Omit<PredictionPairs, 'pairs'> {
  counts: Record<PairFilter, number>
  /** Records that fit the filter and the search. */
  total: number
  from: number
  rows: PredictionRow[]
}

/** A bin of a reliability diagram. */
export interface CalibrationBin {
  from: number
  to: number
  units: number
  confidence: number
  accuracy: number
}

/** Answer of `GET /api/runs/:run/evaluation`. */
export interface RunEvaluation {
  mainMetric: string
  metrics: Record<string, IntervalValue>
  records: number | null
  /** Rows are reference classes, columns predicted ones. Null for tasks without classes. */
  confusion: { labels: string[]; cells: number[][]; omitted: number } | null
  /** Null where predictions carry no probabilities. */
  calibration: CalibrationBin[] | null
}

/** A score of the matrix, or why there is none. */
export type MatrixScore = IntervalValue | { missing: string }

/** Bases and specialists on all tasks of some runs. */
export interface SpecialistMatrix {
  columns: MatrixColumn[]
  rows: (Pick<MatrixRow, 'name' | 'kind'> & { cells: MatrixScore[] })[]
  /** Maximum records of a task that were scored. */
  limit: number
}

/** What the models are being scored on. */
export interface MatrixProgress {
  label: string
  unit: string
  done: number
  of: number | null
}

/** Answer of `GET`, `POST` and `DELETE /api/comparison/matrix`. */
export interface MatrixState {
  state: 'none' | 'running' | 'done' | 'failed'
  progress: MatrixProgress | null
  /** Why it failed. */
  fault: string | null
  matrix: SpecialistMatrix | null
}
