// Embeddings of texts: sorted by length and packed, so that there is no padding.
import { z } from 'zod'
import { ConfigError, parseConfig, show } from '../core/index.ts'
import type { ProcessGroup } from '../distributed/index.ts'
import { EmbeddingHead, type Model, quantizationOf } from '../models/index.ts'
import { noGradScope, type Tensor } from '../tensor/index.ts'
import { createTextEncoder, type Tokenizer } from '../tokenizers/index.ts'
import { extractFeatures } from './extract.ts'
import { layerField, poolings } from './layers.ts'

/** Settings of `embedTexts`. */
export const embedSchema = z.strictObject({
  layer: layerField.default('last'),
  pooling: z
    .enum(poolings)
    .optional()
    .describe(
      'pooling of a text to one vector, or `tokens` for a vector per token (default: that of the model files, else mean)',
    ),
  normalize: z.boolean().optional().describe('scale vectors to length one (default: as in the model files)'),
  batchTokens: z
    .int()
    .positive()
    .default(2048)
    .describe('maximum tokens per batch; a longer text is a batch of its own, which decoders compute in parts'),
  maxTokens: z
    .int()
    .positive()
    .optional()
    .describe(
      'maximum tokens per text, longer texts are truncated (default: the limits of the model and its tokenizer)',
    ),
})
/** Checked settings of `embedTexts`. */
export type EmbedSettings = z.output<typeof embedSchema>

/** Progress, cancellation and cache of `embedTexts`. */
export interface EmbedHooks {
  /** Called after each batch with the number of texts that are done. */
  onProgress?(done: number): void
  onNote?(line: string): void
  signal?: AbortSignal
  /** Caches vectors in a folder, by the hash of the model's files and of each text's tokens. */
  cache?: { folder: string; identity: string }
  /** The processes that divide the texts; all get all vectors. */
  group?: ProcessGroup | undefined
}

/** Embeddings of texts. */
export interface Embedded {
  /** float32 [rows,C]: a row for each text, or for each token with pooling `tokens`. */
  vectors: Tensor
  rows: Int32Array
}

/**
 * Embeddings of texts with the number of rows of each; pooling and scaling default to those of the model's embedding head. A text as token
 * ids is read as it is, without special tokens around it.
 * @throws ConfigError for a model with another head, settings that do not fit, a text without tokens, or too many token ids
 */
export const embedWithRows = async (
  model: Model,
  tokenizer: Tokenizer,
  texts: readonly (string | readonly number[])[],
  options: Partial<EmbedSettings> & EmbedHooks = {},
): Promise<Embedded> => {
  const { onProgress, onNote, signal, cache, group, ...settings } = options
  const parsed = parseConfig(embedSchema, settings, 'settings')
  if (!(model.head instanceof EmbeddingHead))
    throw new ConfigError(
      `Expected a model with an embedding head, got ${model.headType}. Load it with head: 'embedding'.`,
    )
  const { headOptions } = model
  const { layer, batchTokens, maxTokens = maxTextTokens(model, tokenizer) } = parsed
  const { pooling = headOptions.pooling ?? 'mean', normalize = headOptions.normalize } = parsed
  // Matrices of one file give other vectors as blocks than in float32.
  const form = cache === undefined ? undefined : quantizationOf(model)
  const limit = maxTokens ?? Number.MAX_SAFE_INTEGER
  const encode = createTextEncoder(tokenizer, limit)
  const idsOf = (text: string | readonly number[], index: number): Uint32Array => {
    if (typeof text === 'string') return encode(text).ids
    if (Array.isArray(text)) return Uint32Array.from(expectFewer(text, limit, index))
    throw new ConfigError(`Expected a text or token ids for \`texts[${index}]\`, got ${show(text)}.`)
  }
  const { features: vectors, rows } = await extractFeatures(
    model,
    texts.map((text, index) => ({ ids: expectTokens(idsOf(text, index), index) })),
    {
      layer,
      pooling,
      batchTokens,
      padId: tokenizer.special.pad?.id ?? 0,
      identity: [cache?.identity, form].filter((part) => part !== undefined).join(' '),
      cache: cache?.folder,
      onProgress,
      onNote,
      signal,
      group,
    },
  )
  if (!normalize) return { vectors, rows }
  try {
    return { vectors: noGradScope(() => unitLength(vectors)), rows }
  } finally {
    vectors.free()
  }
}

/** Embeddings of texts: float32 [texts,C], or a row for every token with pooling `tokens`, in the order of the texts. */
export const embedTexts = async (...args: Parameters<typeof embedWithRows>): Promise<Tensor> =>
  (await embedWithRows(...args)).vectors

const unitLength = (rows: Tensor): Tensor =>
  rows.div(rows.square().sum(-1, { keepdim: true }).sqrt().clamp({ min: 1e-12 }))

/** Maximum tokens of a text: the smallest of the limits of the model's positions, its sentence settings and its tokenizer. */
export const maxTextTokens = (model: Model, tokenizer: Tokenizer): number | undefined => {
  const known = [model.facts.maxPositions, model.headOptions.maxTokens, tokenizer.maxLength]
  const limits = known.filter((limit) => limit !== undefined)
  return limits.length > 0 ? Math.min(...limits) : undefined
}

const expectTokens = (ids: Uint32Array, index: number): Uint32Array => {
  if (ids.length > 0) return ids
  throw new ConfigError(`Expected at least one token for \`texts[${index}]\`, got none. Remove empty texts.`)
}

/** Token ids may end with a special token, so that they are not truncated. */
const expectFewer = (ids: readonly number[], limit: number, index: number): readonly number[] => {
  if (ids.length <= limit) return ids
  throw new ConfigError(`Expected at most ${limit} token ids for \`texts[${index}]\`, got ${ids.length}. Send fewer.`)
}
