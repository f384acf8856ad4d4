// DeBERTa v2 and v3: BERT's encoder with disentangled attention instead of learned positions. @source arXiv:2006.03654,
// arXiv:2111.09543 (v3)
import { z } from 'zod'
import { ConfigError } from '../core/index.ts'
import { DisentangledAttention, Dropout, Embedding, LayerNorm } from '../nn/index.ts'
import { Tensor } from '../tensor/index.ts'
import { settings, sizes } from './config-fields.ts'
import { EncoderLayer, encoderFields, encoderHeads, encoderIgnored, encoderKeys } from './encoder.ts'
import {
  attentionContext,
  Body,
  type BodyInputs,
  type BodyOutputs,
  defineModel,
  positionsOf,
  refusePacking,
} from './model.ts'
import { layerRunner } from './recompute.ts'

const schema = z.strictObject({
  vocabSize: sizes.vocabSize.default(128100),
  hiddenSize: sizes.hiddenSize.default(768),
  numLayers: sizes.numLayers.default(12),
  numHeads: sizes.numHeads.default(12),
  intermediateSize: sizes.intermediateSize.default(3072),
  activation: settings.activation.default('gelu'),
  maxPositions: sizes.maxPositions.default(512),
  typeVocabSize: sizes.typeVocabSize.default(0),
  normEps: settings.normEps.default(1e-7),
  relativeAttention: z.boolean().default(true).describe('attention by distance'),
  maxRelativePositions: sizes.maxPositions.optional().describe('largest distance (default: maxPositions)'),
  positionBuckets: z
    .int()
    .nonnegative()
    .max(2 ** 20)
    .default(256)
    .describe('buckets of distances in each direction; 0 for none'),
  contentToPosition: z.boolean().default(true).describe('attention of content to distances'),
  positionToContent: z.boolean().default(true).describe('attention of distances to content'),
  sharesProjections: z.boolean().default(true).describe('project distances by the matrices of queries and keys'),
  normedDistances: z.boolean().default(true).describe('norm of the embeddings of distances'),
  absolutePositions: z.boolean().default(false).describe('learned positions in the input too'),
  hiddenDropout: settings.hiddenDropout,
  attentionDropout: settings.attentionDropout.default(0.1),
  poolerActivation: settings.activation.default('gelu').describe('activation function of the pooler of classifiers'),
  bertLikeLm: z
    .boolean()
    .default(true)
    .describe('names of the masked-token head as in BERT, not as in the published v3'),
  initializerRange: settings.initializerRange,
  padTokenId: settings.padTokenId.default(0),
  tiedEmbeddings: settings.tiedEmbeddings.default(true),
})
type DebertaConfig = z.output<typeof schema>

const spanOf = ({ positionBuckets, maxRelativePositions, maxPositions }: DebertaConfig): number =>
  positionBuckets > 0 ? positionBuckets : (maxRelativePositions ?? maxPositions)

/** The bucket of a distance (query position minus key position): exact up to half of them, then by its logarithm. */
const bucketOf = (distance: number, { positionBuckets: buckets, ...config }: DebertaConfig): number => {
  const middle = Math.floor(buckets / 2)
  const size = Math.abs(distance)
  if (buckets === 0 || size <= middle) return distance
  const most = (config.maxRelativePositions ?? config.maxPositions) - 1
  const { fround, log } = Math
  // Rounded to float32 as in the published implementation, so that distances at an edge get the same bucket.
  const grown = fround(fround(log(fround(size / middle))) / fround(log(fround(most / middle))))
  return (Math.ceil(fround(grown * (middle - 1))) + middle) * Math.sign(distance)
}

/** Row of the embeddings of distances for a distance (query position minus key position). */
const rowOf = (distance: number, config: DebertaConfig): number => {
  const span = spanOf(config)
  return Math.min(Math.max(bucketOf(distance, config) + span, 0), 2 * span - 1)
}

/** Row of the embeddings of distances for each query and key, int64 [T,T]. */
const distanceIndex = (length: number, config: DebertaConfig, device: string): Tensor => {
  const rows = Array.from({ length: 2 * length - 1 }, (_, i) => BigInt(rowOf(i - length + 1, config)))
  const ids = new BigInt64Array(length * length)
  for (let t = 0; t < length; t++) for (let s = 0; s < length; s++) ids[t * length + s] = rows[t - s + length - 1]
  return Tensor.from(ids, { shape: [length, length], device })
}

/** DeBERTa below its head. */
export class DebertaBody extends Body {
  embedTokens: Embedding
  embedPositions?: Embedding
  embedTypes?: Embedding
  embeddingNorm: LayerNorm
  override dropout: Dropout
  embedDistances?: Embedding
  distanceNorm?: LayerNorm
  layers: EncoderLayer[]
  readonly #config: DebertaConfig

  constructor(config: DebertaConfig) {
    super()
    const { hiddenSize: hidden, numHeads: heads, normEps: eps, typeVocabSize } = config
    this.embedTokens = new Embedding(config.vocabSize, hidden, { paddingIndex: config.padTokenId })
    if (config.absolutePositions) this.embedPositions = new Embedding(config.maxPositions, hidden)
    if (typeVocabSize > 0) this.embedTypes = new Embedding(typeVocabSize, hidden)
    this.embeddingNorm = new LayerNorm(hidden, { eps })
    this.dropout = new Dropout(config.hiddenDropout)
    if (config.relativeAttention) this.embedDistances = new Embedding(2 * spanOf(config), hidden)
    if (config.normedDistances) this.distanceNorm = new LayerNorm(hidden, { eps })
    this.layers = Array.from({ length: config.numLayers }, () => {
      const { attentionDropout: dropout, hiddenDropout: positionDropout } = config
      const { contentToPosition, positionToContent, relativeAttention } = config
      const sharesProjections = config.sharesProjections || !relativeAttention
      const shape = { hidden, heads, dropout, positionDropout, contentToPosition, positionToContent, sharesProjections }
      return new EncoderLayer(config, new DisentangledAttention(shape))
    })
    this.#config = config
  }

  /** Rows of the embeddings of distances, from the farthest key after the query to the farthest before it: those beyond have the same. */
  get distanceRows(): number[] {
    const config = this.#config
    const farthest = Math.max(spanOf(config), config.maxRelativePositions ?? config.maxPositions) + 1
    return Array.from({ length: 2 * farthest + 1 }, (_, i) => rowOf(i - farthest, config))
  }

  #embed(inputs: BodyInputs): Tensor {
    let summed = this.embedTokens.forward(inputs.inputIds)
    if (this.embedPositions !== undefined) summed = summed.add(this.embedPositions.forward(positionsOf(inputs)))
    if (this.embedTypes !== undefined)
      summed = summed.add(
        inputs.typeIds === undefined ? this.embedTypes.weight.select(0, 0) : this.embedTypes.forward(inputs.typeIds),
      )
    return this.dropout.forward(this.embeddingNorm.forward(summed))
  }

  forward(inputs: BodyInputs): BodyOutputs {
    if (inputs.starts !== undefined) refusePacking('Its attention by distance')
    const context = attentionContext(inputs)
    const table = this.embedDistances?.weight
    const distances = table === undefined ? [] : [this.distanceNorm?.forward(table) ?? table]
    const { device, shape } = inputs.inputIds
    const index = distanceIndex(shape[1], this.#config, device)
    let hidden = this.#embed(inputs)
    const allHidden = [hidden]
    const run = layerRunner(inputs)
    this.layers.forEach((layer, i) => {
      const forward = (input: Tensor, embeddings?: Tensor) =>
        layer.forward(input, { ...context, distances: embeddings === undefined ? undefined : { embeddings, index } })
      hidden = run(i, layer, forward, [hidden, ...distances])
      allHidden.push(hidden)
    })
    return inputs.allHidden ? { hidden, allHidden } : { hidden }
  }
}

type Fields = Record<string, unknown>

/** Settings that change the outputs and that no architecture here has, with the values that are without effect. */
const unsupported: Record<string, (value: unknown, fields: Fields) => boolean> = {
  conv_kernel_size: (value) => value === 0,
  embedding_size: (value, { hidden_size: hidden }) => value === hidden,
  pooler_hidden_size: (value, { hidden_size: hidden }) => value === hidden,
  attention_head_size: (value, { hidden_size: hidden, num_attention_heads: heads }) =>
    value === Number(hidden) / Number(heads),
  pooler_dropout: (value) => value === 0,
}

/** @throws ConfigError */
const refuseUnsupported = (fields: Fields): void => {
  for (const [name, harmless] of Object.entries(unsupported)) {
    const value = fields[name]
    if (value !== undefined && value !== null && !harmless(value, fields))
      throw new ConfigError(
        `Expected no \`${name}\` in config.json, got ${JSON.stringify(value)?.slice(0, 80)}, which is not supported. Choose another base.`,
      )
  }
}

const listOf = (value: unknown): string[] =>
  typeof value === 'string' ? value.toLowerCase().split('|') : Array.isArray(value) ? value.map(String) : []

export const debertaV2 = defineModel({
  type: 'deberta-v2',
  source: 'arXiv:2006.03654',
  config: schema,
  presets: {
    test: { vocabSize: 128, hiddenSize: 32, numLayers: 2, numHeads: 4, intermediateSize: 64, maxPositions: 64 },
    'v3-xsmall': { hiddenSize: 384, numHeads: 6, intermediateSize: 1536 },
    'v3-small': { numLayers: 6 },
    'v3-base': {},
    'v3-large': { hiddenSize: 1024, numLayers: 24, numHeads: 16, intermediateSize: 4096 },
  },
  build: (config) => new DebertaBody(config),
  facts: (config) => ({ ...config, causal: false, packs: false, takesPrefixes: false }),
  hfFields: { ...encoderFields, poolerActivation: 'pooler_hidden_act' },
  hfExtra: {
    read: (fields) => {
      refuseUnsupported(fields)
      const parts = listOf(fields.pos_att_type).map((part) => part.trim())
      const most = Number(fields.max_relative_positions ?? -1)
      return {
        relativeAttention: fields.relative_attention ?? false,
        maxRelativePositions: most < 1 ? undefined : most,
        positionBuckets: Math.max(Number(fields.position_buckets ?? 0), 0),
        contentToPosition: parts.includes('c2p'),
        positionToContent: parts.includes('p2c'),
        sharesProjections: fields.share_att_key ?? false,
        normedDistances: listOf(fields.norm_rel_ebd).some((part) => part.trim() === 'layer_norm'),
        absolutePositions: fields.position_biased_input ?? true,
        bertLikeLm: fields.legacy ?? true,
      }
    },
    write: (config) => ({
      relative_attention: config.relativeAttention,
      max_relative_positions: config.maxRelativePositions ?? -1,
      position_buckets: config.positionBuckets === 0 ? -1 : config.positionBuckets,
      pos_att_type: [...(config.positionToContent ? ['p2c'] : []), ...(config.contentToPosition ? ['c2p'] : [])],
      share_att_key: config.sharesProjections,
      norm_rel_ebd: config.normedDistances ? 'layer_norm' : 'none',
      position_biased_input: config.absolutePositions,
      legacy: config.bertLikeLm,
    }),
  },
  hfPrefix: 'deberta.',
  hfKeys: () => [
    ...encoderKeys.map(({ ours, theirs }) => ({
      ours,
      theirs: theirs.replace(/self\.(query|key|value)$/, 'self.$1_proj'),
    })),
    { ours: 'embedDistances', theirs: 'encoder.rel_embeddings' },
    { ours: 'distanceNorm', theirs: 'encoder.LayerNorm' },
    { ours: 'layers.{i}.attention.posKeyProj', theirs: 'encoder.layer.{i}.attention.self.pos_key_proj' },
    { ours: 'layers.{i}.attention.posQueryProj', theirs: 'encoder.layer.{i}.attention.self.pos_query_proj' },
  ],
  // Both heads of v3's pretraining, and positions that are not used.
  hfIgnored: [...encoderIgnored, /^(lm|mask)_predictions\./, /(^|\.)embeddings\.position_embeddings\.weight$/],
  heads: (config) => {
    const { activation, normEps, hiddenDropout: dropout, tiedEmbeddings: tied } = config
    const prefix = config.bertLikeLm ? 'cls.predictions' : 'lm_predictions.lm_head'
    const dense = config.bertLikeLm ? `${prefix}.transform` : prefix
    return encoderHeads('DebertaV2', {
      masked: {
        tied,
        activation,
        normEps,
        names: {
          dense: `${dense}.dense`,
          norm: `${dense}.LayerNorm`,
          output: `${prefix}.decoder`,
          bias: `${prefix}.bias`,
        },
      },
      classifier: {
        pooling: 'first',
        dense: { activation: config.poolerActivation, name: 'pooler.dense', dropoutBefore: false },
        dropout,
        output: 'classifier',
        bias: true,
      },
      dropout,
    })
  },
})
