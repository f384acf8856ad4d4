// The contracts of a run: its kind, with its recipe and how everything that the training loop needs is built from it, its listener, its result,
// and what several builds of it share.
import type { z } from 'zod'
import type { ModelTokenizer } from '../../checkpoint/index.ts'
import type { ProcessGroup } from '../../distributed/index.ts'
import type { Model } from '../../models/index.ts'
import type { VocabularyFacts } from '../../objectives/index.ts'
import type { Optimizer, WeightAverage } from '../../optim/index.ts'
import type { ScoredUnits, ScoreIntervals, TaskPrediction, TaskRecord } from '../../tasks/index.ts'
import type { EndCause, RunPrediction, TrainingEvent } from '../../tracking/index.ts'
import type {
  ExampleSource,
  LoopState,
  PreFlight,
  RunLength,
  ShardedWeights,
  SnapshotParts,
  TrainableModel,
  TrainingSettings,
} from '../../training/index.ts'

export interface CommonRecipe extends TrainingSettings {
  command: string
  out: string
  device: string
  pricePerHour?: number | undefined
}

/** A checked recipe of any kind. */
export type RunRecipe = CommonRecipe

/** A text that the model generated during training, with its prompt. */
export interface GeneratedSample {
  prompt?: string
  text: string
}

export interface FinalScores {
  metrics: Record<string, number>
  /** The metric that tells the model from the references. */
  mainMetric?: string
  /** Scores of predictions that take no training, on the same records. */
  references?: { name: string; metrics: Record<string, number> }[]
  /** Sentences about results that show that the model learned little. */
  warnings?: string[]
}

/** Everything that the training loop and the folder of a run need. */
export interface BuiltRun {
  recipe: CommonRecipe
  tokenizer: ModelTokenizer
  /** Folder whose tokenizer files are copied into checkpoints (default: the base's). */
  tokenizerFiles?: string
  /** Chat template that prompts are rendered with in training (default: the tokenizer's). */
  chatTemplate?: string
  vocabulary: VocabularyFacts
  trainable: TrainableModel
  stream: ExampleSource<unknown>
  optimizer: Optimizer
  average?: WeightAverage
  /** The weights, where each process of a group has a part of them; whole until they are closed for the first time. */
  shardedWeights?: ShardedWeights
  /** The same of a model that is not trained, such as a reference: in the steps it is whole only while it computes. */
  besideWeights?: ShardedWeights
  /** How checkpoints store the weights, if not as a whole model. */
  weights?: SnapshotParts['weights']
  /** Writes files beside the weights of a checkpoint of a whole model, without which it is not used as it was trained. */
  addModelFiles?(folder: string): Promise<void>
  learningRate: number
  length: RunLength
  /** Fewest steps that can teach this model anything; the pre-flight warns of fewer. */
  enoughSteps?: number
  /** Documents of the validation split, where the data is split by document and evaluated. */
  validationDocuments?: number
  /** Validation records, where a run without steps would turn them into features. */
  validationRecords?: number
  /** SHA-256 of what the run depends on. */
  hashes: Record<string, string>
  notes: string[]
  /** Metrics of `evaluate`: those that are always there, and the names of all, found by evaluating a few examples. */
  metrics?: { known: readonly string[]; measure(): Promise<string[]> }
  /** Equalities that hold before the first step of a new run, as lines for people. @throws ConfigError for one that does not */
  check?(): Promise<string[]>
  /** Metrics of the current weights. All processes of a group call it, divide the work and get the same. */
  evaluate?(state: Pick<LoopState, 'microTokens'>): Promise<Record<string, number>>
  /** Evaluates those validation examples that take the most memory, for a plan. */
  evaluateLargest?(state: Pick<LoopState, 'microTokens'>): Promise<unknown>
  sample?(): Promise<GeneratedSample[]>
  /** Writes the finished model, if it is not a copy of a checkpoint's, and returns its final evaluation, if it has one. */
  exportModel?(folder: string): Promise<FinalScores | undefined>
  close(): void
}

export interface FitContext {
  /** Stores and shows a line for people. */
  note(line: string): void
  /** Shows a line without storing it. */
  say(line: string): void
  signal?: AbortSignal | undefined
  /** The processes that divide the work: all get the same result, and the first one writes. */
  group?: ProcessGroup
}

export interface FitResult extends FinalScores {
  loss: number
  tokens: number
  examples: number
  /** Number of fitted parameters. */
  parameters: number
  /** Floating-point operations, estimated. */
  flops: number
  /** Share of the texts whose features were in the cache. */
  cachedShare?: number
  /** SHA-256 of what the run depends on. */
  hashes: Record<string, string>
  model: string
}

/** Does the whole work of a run and writes its model. It throws when the signal aborts; repeated, it reuses what it cached. */
export type NonIterativeFit = (context: FitContext) => Promise<FitResult>

export interface BuildContext {
  group?: ProcessGroup
  /** Shows a line without storing it. */
  say(line: string): void
  signal?: AbortSignal | undefined
  /** What the plan of a run and the run itself share (default: every build makes its own). */
  shared?: Pick<SharedData, 'once'>
  /** Whether the run is planned only: it computes no values, and nothing outside this process is called (default: false). */
  planned?: boolean
  /** Memory of all processes together, in bytes, which a model must fit in to be built (default: that of this machine). */
  memoryBytes?: number | undefined
  /** Whether the run leaves no files, as those of plans and of timed steps (default: false). */
  unrecorded?: boolean
}

/** A place on the chart of reward against KL divergence from the base. */
export interface RewardPoint {
  /** What scored the answers: points of one chart share it. */
  scorer: string
  /** The same in words. */
  reward: string
  /** What has this place, if not the run itself, such as the best of several answers of the base. */
  name?: string
  method: string
  kl: number
  value: number
  low: number
  high: number
}

/** How finished runs of a kind are compared: by predictions for the same records. */
export interface RunComparison<Recipe> {
  /** What the run learned, which runs must share to be compared, and its method. */
  describe(recipe: Recipe): { task: string; variant: string }
  /** The validation records, read again. @throws DataError for data that is no longer there */
  records(recipe: Recipe): Promise<TaskRecord[]>
  /** Fields of a record that are its reference answer (default: none). */
  answerFields?(recipe: Recipe): readonly string[]
  /** The predictions in a file, in the order of the records. @throws DataError for a damaged file */
  predictions(path: string, records: readonly TaskRecord[], recipe: Recipe): Promise<TaskPrediction[]>
  /** @param labels of the predicting head, where there is one */
  score(
    records: readonly TaskRecord[],
    predictions: readonly TaskPrediction[],
    recipe: Recipe,
    labels?: readonly string[],
  ): ScoredUnits
  /** Places of the run on charts of reward against KL divergence; undefined for kinds without rewards. */
  rewards?(recipe: Recipe, folder: string, metrics: ScoreIntervals): Promise<RewardPoint[]>
}

export interface RunKind<Recipe extends CommonRecipe = CommonRecipe> {
  command: string
  schema: z.ZodType<Recipe>
  build(recipe: Recipe, context: BuildContext): Promise<BuiltRun>
  /** The work in place of the training loop, for recipes without steps. */
  nonIterative?(recipe: Recipe): NonIterativeFit | undefined
  /** How its finished runs are compared; undefined for runs without an evaluation of records. */
  comparison?(recipe: Recipe): RunComparison<Recipe>
  /** The parts of a run that are compared each on its own, such as its tasks: each has a folder of its name in that of the model. */
  // biome-ignore lint/suspicious/noExplicitAny: recipes of kinds differ
  parts?(recipe: Recipe): { name: string; recipe: CommonRecipe; comparison: RunComparison<any> }[]
}

/** Whether a run is started in a new folder, or continued from what is in its folder: under its budget, or under a larger one. */
export type RunMode = 'new' | 'resume' | 'extend'

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

interface Closable {
  close(): void
}

const isClosable = (value: unknown): value is Closable =>
  typeof (value as Partial<Closable> | null)?.close === 'function'

export class SharedData {
  readonly #made = new Map<string, Promise<unknown>>()

  /** The value of a name, which is made unless it is known. A value that could not be made is tried again. */
  async once<Value>(name: string, make: () => Promise<Value>): Promise<Value> {
    const known = this.#made.get(name)
    if (known !== undefined) return known as Promise<Value>
    const made = make()
    this.#made.set(name, made)
    try {
      return await made
    } catch (error) {
      this.#made.delete(name)
      throw error
    }
  }

  async close(): Promise<void> {
    for (const made of this.#made.values()) {
      const value = await made.catch(() => undefined)
      if (isClosable(value)) value.close()
    }
    this.#made.clear()
  }
}

/** Makes a value, or takes it from what builds share. */
export const once = <Value>(
  { shared }: { shared?: Pick<SharedData, 'once'> },
  name: string,
  make: () => Promise<Value>,
): Promise<Value> => (shared === undefined ? make() : shared.once(name, make))
