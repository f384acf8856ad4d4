// What an objective is: the way from rows of token ids to examples, to a batch, to a loss that has a sum and a weight. Knows no
// objective, no architecture and no training loop.
import type { z } from 'zod'
import type { Random } from '../core/index.ts'
import type { Row } from '../data/index.ts'
import type { BodyInputs, HeadType, Model, ModelDefinition } from '../models/index.ts'
import type { Generator, Tensor } from '../tensor/index.ts'
import type { Sequences } from './sequences.ts'

/** What an objective knows of the tokenizer; `vocabularyOf` reads it. */
export interface VocabularyFacts {
  /** One more than the largest id. */
  size: number
  pad?: number
  cls?: number
  sep?: number
  mask?: number
  bos?: number
  eos?: number
  /** Tokens that stand for no text: never masked, never put in as a random token. */
  specialIds: ReadonlySet<number>
  /** Whether a token goes on with the word of the token before it. */
  continuesWord?(id: number, previous: number): boolean
  /** Whether a sentence may end with this token. */
  endsSentence?(id: number): boolean
  /** T5's `<extra_id_0>` … in this order. */
  sentinels?: readonly number[]
}

export interface ObjectiveContext {
  vocabulary: VocabularyFacts
  /** Most tokens that a row of a batch may have. */
  maxLength: number
}

/** A row as samplers give it. */
export interface TextRow extends Row {
  /** True where the last document of the row is known to end there, and is not cut: end-of-text may follow it. */
  endsDocument?: boolean
}

/**
 * A part of the loss: `scale * sum / weight`, where the loop takes sum and weight over the whole global batch, so that any split
 * into micro-batches gives the same loss.
 */
export interface LossTerm {
  name: string
  /** Scalar, float32, with a graph. */
  sum: Tensor
  /** As `weights` said before the forward pass. */
  weight: number
  scale: number
}

/** A mean over the global batch: `sum / weight`. */
export interface Metric {
  sum: number | Tensor
  weight: number
}

export interface Batch {
  /** For `model.bodyForward`. */
  inputs: BodyInputs
  /** Real tokens, without padding. */
  tokens: number
  [more: string]: unknown
}

export interface CollateOptions {
  /** [B,T] with an attention mask; otherwise one row [1,N] with `starts`. */
  padded: boolean
  device?: string
  /** Rounds T up. */
  multipleOf?: number
}

export interface LossOptions {
  /** Draws for dropout. */
  generator?: Generator
  /** Also give metrics that cost a pass over the logits, such as accuracy. */
  metrics?: boolean
  /** The second model, where the objective's definition has one. */
  auxiliary?: Model
}

/** The part of an objective that the training loop sees: examples of any kind, and their loss. */
export interface Criterion<Example = unknown> {
  /** Whether `collate` can do without padding. */
  readonly unpadded: boolean
  /** Tokens that it takes in a batch, without padding. */
  tokens(example: Example): number
  /** The weight of each term of the loss. */
  weights(example: Example): Record<string, number>
  /** @throws DataError without examples, ConfigError where the form asked for does not exist. */
  collate(examples: readonly Example[], how: CollateOptions): Batch
  /** @throws ConfigError when the model has another head than is needed. */
  loss(model: Model, batch: Batch, how?: LossOptions): { terms: LossTerm[]; metrics: Record<string, Metric> }
  /** The example as text for people, with what is trained marked. */
  describe(example: Example, decode: (ids: readonly number[]) => string): string
}

/** Whether batches of this learner for this model must be padded: one of them knows no packed form. */
export const mustPad = ({ unpadded }: Pick<Criterion, 'unpadded'>, { facts }: Pick<Model, 'facts'>): boolean =>
  !unpadded || facts.packs === false

/** Positions that an example takes in this model: its tokens, and what active adapters put in front of each of its sequences. */
export const positionsIn = <Example>(
  learner: Pick<Criterion<Example>, 'tokens'>,
  { body }: Pick<Model, 'body'>,
): ((example: Example) => number) => {
  const inFront = [...body.modules()].reduce((sum, [, module]) => sum + module.positionsInFront, 0)
  return (example) => learner.tokens(example) + inFront * ((example as Partial<Sequences>).starts?.length ?? 1)
}

/** A way of learning from plain text: a learner that makes its own examples from rows of tokens. */
export interface Objective<Example = unknown> extends Criterion<Example> {
  /**
   * The rows to ask a sampler for, so that examples are as long as `maxLength` and nothing is cut: tokens in a row, and tokens that
   * it shares with the next.
   */
  readonly rows: { length: number; overlap: number }
  /** An example in plain typed arrays: a pure function of its arguments. `other` draws a further row where one is needed. */
  example(row: TextRow, random: Random, other: (random: Random) => TextRow): Example
  /** Tokens of the row that did not fit in. */
  cut(example: Example): number
}

/**
 * A second model that an objective trains with the main one (ELECTRA's generator). The loop builds what `plan` says, calls `tie` each time
 * that parameters of either were replaced, trains parameters of both once each, saves it beside, and passes it to `loss`.
 */
export interface AuxiliaryModel<Config> {
  plan(
    config: Config,
    main: Pick<Model, 'definition' | 'config'>,
  ): { definition: ModelDefinition; config: object; head: HeadType }
  /** Makes the shared parameters of both one. */
  tie(main: Model, auxiliary: Model): void
}

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
