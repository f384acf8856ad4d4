// What the studio's pages and its server say to each other. Only types, and independent of Node, since the pages import it too.
import type { EvaluationEvent, TrainingEvent } from '../../../tracking/index.ts'

/** State of a run; an `interrupted` run, stopped or killed, can be resumed. */
export type RunState = 'running' | 'finished' | 'interrupted' | 'failed' | 'damaged'

/** A run as a row of the table. */
export interface RunRow {
  /** Path of the run below the folder that the studio shows, with slashes. */
  id: string
  /** Folder as the user named it. */
  folder: string
  state: RunState
  /** The command of its recipe: `pretrain`, `finetune` … */
  command: string | null
  /** What it trains, in a few words: the architecture or base, and the objective or task with its variant. */
  title: string
  step: number
  totalSteps: number | null
  loss: number | null
  tokens: number
  tokensPerSecond: number | null
  /** Wall time of all steps. */
  seconds: number
  /** Estimated seconds to the end, of a running run. */
  secondsLeft: number | null
  /** Step of the newest checkpoint. */
  checkpoint: number | null
  /** Whether the running run was asked to stop. */
  stopping: boolean
  best: { metric: string; value: number; step: number; lower: boolean } | null
  /** Losses of the whole run, at most 120 of them, evenly spaced. */
  spark: number[]
  /** Why it failed, or what is damaged. */
  message: string | null
  incidents: number
  started: string | null
  updated: string | null
  /** Price of its wall time over all sessions, as on its run card, if its recipe has a price per hour. */
  cost: { amount: number; currency: string } | null
  tags: string[]
}

/** Answer of `GET /api/runs`. */
export interface RunList {
  runs: RunRow[]
  /** Runs that were found, of which `runs` are those that have been read. */
  total: number
  /** Folders that the studio shows. */
  roots: string[]
}

/** An event of `GET /api/changes`: rows that are new or have changed, and ids of runs that are gone. */
export interface RunChanges {
  runs: RunRow[]
  removed: string[]
  /** The command that showed its run in this studio has ended, and the studio ends with it. */
  ended?: true
  /** Runs that were found; those that have not been read yet follow. */
  total: number
  /** Once every run has been read: the ids of all, so that a page that was away drops others. */
  all?: string[]
}

/** One kind of event that the curves mark on their axis. */
export type Mark = Exclude<TrainingEvent, { type: 'step' | 'rollout' | 'evaluation' | 'sample' }>

/** Answer of `GET /api/runs/:run`. */
export interface RunDetails {
  row: RunRow
  /** run.json: the recipe with every default filled in. */
  recipe: Record<string, unknown> | null
  /** run-card.json, once a session has ended. */
  card: Record<string, unknown> | null
  /** Names of the curves by source. */
  columns: Record<'training' | 'measured' | 'layers' | 'rollouts' | 'evaluations', string[]>
  /** Memory that the plan of the run predicts, in bytes; null without a plan. */
  predictedBytes: number | null
  marks: Mark[]
  evaluations: EvaluationEvent[]
  /** Number of samples; `GET /api/runs/:run/samples` has their texts. */
  samples: number
  damage: { line: number | null; expected: string }[]
  /** Bytes of events.jsonl that this answer includes: where to follow from. */
  offset: number
}

/** A curve in buckets of steps: the extremes of each bucket are exact, so that no spike is lost. */
export interface BucketedCurve {
  /** Name of the column, such as `loss`; evaluations are `evaluation/accuracy`, rollouts `rollout/reward`. */
  name: string
  /** First step of each bucket. */
  steps: number[]
  min: (number | null)[]
  max: (number | null)[]
  /** Last value of each bucket. */
  last: (number | null)[]
}

/** Answer of `GET /api/runs/:run/curves?names=…&from=…&to=…&buckets=…`. */
export interface Curves {
  curves: BucketedCurve[]
  /** Last step of the run. */
  lastStep: number
  /** Tokens, seconds of training and cost at the first step of each bucket, for other axes. */
  axis: { steps: number[]; tokens: number[]; seconds: number[] }
}

/** An event of `GET /api/runs/:run/events`; its id is the offset in bytes after it. */
export type RunEventMessage =
  | { event: TrainingEvent }
  | { damage: { line: number | null; expected: string } }
  | { restart: true }
  /** The folder of the run is gone, and the stream ends. */
  | { removed: true }

/** An error of the API. */
export interface ApiErrorBody {
  error: { message: string; type: string; param: string | null; code: string | null }
}
