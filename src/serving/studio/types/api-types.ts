// What the studio's pages and its server say to each other. Only types, and independent of Node, since the pages import it too.
import type { EvaluationEvent, TrainingEvent } from '../../../tracking/index.ts'
import type { IntervalValue } from './compare-types.ts'

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

export type { BatchPart, BatchRow, BatchRows } from '../../../runs/index.ts'

/** Texts that the model wrote after a step. */
export interface RunSamples {
  /** Steps with samples, ascending. */
  steps: number[]
  /** The samples of the steps that were asked for. */
  samples: { step: number; texts: { prompt: string | null; text: string }[] }[]
}

/** A checkpoint on disk. */
export interface CheckpointRow {
  step: number
  /** Relative to the run's folder. */
  path: string
  bytes: number
  /** ISO time. */
  written: string
  /** Largest files, with their sizes. */
  files: { name: string; bytes: number }[]
}

/** Answer of `GET /api/runs/:run/files`. */
export interface RunFilesAnswer {
  checkpoints: CheckpointRow[]
  /** Bytes of the finished model; null without one. */
  modelBytes: number | null
  /** What the plan of the run predicted and what it took; measurements of a run that still trains are those so far. */
  costs: { name: string; predicted: string; measured: string; difference: string }[]
  /** Reports of steps that were not finite. */
  incidents: { step: number; report: string }[]
}

/** What was done, in words. */
export interface ControlAnswer {
  message: string
}

/** A part of what a program prints; its id is the offset in bytes after it. */
export interface ConsoleMessage {
  text: string
  /** Whether the part replaces what came before. */
  fresh: boolean
  /** Whether there is no output: the studio did not start the run. */
  missing: boolean
}

/** Answer of `GET /api/filter?where=…`. */
export interface FilterAnswer {
  /** Ids of the runs that fulfil the condition. */
  ids: string[]
}

/** A field that conditions may use. */
export interface FilterField {
  name: string
  type: string
}

/** Answer of `GET /api/filter/fields`. */
export interface FilterFields {
  /** Fields of the table. */
  runs: FilterField[]
  /** Settings of the recipes. */
  settings: FilterField[]
}

/** Answers of the API by their path, as the pages ask for them; `/curves` and `/samples` without a query are whole. */
export interface SharedFile {
  /** Heading of the browser's window. */
  title: string
  /** Address of the first page, such as `#/runs/base`. */
  home: string
  /** Paths of the pages that the file has: `runs` for that of a run. */
  pages: string[]
  answers: Record<string, unknown>
  /** ISO time at which it was made. */
  made: string
}

/** A setting of a grid, or a trial of a search. */
export interface SweepTrialRow extends IntervalValue {
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

/** A model that the playground can ask. */
export interface PlaygroundModel {
  /** `given/NAME` for one of `--model`; else the run and `@model`, `@live`, or `@` and the step of a checkpoint. */
  id: string
  /** In words, such as `step 400`. */
  title: string
  kind: 'given' | 'finished' | 'checkpoint' | 'live'
  /** Step of its weights; null where it is not known, or changes. */
  step: number | null
}

/** Answer of `GET /api/playground/models`. */
export interface PlaygroundState {
  /** Models that the studio was started with. */
  given: PlaygroundModel[]
  /** Models in memory, and the maximum number of them. */
  loaded: { id: string; state: 'loading' | 'loaded'; memoryBytes: number | null }[]
  limit: number
}

/** Answer of `GET /api/runs/:run/models`: the one in training, the finished one, and the checkpoints, newest first. */
export interface RunModels {
  models: PlaygroundModel[]
}

/** Paths of the serving API that the playground asks. */
export type PlaygroundPath =
  | '/v1/chat/completions'
  | '/v1/completions'
  | '/v1/fill'
  | '/v1/classify'
  | '/v1/tokens'
  | '/v1/answer'
  | '/v1/embeddings'

/** Body of `POST /api/playground/ask`; the answer is that of the path, with the header `x-tunesmith-step` for a model in training. */
export interface PlaygroundRequest {
  model: string
  path: PlaygroundPath
  /** The body of the path, without its model. */
  request: Record<string, unknown>
}

/** Answer of `POST /api/playground/load`: what a model is and can be asked. */
export interface LoadedModel {
  id: string
  head: string
  labels: string[]
  mask: string | null
  parameters: number
  context: number
  paths: PlaygroundPath[]
}

/** A token with its log-probability. */
interface TokenChance {
  token: string
  logprob: number
}

/** A generated token with the likeliest ones at its place. */
export interface ShownToken extends TokenChance {
  alternatives: TokenChance[]
}
