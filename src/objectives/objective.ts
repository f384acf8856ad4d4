// The interfaces of objectives: from rows of token ids to examples, to batches, to a loss with a sum and a weight.
// Independent of particular objectives, architectures and the training loop.
import type { z } from 'zod'
import type { Random } from '../core/index.ts'
import type { IdArray, Row } from '../data/index.ts'
import type { BlockWork } from '../distributed/index.ts'
import type { BodyInputs, HeadType, Model, ModelDefinition } from '../models/index.ts'
import type { Tensor } from '../tensor/index.ts'
import type { FimTokens } from '../tokenizers/index.ts'
import type { Teacher } from './distillation.ts'
import type { Sequences, ShownTokens } from './sequences.ts'

/** Facts about a tokenizer for objectives; see `vocabularyFacts`. */
export interface VocabularyFacts {
  /** One more than the largest id. */
  size: number
  pad?: number
  cls?: number
  sep?: number
  mask?: number
  bos?: number
  eos?: number
  /** Special tokens: never masked, and never used as a random replacement. */
  specialIds: ReadonlySet<number>
  /** Whether a token continues the word of the token before it. */
  continuesWord?(id: number, previous: number): boolean
  /** Whether a sentence may end with this token. */
  endsSentence?(id: number): boolean
  /** Ids of T5's sentinels `<extra_id_0>` …, in order. */
  sentinels?: readonly number[]
  /** Tokens of fill-in-the-middle. */
  fim?: FimTokens
  /** Text of ids, and ids of a text without special tokens around it, which may continue another text. */
  texts?: { decode(ids: ArrayLike<number>): string; encode(text: string, how: { continues: boolean }): IdArray }
}

/** What an objective is created for. */
export interface ObjectiveContext {
  vocabulary: VocabularyFacts
  /** Maximum number of tokens in a row of a batch. */
  maxLength: number
}

/** A row of a sampler. */
export interface TextRow extends Row {
  /** True if the last document of the row is complete: end-of-text may follow it. */
  endsDocument?: boolean
}

/**
 * A term of the loss, `scale * sum / weight`. The loop sums `sum` and `weight` over the global batch before it divides,
 * so that any split into micro-batches gives the same loss.
 */
export interface LossTerm {
  name: string
  /** Scalar, float32, with a gradient. */
  sum: Tensor
  /** Equal to the sum of `weights` over the examples, which is known before the forward pass. */
  weight: number
  scale: number
}

/** A mean over the global batch: `sum / weight`. */
export interface Metric<Value = number | Tensor> {
  sum: Value
  weight: number
  /** It is a largest value in place of a mean: `sum` is that of this part of the batch, and `weight` is 1. */
  largest?: boolean
}

/** What is known of two parts of a batch together. @param before undefined for the first part */
export const joinMetrics = <Known extends Metric<number>>(before: Known | undefined, own: Known): Known =>
  before === undefined
    ? own
    : own.largest
      ? { ...own, sum: Math.max(before.sum, own.sum) }
      : { ...own, sum: before.sum + own.sum, weight: before.weight + own.weight }

/** A collated batch; objectives add their labels to it. */
export interface Batch {
  /** For `model.bodyForward`. */
  inputs: BodyInputs
  /** Tokens without padding. */
  tokens: number
  [more: string]: unknown
}

/** The form of a batch. */
export interface CollateOptions {
  /** Padded rows [B,T] with an attention mask; otherwise one packed row [1,N] with `starts`. */
  padded: boolean
  device?: string
  /** Rounds T up to a multiple of this. */
  multipleOf?: number
  /** Side of padded rows that is padded (default: right). */
  side?: 'left' | 'right'
}

/** Options of `Criterion.loss`. */
export interface LossOptions {
  /** Also compute metrics that need all logits, such as accuracy. */
  metrics?: boolean
  /** The second model, if the objective has one. */
  auxiliary?: Model
  /** A model whose predictions are learned too, by criteria that `distils`. */
  teacher?: Teacher
  /**
   * Receives the loss of each label in the order of the batch, float32 [N], 0 where a label is -100, without a gradient.
   * Called once by criteria whose `show` names places in it.
   */
  onLabelLosses?(losses: Tensor): void
}

/** Divides work without gradients among the processes of a run, each of which gets the results of all items in their order. */
export type ShareWork = <Item, Result>(items: readonly Item[], how: BlockWork<Item, Result>) => Promise<Result[]>

/** What `Criterion.prepare` may use. */
export interface PrepareContext {
  /** The model that is trained. Adapters on it may be switched off for a while. */
  model: Model
  /** Maximum tokens of a forward pass. */
  microTokens: number
  /** Whether batches must be padded. */
  padded: boolean
  device?: string
  /** Optimizer steps taken so far. */
  step: number
  /** Position of the first example in the data. */
  position: number
  seed: number
  /** Whether the examples are evaluated and not trained on: nothing that is carried may change then. */
  evaluation?: boolean
  /** For work that the processes of a run divide; all call it equally often. Undefined in a single process. */
  share?: ShareWork
}

/** What a criterion or an example source carries from step to step, such as a running mean: JSON in checkpoints. */
export interface CarriedState {
  save(): unknown
  /** @throws CheckpointError for what `save` cannot have given */
  load(state: unknown): void
  /** Tensors that change with it, by path: checkpoints store them, and copy the stored values into them. */
  tensors?(): ReadonlyMap<string, Tensor>
}

/** What the training loop needs of an objective or a task: collation of examples, and their loss. */
export interface Criterion<Example = unknown> {
  /** Whether `collate` supports packed rows. */
  readonly unpadded: boolean
  /** Number of tokens of an example in a batch, without padding. */
  tokens(example: Example): number
  /** The weight of each loss term, by name. */
  weights(example: Example): Record<string, number>
  /** Number of tokens with a loss, where the weights count something else, such as pairs. */
  trainedTokens?(example: Example): number
  /**
   * Puts examples into a batch.
   * @throws DataError without examples, ConfigError for packed rows that are not supported
   */
  collate(examples: readonly Example[], how: CollateOptions): Batch
  /**
   * Adds to the examples of a global batch what depends on the whole batch or on other weights: log-probabilities of
   * a reference model, advantages, running means. It runs without gradients before the loss, so that no split into
   * micro-batches changes the loss. When memory runs out it is called again with fewer `microTokens`: what is carried
   * must change last.
   */
  prepare?(examples: readonly Example[], context: PrepareContext): Promise<readonly Example[]>
  /**
   * Whether `prepare` computes with the weights of the model (default: true). Where processes have parts of the weights, they are whole in
   * the meantime.
   */
  readonly preparesWithModel?: boolean
  /**
   * Whether the loss of an example depends on the other ones of its batch. `prepare` is called again where a batch is split into other
   * micro-batches than it was called for.
   */
  readonly comparesExamples?: boolean
  /** Whether `loss` can learn the predictions of a teacher. */
  readonly distils?: boolean
  /** What `prepare` carries from step to step. */
  readonly carried?: CarriedState
  /** Runs the model. @throws ConfigError when the model has another head than the criterion needs */
  loss(model: Model, batch: Batch, how?: LossOptions): { terms: LossTerm[]; metrics: Record<string, Metric> }
  /** The example as readable text, with its trained tokens marked. */
  describe(example: Example, decode: (ids: readonly number[]) => string): string
  /** The example as its tokens, with the trained ones and their places among the losses of `onLabelLosses`. */
  show?(example: Example): ShownTokens[]
}

/** Whether batches must be padded, because the criterion or the model does not support packed rows. */
export const mustPad = ({ unpadded }: Pick<Criterion, 'unpadded'>, { facts }: Pick<Model, 'facts'>): boolean =>
  !unpadded || facts.packs === false

/**
 * Number of positions of an example in this model: its tokens, and the virtual tokens of adapters before each sequence.
 */
export const positionsIn = <Example>(
  criterion: Pick<Criterion<Example>, 'tokens'>,
  { body }: Pick<Model, 'body'>,
): ((example: Example) => number) => {
  const virtualTokens = [...body.modules()].reduce((sum, [, module]) => sum + module.prependedPositions, 0)
  return (example) => criterion.tokens(example) + virtualTokens * sequencesIn(example)
}

/** Number of sequences of an example: rows of a padded batch, documents of a packed one. */
export const sequencesIn = (example: unknown): number => (example as Partial<Sequences>).starts?.length ?? 1

/** Tokens of each sequence of an example of so many tokens. */
export const sequenceLengths = (example: unknown, tokens: number): number[] => {
  const { starts = [0] } = example as Partial<Sequences>
  return starts.map((start, i) => (starts[i + 1] ?? tokens) - start)
}

/** A criterion for plain text: it makes its own examples from rows of tokens. */
export interface Objective<Example = unknown> extends Criterion<Example> {
  /**
   * Rows to request from a sampler, so that examples have `maxLength` tokens and nothing is truncated: tokens in a row,
   * and tokens shared with the next row.
   */
  readonly rows: { length: number; overlap: number }
  /**
   * An example in plain typed arrays, a pure function of its arguments. `other` samples a further row if one is needed.
   */
  example(row: TextRow, random: Random, other: (random: Random) => TextRow): Example
  /** Truncated tokens of the row. */
  cut(example: Example): number
}

/**
 * A second model that is trained together with the main one (ELECTRA's generator). The run builds it by `plan`, calls
 * `tie` whenever parameters of either were replaced, trains the parameters of both, saves it in the checkpoint and
 * passes it to `loss`.
 */
export interface AuxiliaryModel<Config> {
  /** Architecture, config and head of the second model. */
  plan(
    config: Config,
    main: Pick<Model, 'definition' | 'config'>,
  ): { definition: ModelDefinition; config: object; head: HeadType }
  /** Ties the parameters that both models share. */
  tie(main: Model, auxiliary: Model): void
}

/** An objective: its settings, the head that it needs, and how it is created. */
export interface ObjectiveDefinition<Schema extends z.ZodObject = z.ZodObject, Type extends string = string> {
  /** Name in recipes and flags. */
  type: Type
  /** Publication of the method. */
  source: string
  /** Settings, without `type`. */
  config: Schema
  /** The head that the model needs. */
  head: HeadType
  /** @throws ConfigError when the vocabulary lacks what the objective needs. */
  create(config: z.output<Schema>, context: ObjectiveContext): Objective
  /** The second model, where the objective trains one. */
  auxiliary?: AuxiliaryModel<z.output<Schema>>
}

/** Defines an objective; `registerObjective` makes it available to recipes and flags. */
export const defineObjective = <const Type extends string, Schema extends z.ZodObject>(
  definition: ObjectiveDefinition<Schema, Type>,
): ObjectiveDefinition<Schema, Type> => definition
