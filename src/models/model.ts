// The interface of architectures: a body that turns token ids into hidden states, its settings and presets, and the names of
// its parameters in Hugging Face checkpoints.
import type { z } from 'zod'
import { ConfigError, parseConfig } from '../core/index.ts'
import {
  type AttentionContext,
  currentDropout,
  type Dropout,
  type Embedding,
  type KeyRule,
  type LayerCache,
  Module,
} from '../nn/index.ts'
import { arange, type Tensor, upload } from '../tensor/index.ts'
import type { HeadEntries } from './heads/index.ts'

/** A batch of token rows: [B,T] with padding, or [1,N] packed with `starts`. */
export interface BodyInputs {
  /** Token ids, int64 [B,T]. */
  inputIds: Tensor
  /** [B,T], 0 at padding. */
  attentionMask?: Tensor
  /** Segment ids, int64 [B,T], where the body has segments. */
  typeIds?: Tensor
  /** Positions, int64 [B,T] (default: 0, 1, 2 … in each row or document). */
  positionIds?: Tensor
  /** Packed documents, with B = 1: cumulative lengths, int64 [n+1]. On the CPU, as they decide shapes. */
  starts?: Tensor
  /** Packed documents that also attend to tokens of others, in architectures with `sharesKeys`. */
  sharedKeys?: SharedKeys
  /** Caches of earlier keys and values, one per layer. */
  cache?: readonly LayerCache[]
  /** Number of tokens before the first of each row or document: cached ones, or virtual ones of an adapter. */
  pastLength?: number
  /** Token ids of the decoder, int64 [B,U], in an encoder-decoder. */
  decoderInputIds?: Tensor
  /** [B,U], 0 at padding of the decoder. */
  decoderAttentionMask?: Tensor
  /** Earlier output of the encoder, [B,T,C], to run the decoder only. */
  encoderHidden?: Tensor
  /** Number of layers, from the first, with activation checkpointing. */
  recompute?: number
  /**
   * Runs such a layer, in forward and when it is recomputed in backward: there it must find the adapters of the forward
   * pass, where others have become active since.
   */
  recomputeIn?<Result>(layer: () => Result): Result
  /** Return the hidden states of every layer. */
  allHidden?: boolean
  /** The only tokens of packed rows whose hidden states are needed: the last layer may compute these only (`onlyRead`). */
  read?: ReadTokens
}

/** Keys of packed documents, where they are not the document's own tokens alone: a prompt that several answers continue. */
export interface SharedKeys {
  /** Index of the token of each key, document after document, int64 [K]. */
  places: Tensor
  /** Cumulative numbers of keys per document, int64 [n+1] on the CPU. The last key of a document is that of its last token. */
  starts: Tensor
}

/** A selection of tokens of packed rows. */
export interface ReadTokens {
  /** Their indices in the batch, ascending, int64 [M]. */
  places: Tensor
  /** Cumulative numbers of them per document, int64 [n+1] on the CPU. */
  starts: Tensor
}

/** The first token of each document. @param starts cumulative lengths of packed documents, int64 [n+1] on the CPU */
export const firstTokensOf = (starts: Tensor, device = 'cpu'): ReadTokens => {
  const count = starts.shape[0] - 1
  return {
    places: upload(starts.narrow(0, 0, count).to('int64'), device),
    starts: arange(count + 1, { dtype: 'int64' }),
  }
}

/** Outputs of a body. */
export interface BodyOutputs {
  /** Hidden states after the last norm, [B,T,C]. */
  hidden: Tensor
  /** True where `hidden` is [1,M,C], of the tokens of `read` only. */
  onlyRead?: boolean
  /** Hidden states of the encoder, [B,T,C], in an encoder-decoder. */
  encoderHidden?: Tensor
  /** The embeddings and each layer's output, with `allHidden`. */
  allHidden?: Tensor[]
  /** Logits of the experts, [B*T,E] for each layer with a mixture of experts, within `withRouterBalance`. */
  routerLogits?: Tensor[]
}

/** The part of a model below its head. */
export abstract class Body extends Module {
  abstract readonly embedTokens: Embedding
  /** Dropout of the embedded tokens, the last layer before the others; a body with two stacks has none for both. */
  declare dropout?: Dropout
  abstract forward(inputs: BodyInputs): BodyOutputs
}

/** Facts of a body that are independent of the architecture. */
export interface BodyFacts {
  hiddenSize: number
  vocabSize: number
  numLayers: number
  /** Maximum input length; undefined without a table of positions. */
  maxPositions: number | undefined
  /** Standard deviation of initial weights. */
  initializerRange: number
  tiedEmbeddings: boolean
  causal: boolean
  /** Soft cap of the logits over the vocabulary (default: none). */
  logitSoftcap?: number
  /** Factor of the auxiliary loss that balances experts, where training adds it to that of a language model. */
  routerLossFactor?: number
  /** Id of the decoder's first token, in an encoder-decoder. */
  decoderStartTokenId?: number
  /** False where documents cannot be packed (T5's relative bias). */
  packs?: boolean
  /** False where no keys can be put before those of a layer: its weights are shared, or its scores go by distance. */
  takesPrefixes?: boolean
  /** Whether packed documents may attend to tokens of others, by `sharedKeys`. */
  sharesKeys?: boolean
}

/** Maximum input length of a model; with rotary positions the length of pretraining, where the config has it. */
export const contextLength = ({
  facts,
  config,
}: {
  facts: Pick<BodyFacts, 'maxPositions'>
  config: { maxPositions?: unknown }
}): number | undefined =>
  facts.maxPositions ?? (typeof config.maxPositions === 'number' ? config.maxPositions : undefined)

/** Options of `build`. */
export interface BuildOptions {
  /** Build an encoder-decoder without its decoder. */
  encoderOnly?: boolean
}

/** A tensor that files have again under other names. */
interface HfCopies {
  /** Its key, without the prefix of the body. */
  of: string
  theirs: readonly string[]
}

/** An architecture. */
export interface ModelDefinition<Schema extends z.ZodType<object> = z.ZodType<object>, Type extends string = string> {
  /** Name in recipes and flags, and `model_type` of config.json unless `hfType` is another. */
  type: Type
  /** `model_type` of config.json, where it is no name for a flag. */
  hfType?: string
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
  /** Keys in checkpoints that are no parameters, such as buffers. */
  hfIgnored: readonly RegExp[]
  /** A tensor of the body that checkpoints may have several times; copies with other values are refused. */
  hfCopies?: HfCopies
  /** Whether transformers needs the copies, or else makes them at random (default: false). */
  needsCopies?(config: z.output<Schema>): boolean
  /** Keys of buffers that we do not have and that are zero in published checkpoints; other values are refused. */
  hfZeros?: readonly RegExp[]
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

/** Embedding models built on a decoder may let tokens attend to later ones. @throws ConfigError, as ours do not */
const expectCausal = (fields: Record<string, unknown>, facts: BodyFacts, type: string): void => {
  const hasDecoder = facts.causal || facts.decoderStartTokenId !== undefined
  if (hasDecoder && fields.is_causal === false)
    throw new ConfigError(
      `Expected \`is_causal\` true or absent in config.json for ${type}, got false: attention to later tokens in a decoder is not supported. Choose another base.`,
    )
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
    const config = parseConfig(
      rest.config,
      given,
      ([key]) => `${hfFields[key as keyof z.output<Schema> & string] ?? String(key)} in config.json`,
    )
    expectCausal(fields, rest.facts(config), rest.type)
    return config
  },
  toHf: (config) => {
    const values = config as Record<string, unknown>
    const written = Object.entries(hfFields).flatMap(([ours, theirs]) =>
      values[ours] === undefined ? [] : [[theirs as string, values[ours]]],
    )
    return { model_type: rest.hfType ?? rest.type, ...Object.fromEntries(written), ...hfExtra?.write(config) }
  },
})

/** @param part what of the body cannot be packed, with its pronoun @throws ConfigError */
export const refusePacking = (part: string): never => {
  throw new ConfigError(
    `Expected padded rows for this model, got packed ones. ${part} does not support packing: disable it.`,
  )
}

/** Tells dropout which tokens the rows of a batch are. */
export const layOutDropout = ({ inputIds, starts, read, decoderInputIds }: BodyInputs): void => {
  const masks = currentDropout()
  const { device } = inputIds
  masks?.layOut({ shape: inputIds.shape, starts, places: starts && read?.places, device })
  if (decoderInputIds !== undefined) masks?.layOut({ shape: decoderInputIds.shape, device })
}

/** Masks and packing of a batch for attention; dropout learns which tokens its rows are. */
export const attentionContext = (inputs: BodyInputs): AttentionContext => {
  layOutDropout(inputs)
  const { attentionMask, starts, sharedKeys } = inputs
  return {
    starts,
    keyStarts: sharedKeys?.starts,
    keyPlaces: sharedKeys?.places,
    // [B,S] -> [B,1,1,S]
    mask: attentionMask?.ne(0).unsqueeze(1).unsqueeze(1),
  }
}
