// What a model is to the rest of Tunesmith: a body that turns ids into vectors, its config, its presets, and the names its
// parameters have in Hugging Face checkpoints. Knows no architecture.
import type { z } from 'zod'
import { parseConfig } from '../core/index.ts'
import { type AttentionContext, type Embedding, type KeyRule, type LayerCache, Module } from '../nn/index.ts'
import { arange, type Generator, type Tensor } from '../tensor/index.ts'
import type { HeadEntries } from './heads/index.ts'

/** A batch of token rows: [B,T] with padding, or [1,N] packed with `starts`. */
export interface BodyInputs {
  /** int64 [B,T] */
  inputIds: Tensor
  /** [B,T], 0 where there is padding. */
  attentionMask?: Tensor
  /** int64 [B,T] segment ids, where the body has segments. */
  typeIds?: Tensor
  /** int64 [B,T]; 0, 1, 2 … of each row or document unless given. */
  positionIds?: Tensor
  /** Packed rows: cumulative document lengths, int64 [n+1], with B = 1. */
  starts?: Tensor
  /** Earlier keys and values, one entry a layer. */
  cache?: readonly LayerCache[]
  /** Tokens before the first of each row or document: those in a cache, or those of an adapter. */
  pastLength?: number
  /** Draws for dropout in training. */
  generator?: Generator
  /** int64 [B,U] of the decoder, where the body is an encoder and a decoder. */
  decoderInputIds?: Tensor
  /** [B,U], 0 where the decoder's rows have padding. */
  decoderAttentionMask?: Tensor
  /** What the encoder gave before, [B,T,C], to run the decoder alone. */
  encoderHidden?: Tensor
  /** Layers, from the first, whose activations are computed again in the backward pass instead of kept. */
  recompute?: number
  /** Return what every layer gave. */
  allHidden?: boolean
  /** The only tokens of packed rows whose vectors will be read: the last layer may leave the others out, and says so. */
  read?: ReadTokens
}

/** Some tokens of packed rows. */
export interface ReadTokens {
  /** int64 [M], their places among the N of the batch, rising. */
  places: Tensor
  /** int64 [n+1], how many of them lie in each document, cumulative. */
  starts: Tensor
}

/** The first token of each document. @param starts of packed rows, int64 [n+1] */
export const firstTokensOf = (starts: Tensor): ReadTokens => {
  const count = starts.shape[0] - 1
  return {
    places: starts.narrow(0, 0, count).to('int64'),
    starts: arange(count + 1, { dtype: 'int64', device: starts.device }),
  }
}

export interface BodyOutputs {
  /** [B,T,C] after the last norm. */
  hidden: Tensor
  /** True where `hidden` is [1,M,C], of the tokens of `read` alone. */
  onlyRead?: boolean
  /** [B,T,C] of the encoder, where there is one beside the decoder. */
  encoderHidden?: Tensor
  /** The embeddings and each layer's output, when asked for. */
  allHidden?: Tensor[]
}

/** The part of a model below its head. */
export abstract class Body extends Module {
  abstract readonly embedTokens: Embedding
  abstract forward(inputs: BodyInputs): BodyOutputs
}

/** Facts of a body that heads and tools need, whatever its type. */
export interface BodyFacts {
  hiddenSize: number
  vocabSize: number
  numLayers: number
  /** Longest input; undefined where positions have no table. */
  maxPositions: number | undefined
  /** Standard deviation of fresh weights. */
  initializerRange: number
  tiedEmbeddings: boolean
  causal: boolean
  /** Id that decoding starts from, where the body is an encoder and a decoder. */
  decoderStartTokenId?: number
  /** False where several documents cannot share a row with `starts`: learned biases have no packed form. */
  packs?: boolean
}

/** Longest input that a model takes; rotary positions have no end, but a length that the model was made for, where its config says. */
export const contextLength = ({
  facts,
  config,
}: {
  facts: Pick<BodyFacts, 'maxPositions'>
  config: { maxPositions?: unknown }
}): number | undefined =>
  facts.maxPositions ?? (typeof config.maxPositions === 'number' ? config.maxPositions : undefined)

export interface BuildOptions {
  /** Leave the decoder of an encoder-decoder out. */
  encoderOnly?: boolean
}

export interface ModelDefinition<Schema extends z.ZodType<object> = z.ZodType<object>, Type extends string = string> {
  /** Name in recipes and flags, and `model_type` of config.json. */
  type: Type
  /** Publication of the architecture. */
  source: string
  /** Settings of the architecture. */
  config: Schema
  /** Settings of published sizes, by name. */
  presets: Record<string, Partial<z.output<Schema>>>
  /** The config with some fields changed. @throws ConfigError for unknown fields and values that do not fit */
  adjust(config: Partial<z.output<Schema>>, changes: Record<string, unknown>): z.output<Schema>
  /** The body, with parameters that are not yet set. */
  build(config: z.output<Schema>, options?: BuildOptions): Body
  facts(config: z.output<Schema>): BodyFacts
  /** Reads the fields of config.json. @throws ConfigError that names the fields that do not fit or are not supported */
  fromHf(fields: Record<string, unknown>): z.output<Schema>
  /** The same settings as fields of config.json. */
  toHf(config: z.output<Schema>): Record<string, unknown>
  /** Names of those fields that are floating point numbers, which Python's readers tell from integers. */
  hfFloats: readonly string[]
  /** Names of the body's parameters in Hugging Face checkpoints. */
  hfKeys(config: z.output<Schema>): readonly KeyRule[]
  /** Prefix of the body's keys in checkpoints of models with a head. */
  hfPrefix: string
  /** Keys in checkpoints that are no parameters: buffers, and copies of tied tensors. */
  hfIgnored: readonly RegExp[]
  /** The heads that the architecture has in transformers. */
  heads(config: z.output<Schema>): HeadEntries
}

type Declaration<Schema extends z.ZodType<object>, Type extends string> = Omit<
  ModelDefinition<Schema, Type>,
  'adjust' | 'fromHf' | 'toHf' | 'hfFloats'
> & {
  /** Names in config.json of our config's keys; reading and writing follow from it. */
  hfFields: Partial<Record<keyof z.output<Schema> & string, string>>
  /** Fields of config.json that are not a key under another name. */
  hfExtra?: {
    read(fields: Record<string, unknown>): Record<string, unknown>
    write(config: z.output<Schema>): Record<string, unknown>
  }
}

const takesFractions = (schema: z.ZodType, field: string): boolean => {
  const { success, error } = schema.safeParse({ [field]: 0.5 })
  return success || !error.issues.some(({ path }) => path[0] === field)
}

/** Defines an architecture; `registerModel` makes it available to recipes, flags and checkpoints. */
export const defineModel = <const Type extends string, Schema extends z.ZodType<object>>({
  hfFields,
  hfExtra,
  ...rest
}: Declaration<Schema, Type>): ModelDefinition<Schema, Type> => ({
  ...rest,
  hfFloats: (Object.entries(hfFields) as [string, string][])
    .filter(([ours]) => takesFractions(rest.config, ours))
    .map(([, theirs]) => theirs),
  adjust: (config, changes) => parseConfig(rest.config, { ...config, ...changes }, `config of ${rest.type}`),
  fromHf: (fields) => {
    const read = Object.entries(hfFields).map(([ours, theirs]) => [ours, fields[theirs as string]])
    const all = { ...Object.fromEntries(read), ...hfExtra?.read(fields) }
    // Absent and null both mean the default.
    const given = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined && value !== null))
    return parseConfig(
      rest.config,
      given,
      ([key]) => `${hfFields[key as keyof z.output<Schema> & string] ?? String(key)} in config.json`,
    )
  },
  toHf: (config) => {
    const values = config as Record<string, unknown>
    const written = Object.entries(hfFields).flatMap(([ours, theirs]) =>
      values[ours] === undefined ? [] : [[theirs as string, values[ours]]],
    )
    return { model_type: rest.type, ...Object.fromEntries(written), ...hfExtra?.write(config) }
  },
})

/** The rows' relation as attention wants it, from the batch's padding or packing. */
export const attentionContext = ({ attentionMask, starts, generator }: BodyInputs): AttentionContext => ({
  starts,
  // [B,S] -> [B,1,1,S]
  mask: attentionMask?.ne(0).unsqueeze(1).unsqueeze(1),
  generator,
})
