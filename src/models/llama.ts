// Llama and its kin (Llama 2 and 3, TinyLlama, SmolLM2, Mistral): a decoder with RMS norms, rotary positions, gated blocks and
// grouped heads. @source arXiv:2302.13971, arXiv:2307.09288, arXiv:2310.06825
import { z } from 'zod'
import {
  type ActivationName,
  Attention,
  activationNames,
  Embedding,
  GatedMlp,
  Module,
  RmsNorm,
  type RopeScaling,
  RotaryTable,
} from '../nn/index.ts'
import type { Tensor } from '../tensor/index.ts'
import { attentionContext, Body, type BodyInputs, type BodyOutputs, defineModel } from './model.ts'
import { positionsOf } from './positions.ts'
import { fromHfRope, ropeScalingSchema, toHfRope } from './rope-fields.ts'

const schema = z.strictObject({
  vocabSize: z.int().positive().default(32000).describe('entries of the vocabulary'),
  hiddenSize: z.int().positive().default(4096).describe('width of the residual stream'),
  numLayers: z.int().positive().default(32).describe('blocks'),
  numHeads: z.int().positive().default(32).describe('query heads'),
  numKvHeads: z.int().positive().optional().describe('key and value heads; numHeads unless given'),
  headDim: z.int().positive().optional().describe('size of a head; hiddenSize / numHeads unless given'),
  intermediateSize: z.int().positive().default(11008).describe('width inside the gated block'),
  activation: z
    .enum(activationNames as [ActivationName, ...ActivationName[]])
    .default('silu')
    .describe('of the gate'),
  maxPositions: z.int().positive().default(2048).describe('longest input trained on'),
  normEps: z.number().positive().default(1e-6).describe('added to mean squares'),
  ropeTheta: z.number().positive().default(10000).describe('base of the rotary frequencies'),
  ropeScaling: ropeScalingSchema.default({ kind: 'default' }).describe('stretching of the rotary frequencies'),
  attentionBias: z.boolean().default(false).describe('biases in the attention projections'),
  mlpBias: z.boolean().default(false).describe('biases in the gated block'),
  slidingWindow: z.int().nonnegative().default(0).describe('keys further back are not seen; 0 sees all'),
  attentionDropout: z.number().min(0).max(1).default(0).describe('dropout of attention weights'),
  initializerRange: z.number().positive().default(0.02).describe('standard deviation of fresh weights'),
  tiedEmbeddings: z.boolean().default(false).describe('output layer shares the token embedding'),
})
type LlamaConfig = z.output<typeof schema>

class LlamaLayer extends Module {
  attentionNorm: RmsNorm
  attention: Attention
  mlpNorm: RmsNorm
  mlp: GatedMlp

  constructor(config: LlamaConfig) {
    super()
    const { hiddenSize: hidden, normEps: eps } = config
    this.attentionNorm = new RmsNorm(hidden, { eps })
    this.attention = new Attention({
      hidden,
      heads: config.numHeads,
      kvHeads: config.numKvHeads,
      headDim: config.headDim,
      bias: config.attentionBias,
      causal: true,
      window: config.slidingWindow,
      dropout: config.attentionDropout,
    })
    this.mlpNorm = new RmsNorm(hidden, { eps })
    this.mlp = new GatedMlp({
      hidden,
      intermediate: config.intermediateSize,
      activation: config.activation,
      bias: config.mlpBias,
    })
  }
}

class LlamaBody extends Body {
  embedTokens: Embedding
  layers: LlamaLayer[]
  finalNorm: RmsNorm
  readonly #rotary: RotaryTable

  constructor(config: LlamaConfig) {
    super()
    this.embedTokens = new Embedding(config.vocabSize, config.hiddenSize)
    this.layers = Array.from({ length: config.numLayers }, () => new LlamaLayer(config))
    this.finalNorm = new RmsNorm(config.hiddenSize, { eps: config.normEps })
    this.#rotary = new RotaryTable({
      rotaryDim: config.headDim ?? config.hiddenSize / config.numHeads,
      theta: config.ropeTheta,
      scaling: config.ropeScaling as RopeScaling,
    })
  }

  forward(inputs: BodyInputs): BodyOutputs {
    const angles = this.#rotary.at(positionsOf(inputs))
    const context = { ...attentionContext(inputs), angles }
    let stream = this.embedTokens.forward(inputs.inputIds)
    let change: Tensor | null = null
    const allHidden: Tensor[] = []
    this.layers.forEach((layer, i) => {
      const [afterMlp, first] = layer.attentionNorm.add(stream, change)
      if (inputs.allHidden) allHidden.push(afterMlp)
      const attended = layer.attention.forward(first, context, { cache: inputs.cache?.[i] })
      const [afterAttention, second] = layer.mlpNorm.add(afterMlp, attended)
      change = layer.mlp.forward(second)
      stream = afterAttention
    })
    const [, hidden] = this.finalNorm.add(stream, change)
    return inputs.allHidden ? { hidden, allHidden: [...allHidden, hidden] } : { hidden }
  }
}

export const llama = defineModel<LlamaConfig>({
  type: 'llama',
  source: 'arXiv:2307.09288',
  config: schema,
  presets: {
    test: {
      vocabSize: 128,
      hiddenSize: 32,
      numLayers: 2,
      numHeads: 4,
      numKvHeads: 2,
      intermediateSize: 64,
      maxPositions: 64,
    },
    'smollm2-135m': {
      vocabSize: 49152,
      hiddenSize: 576,
      numLayers: 30,
      numHeads: 9,
      numKvHeads: 3,
      intermediateSize: 1536,
      maxPositions: 8192,
      normEps: 1e-5,
      ropeTheta: 100000,
      tiedEmbeddings: true,
    },
    'tinyllama-1.1b': { hiddenSize: 2048, numLayers: 22, numKvHeads: 4, intermediateSize: 5632, normEps: 1e-5 },
    'llama-2-7b': { maxPositions: 4096, normEps: 1e-5 },
  },
  build: (config) => new LlamaBody(config),
  facts: ({ hiddenSize, vocabSize, numLayers, initializerRange, tiedEmbeddings }) => ({
    hiddenSize,
    vocabSize,
    numLayers,
    maxPositions: undefined,
    initializerRange,
    tiedEmbeddings,
    causal: true,
  }),
  fromHf: (fields) =>
    schema.parse({
      vocabSize: fields.vocab_size,
      hiddenSize: fields.hidden_size,
      numLayers: fields.num_hidden_layers,
      numHeads: fields.num_attention_heads,
      numKvHeads: fields.num_key_value_heads ?? undefined,
      headDim: fields.head_dim ?? undefined,
      intermediateSize: fields.intermediate_size,
      activation: fields.hidden_act,
      maxPositions: fields.max_position_embeddings,
      normEps: fields.rms_norm_eps,
      ...fromHfRope(fields),
      attentionBias: fields.attention_bias,
      mlpBias: fields.mlp_bias,
      slidingWindow: fields.sliding_window ?? undefined,
      attentionDropout: fields.attention_dropout,
      initializerRange: fields.initializer_range,
      tiedEmbeddings: fields.tie_word_embeddings,
    }),
  toHf: (config) => ({
    model_type: config.slidingWindow > 0 ? 'mistral' : 'llama',
    vocab_size: config.vocabSize,
    hidden_size: config.hiddenSize,
    num_hidden_layers: config.numLayers,
    num_attention_heads: config.numHeads,
    num_key_value_heads: config.numKvHeads ?? config.numHeads,
    head_dim: config.headDim ?? config.hiddenSize / config.numHeads,
    intermediate_size: config.intermediateSize,
    hidden_act: config.activation,
    max_position_embeddings: config.maxPositions,
    rms_norm_eps: config.normEps,
    ...toHfRope(config),
    attention_bias: config.attentionBias,
    mlp_bias: config.mlpBias,
    ...(config.slidingWindow > 0 ? { sliding_window: config.slidingWindow } : {}),
    attention_dropout: config.attentionDropout,
    initializer_range: config.initializerRange,
    tie_word_embeddings: config.tiedEmbeddings,
  }),
  hfPrefix: 'model.',
  hfKeys: [
    { ours: 'embedTokens', theirs: 'embed_tokens' },
    { ours: 'layers.{i}.attentionNorm', theirs: 'layers.{i}.input_layernorm' },
    { ours: 'layers.{i}.attention.qProj', theirs: 'layers.{i}.self_attn.q_proj' },
    { ours: 'layers.{i}.attention.kProj', theirs: 'layers.{i}.self_attn.k_proj' },
    { ours: 'layers.{i}.attention.vProj', theirs: 'layers.{i}.self_attn.v_proj' },
    { ours: 'layers.{i}.attention.oProj', theirs: 'layers.{i}.self_attn.o_proj' },
    { ours: 'layers.{i}.mlpNorm', theirs: 'layers.{i}.post_attention_layernorm' },
    { ours: 'layers.{i}.mlp.gateProj', theirs: 'layers.{i}.mlp.gate_proj' },
    { ours: 'layers.{i}.mlp.upProj', theirs: 'layers.{i}.mlp.up_proj' },
    { ours: 'layers.{i}.mlp.downProj', theirs: 'layers.{i}.mlp.down_proj' },
    { ours: 'finalNorm', theirs: 'norm' },
  ],
})
