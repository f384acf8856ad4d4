// What a caller of a run may listen to, and what it gets back. Independent of the kind of run.
import type { RunPrediction, TrainingEvent } from '../../tracking/index.ts'
import type { PreFlight } from '../../training/index.ts'

/** Whether a run is started in a new folder, or continued from what is in its folder. */
export type RunMode = 'new' | 'resume'

/** How a run starts. */
export interface RunStartFacts {
  resumed: boolean
  step: number
  /** What the run was predicted to take; undefined for runs that cannot be planned. */
  prediction?: RunPrediction | undefined
}

/** Callbacks of a run, and the signal that stops it. */
export interface RunListener {
  /** Called before the first step, which waits for it; `resumed` is true if the run continues from a checkpoint. */
  onPreFlight?(facts: PreFlight, start: RunStartFacts): void | Promise<void>
  /** Called for each event, in order. Notes are passed to `onNote` instead. */
  onEvent?(event: TrainingEvent): void
  /** Called with each line for people. */
  onNote?(line: string): void
  /** When it is aborted, the run finishes its step, saves and ends. */
  signal?: AbortSignal
}

/** The outcome of a run. */
export interface RunResult {
  out: string
  /** Folder of the finished model, which transformers or PEFT opens; undefined for an interrupted run. */
  model?: string
  reason: 'finished' | 'interrupted'
  steps: number
  tokens: number
  /** Wall time of all sessions. */
  seconds: number
  /** Training loss of the last step. */
  loss: number
  /** Metrics of the finished model if it was evaluated, else of the last evaluation during training. */
  metrics: Record<string, number>
  /** The metric that tells the model from the references. */
  mainMetric?: string | undefined
  /** Scores of predictions that take no training, on the same records: `majority class`, `untrained base` … */
  references?: { name: string; metrics: Record<string, number> }[]
  /** Sentences about results that show that the model learned little; empty for a run that looks sound. */
  warnings: string[]
}
