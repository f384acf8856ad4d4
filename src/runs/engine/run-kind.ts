// What a kind of run is: its recipe, and how everything that the loop needs is made from it. Knows no kind.
import type { z } from 'zod'
import type { VocabularyFacts } from '../../objectives/index.ts'
import type { Optimizer, WeightAverage } from '../../optim/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'
import type {
  ExampleSource,
  LoopState,
  RunLength,
  SnapshotParts,
  TrainableModel,
  TrainingSettings,
} from '../../training/index.ts'

/** What every recipe says. */
export interface CommonRecipe extends TrainingSettings {
  /** The kind. */
  command: string
  out: string
  device: string
  pricePerHour?: number
}

/** A recipe of any kind, checked. */
export type RunRecipe = CommonRecipe

export interface GeneratedSample {
  prompt?: string
  text: string
}

export interface BuiltRun {
  recipe: CommonRecipe
  tokenizer: Tokenizer
  /** Folder whose tokenizer files go into checkpoints; those of the base unless given. */
  tokenizerFiles?: string
  vocabulary: VocabularyFacts
  trainable: TrainableModel
  stream: ExampleSource<unknown>
  optimizer: Optimizer
  average?: WeightAverage
  /** How checkpoints hold the weights, where that is not the whole model. */
  weights?: SnapshotParts['weights']
  learningRate: number
  length: RunLength
  /** Fewest steps that can teach this model anything; the pre-flight warns of fewer. */
  enoughSteps?: number
  /** Documents of the validation split, where the data is split by document and evaluated. */
  validationDocuments?: number
  /** SHA-256 of what the run depends on. */
  hashes: Record<string, string>
  notes: string[]
  evaluate?(state: Pick<LoopState, 'microTokens'>): Promise<Record<string, number>>
  sample?(): Promise<GeneratedSample[]>
  /** Writes the run's MODEL, where that is not a copy of the chosen checkpoint's, and gives the scores of its final evaluation. */
  exportModel?(folder: string): Promise<Record<string, number>>
  close(): void
}

export interface FitContext {
  /** A line for people, kept in the records. */
  note(line: string): void
  /** A line for people who watch. */
  say(line: string): void
  signal?: AbortSignal
}

export interface FitResult {
  loss: number
  /** Of the evaluation. */
  metrics: Record<string, number>
  tokens: number
  examples: number
  /** Numbers that were learnt. */
  parameters: number
  /** Floating-point operations, about. */
  flops: number
  /** SHA-256 of what the run depends on. */
  hashes: Record<string, string>
  /** Folder of the run's MODEL. */
  model: string
}

/** Does all of a run's work and leaves its model. Stopped through the signal, it throws; done again, it goes on from what it kept. */
export type NonIterativeFit = (context: FitContext) => Promise<FitResult>

export interface RunKind<Recipe extends CommonRecipe = CommonRecipe> {
  command: string
  schema: z.ZodType<Recipe>
  build(recipe: Recipe): Promise<BuiltRun>
  /** What is done in place of the loop, for recipes whose work has no steps. */
  nonIterative?(recipe: Recipe): NonIterativeFit | undefined
}
