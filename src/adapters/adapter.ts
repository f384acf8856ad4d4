// What a way of adapting is: what it adds to a model, which parameters of the model it trains, and how its files are read and
// written. Knows no method.
import { z } from 'zod'
import { type Named, named } from '../core/index.ts'
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

export interface AdapterDefinition<Schema extends z.ZodObject = z.ZodObject, Type extends string = string> {
  /** Name in recipes, flags and files. */
  type: Type
  /** Publication of the method. */
  source: string
  /** Settings, `type` included. */
  config: Schema
  /** Plans what to insert where, without changing the model. @throws ConfigError where the model has no place for it */
  plan(model: Model, config: z.output<Schema>, context: AttachContext): Attachment
  /** Fills in settings of a new adapter that depend on the model, so that its files name them. */
  settle?(model: Model, config: z.output<Schema>): z.output<Schema>
  /** Default learning rate with AdamW. New tensors take larger steps than pretrained ones. */
  learningRate: number
  /** How PEFT's files store it; without this, files use our own format. */
  peft?: PeftFormat<z.output<Schema>>
  /** Config of a sum of several adapters; without it, only adapters with equal configs can be averaged. */
  summed?(configs: readonly z.output<Schema>[]): z.output<Schema>
  /** Trains weight matrices of the body, which must then not be quantised. */
  trainsMatrices?: boolean
  /** Trains the model's own parameters instead of copies: the base cannot be restored. */
  inPlace?: boolean
  /** Whether the head is trained, whatever `trainHead` is. */
  trainsHead?: boolean
  /** Whether it can be active together with other adapters (default: true). */
  stacks?: boolean
}

type Declaration<Type extends string, Schema extends z.ZodObject> = Omit<
  AdapterDefinition<Named<Type, Schema>, Type>,
  'config'
> & {
  /** Settings, without `type`. */
  config: Schema
}

/** Defines a fine-tuning method; `registerAdapter` makes it available to recipes, flags and files. */
export const defineAdapter = <const Type extends string, Schema extends z.ZodObject>(
  declaration: Declaration<Type, Schema>,
): AdapterDefinition<Named<Type, Schema>, Type> => ({
  ...declaration,
  config: named(declaration.type, declaration.config, 'fine-tuning method'),
})
