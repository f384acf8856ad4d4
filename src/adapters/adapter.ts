// The interfaces of fine-tuning methods: what a method inserts into a model, which parameters of the model it trains,
// and how its files are read and written. Independent of particular methods.
import { z } from 'zod'
import { type Named, named } from '../core/index.ts'
import type { Model } from '../models/index.ts'
import type { Module } from '../nn/index.ts'
import type { Generator, Tensor } from '../tensor/index.ts'
import type { LayerAdapter } from './layer-adapter.ts'
import type { PeftFormat } from './peft/format.ts'

/** A layer of the base and its adapter. */
export interface Placement {
  /** Path of the layer in the model. */
  path: string
  /** The layer. */
  host: Module
  adapter: LayerAdapter
}

/** Number of the layer that a path is in, from 0, in its stack of layers; -1 outside of them. */
export const layerNumber = (path: string): number => Number(/\.layers\.(\d+)\./.exec(`${path}.`)?.[1] ?? -1)

/** An update of the parameters that has just been made. */
export interface AfterUpdate {
  /** Number of the step, from 1. */
  step: number
  /** Gradients of the whole batch by path, before clipping. */
  gradients: ReadonlyMap<string, Tensor>
  /** Factor by which the gradients were clipped. */
  scale: number
  /** float32 weights by path: parameters, or the masters of bfloat16 ones. */
  weights: ReadonlyMap<string, Tensor>
  /** The trained parameters by path. */
  parameters: ReadonlyMap<string, Tensor>
}

/** What a method does in training beside its parameters. */
export interface MethodTraining {
  /** A term of the loss that no example changes; it is added once to the loss of a step. */
  penalty?: { name: string; scale: number; loss(): Tensor }
  /** Called before the forward passes of a step, with the same values on all processes and in a resumed run. */
  beginStep?(step: { seed: number; step: number }): void
  /** Called after the last forward and backward pass of a step, or after an error. */
  endStep?(): void
  /** Called after each update, with the same values on all processes. */
  afterUpdate?(update: AfterUpdate): void
  /** Tensors that change with it, by path: checkpoints store them, and copy the stored values into them. */
  tensors?(): ReadonlyMap<string, Tensor>
}

/** What a method may know of the run that begins. */
export interface TrainingFacts {
  /** Infinite where the run ends by time. */
  totalSteps: number
  /** The trained parameters by path. */
  parameters: ReadonlyMap<string, Tensor>
}

/** What a method inserts into a model. */
export interface Attachment {
  placements: Placement[]
  /** Paths of parameters of the model whose copies are trained; those of the head follow from `trainHead`. */
  trained: readonly string[]
  /** Virtual tokens in front of every row. */
  virtualTokens?: number
  /** Factor of the learning rate for one of its tensors, by path (default: 1). */
  learningRateScale?(path: string): number
  /** Begins the training of a run. @throws ConfigError for a run that the method cannot be trained in */
  beginTraining?(facts: TrainingFacts): MethodTraining | undefined
}

/** A frozen adapter that another one stands on. */
export interface LowerAdapter {
  name: string
  /** Its fine-tuning method. */
  type: string
  placements: readonly Placement[]
}

/** What a method needs to initialise its tensors. */
export interface AttachContext {
  /** Random generator of the initial values. */
  generator: Generator
  /** Token ids of a text, without special tokens. */
  encode?: (text: string) => ArrayLike<number>
  /** The matrix of a layer before the base was quantised, by the path of the layer. */
  original?: (path: string) => Tensor | undefined
  /** The adapters that it stands on. */
  below?: readonly LowerAdapter[]
}

/** Settings of most methods. */
export const adapterFields = {
  trainHead: z
    .boolean()
    .optional()
    .describe('train the head too (default: yes, unless it is a language modelling head)'),
}

/** Settings of any method. */
export interface AnyConfig {
  type: string
  trainHead?: boolean
}

/** Families of fine-tuning methods: `features` trains a head alone, `selective` some of the model's own parameters. */
export type MethodFamily = 'full' | 'features' | 'selective' | 'adapter' | 'lora'

/** A fine-tuning method: its settings, what it inserts into a model, and its files. */
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
  resolveConfig?(model: Model, config: z.output<Schema>): z.output<Schema>
  /** Whether a new adapter with these settings needs the matrices of the base as they were before they were quantised. */
  readsOriginals?(config: z.output<Schema>): boolean
  /** Settings of the adapter as its files have it, where they differ from those of training. */
  savedConfig?(config: z.output<Schema>): z.output<Schema>
  /** Default learning rate with AdamW. New tensors take larger steps than pretrained ones. */
  learningRate: number
  /** Settings of the same adapter without its parts in the first layers; without this, it cannot lose them. */
  dropLayers?(config: z.output<Schema>, layers: number): z.output<Schema>
  /** How PEFT's files store it; without this, files use our own format. */
  peft?: PeftFormat<z.output<Schema>>
  /** Config of a sum of several adapters; without it, only adapters with equal configs can be averaged. */
  sumConfig?(configs: readonly z.output<Schema>[]): z.output<Schema>
  /** Trains weight matrices of the body, which must then not be quantised. */
  trainsMatrices?: boolean
  /** Trains the model's own parameters instead of copies: the base cannot be restored. */
  inPlace?: boolean
  /** Which methods comparisons draw alike (default: `adapter`). */
  family?: MethodFamily
  /** Whether the head is trained, whatever `trainHead` is. */
  trainsHead?: boolean
  /** Whether it uses the adapters that it stands on side by side, in place of acting on what they give together. */
  fuses?: boolean
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
