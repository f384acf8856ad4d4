// What a way of adapting is: what it adds to a model, which parameters of the model it trains, and how its files are read and
// written. Knows no method.
import { z } from 'zod'
import type { Model } from '../models/index.ts'
import type { Module } from '../nn/index.ts'
import type { Generator } from '../tensor/index.ts'
import type { Draws, LayerAdapter } from './layer-adapter.ts'
import type { PeftFormat } from './peft/format.ts'

/** One layer and what stands in front of it. */
export interface Placement {
  /** Of the layer, in the model. */
  path: string
  host: Module
  adapter: LayerAdapter
}

/** What a method does to one model. */
export interface Attachment {
  placements: Placement[]
  /** Parameters of the model, by path, of which copies are trained; the head's follow from `trainHead`. */
  trained: readonly string[]
  /** Tokens that the model gets in front of every row. */
  virtualTokens?: number
  /** Factor of the learning rate of one of its parameters, by path; 1 unless given. */
  learningRateScale?(path: string): number
}

export interface AttachContext {
  /** Of fresh values. */
  generator: Generator
  /** Of dropout. */
  draws: Draws
  /** Ids of a text, without special tokens. */
  encode?: (text: string) => ArrayLike<number>
}

/** Fields that every method has. */
export const adapterFields = {
  trainHead: z
    .boolean()
    .optional()
    .describe('train the head too; unless given, every head but those that score the vocabulary is trained'),
}

export interface AnyConfig {
  type: string
  trainHead?: boolean
}

export interface AdapterDefinition<Schema extends z.ZodType = z.ZodType> {
  type: string
  /** Where it is published. */
  source: string
  config: Schema
  /** Adds nothing yet: says what is to be put where. @throws ConfigError where the model has no place for it */
  plan(model: Model, config: z.output<Schema>, context: AttachContext): Attachment
  /** Says in the config of a fresh adapter what would otherwise depend on the model, so that its files say it too. */
  settle?(model: Model, config: z.output<Schema>): z.output<Schema>
  /** AdamW's, unless the recipe says another. Fresh tensors take larger steps than pretrained ones. */
  learningRate: number
  /** How PEFT's files hold it; without this, ours do. */
  peft?: PeftFormat<z.output<Schema>>
  /** The config of a sum of several; without it, only adapters of one config can be averaged. */
  summed?(configs: readonly z.output<Schema>[]): z.output<Schema>
  /** Trains matrices of the body itself, which must not be frozen then. */
  trainsMatrices?: boolean
  /** The model's own parameters are trained, not copies: there is no way back. */
  inPlace?: boolean
  /** Overrides `trainHead`. */
  trainsHead?: boolean
  /** May be active together with others; true unless said otherwise. */
  stacks?: boolean
}

/** Declares a way of adapting; index.ts makes it known. */
export const defineAdapter = <Schema extends z.ZodType<AnyConfig>>(
  definition: AdapterDefinition<Schema>,
): AdapterDefinition<Schema> => definition
