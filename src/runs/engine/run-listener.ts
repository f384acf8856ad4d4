// What a caller of a run may listen to, and what it gets back. Independent of the kind of run.
import type { ModelTokenizer } from '../../checkpoint/index.ts'
import type { Model } from '../../models/index.ts'
import type { EndCause, RunPrediction, TrainingEvent } from '../../tracking/index.ts'
import type { PreFlight } from '../../training/index.ts'

/** Whether a run is started in a new folder, or continued from what is in its folder: under its budget, or under a larger one. */
export type RunMode = 'new' | 'resume' | 'extend'

/** How a run starts. */
interface RunStartFacts {
  resumed: boolean
  step: number
  /** What the run was predicted to take; undefined for runs that cannot be planned. */
  prediction?: RunPrediction | undefined
}

/** The model that a run trains, as it is in memory. Its weights change with each step. */
export interface ModelInTraining {
  model: Model
  tokenizer: ModelTokenizer
  /** Chat template of its prompts, where it has one. */
  template?: string
  /** Folder of the run. */
  folder: string
}

/** A reader of the model in training, called between steps. */
export interface ModelVisitor {
  /** Called before each step, which waits for it. The weights, their mode and all settings must be as before when it is done. */
  beforeStep(step: number): Promise<void> | undefined
  /** Called after the last step, before the model is exported. */
  close(): Promise<void>
}

/** Callbacks of a run, and the signal that stops it. */
export interface RunListener {
  /** Called before the first step, which waits for it; `resumed` is true if the run continues from a checkpoint. */
  onPreFlight?: ((facts: PreFlight, start: RunStartFacts) => void | Promise<void>) | undefined
  /** Called once the folder of the run is there and locked, before anything is loaded. */
  onFolder?: ((folder: string) => void | Promise<void>) | undefined
  /** Called before the first step with the model; what it returns may use the model between the steps. */
  onModel?: ((model: ModelInTraining) => Promise<ModelVisitor>) | undefined
  /** Called for each event, in order. Notes are passed to `onNote` instead. */
  onEvent?: ((event: TrainingEvent) => void) | undefined
  /** Called with each line for people. */
  onNote?: ((line: string) => void) | undefined
  /** When it is aborted, the run finishes its step, saves and ends. */
  signal?: AbortSignal | undefined
}

/** The outcome of a run. */
export interface RunResult {
  out: string
  /** Folder of the finished model, which transformers or PEFT opens; undefined for an interrupted run. */
  model?: string
  /** Step of the weights of `model`: the best by `keep.best`, or the last. */
  modelStep?: number
  reason: 'finished' | 'interrupted'
  /** What ended a finished run before its budget. */
  cause?: EndCause | undefined
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
