// GPT-NeoX and Pythia: a decoder with layer norms, heads that are rotated in part, and attention and feed-forward block that
// read the same input. @source arXiv:2204.06745, arXiv:2304.01373
import { z } from 'zod'
import { Attention, Dropout, Embedding, LayerNorm, Module, PlainMlp, RotaryTable } from '../nn/index.ts'
import { settings, sizes } from './config-fields.ts'
import { decoderIgnored } from './decoder.ts'
import { causalLm, embedding, questionAnswering, sequenceClassification, tokenClassification } from './heads/index.ts'
import { attentionContext, Body, type BodyInputs, type BodyOutputs, defineModel, positionsOf } from './model.ts'
import { runPreNormLayers } from './pre-norm-layers.ts'
import { partialRopeFields, partialRopeSettings, rotaryDimOf } from './rope-fields.ts'

const schema = z.strictObject({
  vocabSize: sizes.vocabSize.default(50432),
  hiddenSize: sizes.hiddenSize.default(6144),
  numLayers: sizes.numLayers.default(44),
  numHeads: sizes.numHeads.default(64),
  intermediateSize: sizes.intermediateSize.default(24576),
  activation: settings.activation.default('gelu'),
  maxPositions: sizes.maxPositions.default(2048),
  normEps: settings.normEps.default(1e-5),
  ...partialRopeSettings,
  partialRotaryFactor: partialRopeSettings.partialRotaryFactor.default(0.25),
  parallelResidual: z.boolean().default(true).describe('attention and feed-forward block read the same input'),
  attentionBias: z.boolean().default(true).describe('biases of the attention projections'),
  hiddenDropout: settings.hiddenDropout.removeDefault().default(0),
  attentionDropout: settings.attentionDropout.default(0),
  classifierDropout: settings.attentionDropout.default(0.1).describe('dropout before the output layer of token labels'),
  initializerRange: settings.initializerRange,
  tiedEmbeddings: settings.tiedEmbeddings.default(false),
})
type GptNeoxConfig = z.output<typeof schema>

class GptNeoxLayer extends Module {
  attentionNorm: LayerNorm
  attention: Attention
  mlpNorm: LayerNorm
  mlp: PlainMlp
  dropout: Dropout
  readonly parallel: boolean

  constructor(config: GptNeoxConfig) {
    super()
    const { hiddenSize: hidden, normEps: eps, intermediateSize: intermediate, activation } = config
    this.attentionNorm = new LayerNorm(hidden, { eps })
    this.attention = new Attention({
      hidden,
      heads: config.numHeads,
      bias: config.attentionBias,
      causal: true,
      dropout: config.attentionDropout,
    })
    this.mlpNorm = new LayerNorm(hidden, { eps })
    this.mlp = new PlainMlp({ hidden, intermediate, activation })
    this.dropout = new Dropout(config.hiddenDropout)
    this.parallel = config.parallelResidual
  }
}

/** GPT-NeoX below its head. */
export class GptNeoxBody extends Body {
  embedTokens: Embedding
  override dropout: Dropout
  layers: GptNeoxLayer[]
  finalNorm: LayerNorm
  readonly #rotary: RotaryTable

  constructor(config: GptNeoxConfig) {
    super()
    const { hiddenSize, numHeads, ropeTheta: theta, ropeScaling: scaling } = config
    this.embedTokens = new Embedding(config.vocabSize, hiddenSize)
    this.dropout = new Dropout(config.hiddenDropout)
    this.layers = Array.from({ length: config.numLayers }, () => new GptNeoxLayer(config))
    this.finalNorm = new LayerNorm(hiddenSize, { eps: config.normEps })
    const rotaryDim = rotaryDimOf(hiddenSize / numHeads, config.partialRotaryFactor, scaling)
    this.#rotary = new RotaryTable({ rotaryDim, theta, scaling })
  }

  /** Rotary positions of all layers. */
  rotaryOf(): RotaryTable {
    return this.#rotary
  }

  forward(inputs: BodyInputs): BodyOutputs {
    const context = { ...attentionContext(inputs), angles: this.#rotary.at(positionsOf(inputs)) }
    const embedded = this.dropout.forward(this.embedTokens.forward(inputs.inputIds))
    return runPreNormLayers(embedded, this.layers, this.finalNorm, inputs, () => context)
  }
}

const size = (numLayers: number, hiddenSize: number, numHeads: number) => ({
  numLayers,
  hiddenSize,
  numHeads,
  intermediateSize: 4 * hiddenSize,
})

export const gptNeox = defineModel({
  type: 'gpt-neox',
  hfType: 'gpt_neox',
  source: 'arXiv:2204.06745',
  config: schema,
  presets: {
    test: { ...size(2, 32, 4), vocabSize: 128, maxPositions: 64, partialRotaryFactor: 0.5 },
    'pythia-70m': { ...size(6, 512, 8), vocabSize: 50304 },
    'pythia-160m': { ...size(12, 768, 12), vocabSize: 50304 },
    'pythia-410m': { ...size(24, 1024, 16), vocabSize: 50304 },
    'pythia-1b': { ...size(16, 2048, 8), vocabSize: 50304 },
    '20b': {},
  },
  build: (config) => new GptNeoxBody(config),
  facts: (config) => ({ ...config, maxPositions: undefined, causal: true, sharesKeys: true }),
  hfFields: {
    vocabSize: 'vocab_size',
    hiddenSize: 'hidden_size',
    numLayers: 'num_hidden_layers',
    numHeads: 'num_attention_heads',
    intermediateSize: 'intermediate_size',
    activation: 'hidden_act',
    maxPositions: 'max_position_embeddings',
    normEps: 'layer_norm_eps',
    parallelResidual: 'use_parallel_residual',
    attentionBias: 'attention_bias',
    hiddenDropout: 'hidden_dropout',
    attentionDropout: 'attention_dropout',
    classifierDropout: 'classifier_dropout',
    initializerRange: 'initializer_range',
    tiedEmbeddings: 'tie_word_embeddings',
  },
  hfExtra: {
    /** Files from before transformers 5 have names of their own. */
    read: ({ rotary_emb_base: rope_theta, rotary_pct: partial_rotary_factor, ...fields }) =>
      partialRopeFields.read({ rope_theta, partial_rotary_factor, ...fields }),
    write: (config) => ({
      ...partialRopeFields.write(config),
      rotary_emb_base: config.ropeTheta,
      rotary_pct: config.partialRotaryFactor,
    }),
  },
  hfPrefix: 'gpt_neox.',
  hfKeys: ({ numHeads }) => [
    { ours: 'embedTokens', theirs: 'embed_in' },
    { ours: 'layers.{i}.attentionNorm', theirs: 'layers.{i}.input_layernorm' },
    {
      ours: ['layers.{i}.attention.qProj', 'layers.{i}.attention.kProj', 'layers.{i}.attention.vProj'],
      theirs: 'layers.{i}.attention.query_key_value',
      heads: numHeads,
    },
    { ours: 'layers.{i}.attention.oProj', theirs: 'layers.{i}.attention.dense' },
    { ours: 'layers.{i}.mlpNorm', theirs: 'layers.{i}.post_attention_layernorm' },
    { ours: 'layers.{i}.mlp.upProj', theirs: 'layers.{i}.mlp.dense_h_to_4h' },
    { ours: 'layers.{i}.mlp.downProj', theirs: 'layers.{i}.mlp.dense_4h_to_h' },
    { ours: 'finalNorm', theirs: 'final_layer_norm' },
  ],
  hfIgnored: [...decoderIgnored, /(^|\.)attention\.(masked_)?bias$/],
  heads: ({ classifierDropout }) => ({
    'causal-lm': causalLm('GPTNeoXForCausalLM', { output: 'embed_out', module: 'lm_head', alsoReads: ['lm_head'] }),
    'sequence-classification': sequenceClassification('GPTNeoXForSequenceClassification', {
      pooling: 'last',
      dropout: 0,
      output: 'score',
      bias: false,
    }),
    'token-classification': tokenClassification('GPTNeoXForTokenClassification', {
      dropout: classifierDropout,
      output: 'classifier',
    }),
    'question-answering': questionAnswering('GPTNeoXForQuestionAnswering', { dropout: 0 }),
    embedding: embedding('GPTNeoXModel'),
  }),
})
