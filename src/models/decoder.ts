// The decoder stack of the Llama family: RMS norms around attention and feed-forward block, rotary positions, grouped-query
// attention. Each architecture's file sets biases, places of norms, positions by layer, and sliding windows.
import { ConfigError } from '../core/index.ts'
import {
  type ActivationName,
  Attention,
  activations,
  BlockMatrix,
  Dropout,
  Embedding,
  GatedMlp,
  Linear,
  Module,
  RmsNorm,
  type RopeScaling,
  RotaryTable,
  SparseMlp,
} from '../nn/index.ts'
import { DecoderStep, type StepLayer } from './decoder-step.ts'
import {
  causalLm,
  embedding,
  type HeadEntries,
  questionAnswering,
  sequenceClassification,
  tokenClassification,
} from './heads/index.ts'
import { attentionContext, Body, type BodyInputs, type BodyOutputs } from './model.ts'
import { positionsOf } from './positions.ts'
import { runPreNormLayers } from './pre-norm-layers.ts'
import { rotaryDimOf } from './rope-fields.ts'
import { currentRouterBalance } from './router-balance.ts'

/** Settings of the stack. */
export interface DecoderOptions {
  vocabSize: number
  hiddenSize: number
  numLayers: number
  numHeads: number
  numKvHeads?: number
  headDim?: number
  intermediateSize: number
  activation: ActivationName
  normEps: number
  ropeTheta: number
  ropeScaling: RopeScaling
  /** Share of the elements of a head that are rotated (default: 1). */
  partialRotaryFactor?: number
  qkvBias: boolean
  outputBias: boolean
  mlpBias: boolean
  /** RMS norms of each head's queries and keys. */
  headNorms: boolean
  /** RMS norms of queries and keys over all heads together. */
  projectionNorms?: boolean
  /** Where the norms of attention and feed-forward block are (default: before). */
  norms?: 'before' | 'after' | 'both'
  /** Added to the stored weights of the norms (default: 0). */
  normOffset?: number
  /** Factor of the token embeddings (default: 1). */
  embeddingScale?: number
  /** Factor of the attention scores (default: 1/sqrt(headDim)). */
  attentionScale?: number
  /** Soft cap of the scaled attention scores (default: 0, none). */
  attentionSoftcap?: number
  /** The rotary positions of a layer: none, those of `ropeTheta`, or those of `localRopeTheta` (default: all `global`). */
  positionsOf?: (layer: number) => 'none' | 'global' | 'local'
  localRopeTheta?: number
  /** Number of keys that a layer's queries see, their own included; 0 for all. */
  slidingWindow: (layer: number) => number
  attentionDropout: number
  /** Dropout after the embeddings (default: 0). */
  embeddingDropout?: number
  /** Dropout after attention and feed-forward block (default: 0). */
  hiddenDropout?: number
  /** Mixtures of experts in place of feed-forward blocks (default: none). */
  experts?: ExpertOptions
}

/** Mixtures of experts. */
interface ExpertOptions {
  count: number
  /** Experts per token. */
  perToken: number
  /** Width of each expert. */
  intermediateSize: number
  /** Divide the weights of a token's experts by their sum. */
  normalize: boolean
  /** Whether a layer has one (default: all). */
  inLayer?: (layer: number) => boolean
}

/** A layer of the stack. */
export class DecoderLayer extends Module {
  attentionNorm?: RmsNorm
  attention: Attention
  attentionOutputNorm?: RmsNorm
  mlpNorm?: RmsNorm
  mlp: GatedMlp | SparseMlp
  mlpOutputNorm?: RmsNorm
  dropout: Dropout

  constructor(options: DecoderOptions, number: number) {
    super()
    const { hiddenSize: hidden, normEps: eps, normOffset: offset, norms = 'before', projectionNorms = false } = options
    const headDim = options.headDim ?? hidden / options.numHeads
    const norm = (size: number) => new RmsNorm(size, { eps, offset })
    const headNorm = (heads: number) => {
      if (projectionNorms) return norm(heads * headDim)
      return options.headNorms ? norm(headDim) : undefined
    }
    if (norms !== 'after') this.attentionNorm = norm(hidden)
    this.attention = new Attention({
      hidden,
      heads: options.numHeads,
      kvHeads: options.numKvHeads,
      headDim,
      bias: options.qkvBias,
      outputBias: options.outputBias,
      causal: true,
      window: options.slidingWindow(number),
      dropout: options.attentionDropout,
      scale: options.attentionScale,
      softcap: options.attentionSoftcap,
      queryNorm: headNorm(options.numHeads),
      keyNorm: headNorm(options.numKvHeads ?? options.numHeads),
      normsAllHeads: projectionNorms,
    })
    if (norms !== 'before') this.attentionOutputNorm = norm(hidden)
    if (norms !== 'after') this.mlpNorm = norm(hidden)
    this.mlp = feedForward(options, number)
    if (norms !== 'before') this.mlpOutputNorm = norm(hidden)
    this.dropout = new Dropout(options.hiddenDropout ?? 0)
  }
}

const feedForward = (options: DecoderOptions, layer: number): GatedMlp | SparseMlp => {
  const { hiddenSize: hidden, activation, experts } = options
  if (experts === undefined || experts.inLayer?.(layer) === false)
    return new GatedMlp({ hidden, intermediate: options.intermediateSize, activation, bias: options.mlpBias })
  const { count, perToken, intermediateSize: intermediate, normalize } = experts
  if (perToken > count)
    throw new ConfigError(`Expected at most ${count} experts per token, the number of experts, got ${perToken}.`)
  return new SparseMlp({ hidden, intermediate, activation, experts: count, perToken, normalize })
}

/** Whether the fused decoding step computes such layers. */
const fusable = (options: DecoderOptions): boolean =>
  activations[options.activation] === activations.silu && plainLayers(options)

/** Whether layers are as those of Llama. */
const plainLayers = (options: DecoderOptions): boolean =>
  (options.norms ?? 'before') === 'before' &&
  !(options.projectionNorms ?? false) &&
  (options.normOffset ?? 0) === 0 &&
  (options.attentionSoftcap ?? 0) === 0 &&
  options.positionsOf === undefined

/** The stack as a body. */
export class DecoderBody extends Body {
  embedTokens: Embedding
  override dropout: Dropout
  layers: DecoderLayer[]
  finalNorm: RmsNorm
  readonly #rotary: RotaryTable
  readonly #localRotary: RotaryTable
  readonly #positions: readonly ('none' | 'global' | 'local')[]
  readonly #embeddingScale: number
  readonly #step: DecoderStep
  readonly #fusable: boolean
  readonly #expertsPerToken: number

  constructor(options: DecoderOptions) {
    super()
    this.embedTokens = new Embedding(options.vocabSize, options.hiddenSize)
    this.dropout = new Dropout(options.embeddingDropout ?? 0)
    const windows = Array.from({ length: options.numLayers }, (_, layer) => options.slidingWindow(layer))
    this.layers = windows.map((_, layer) => new DecoderLayer(options, layer))
    this.finalNorm = new RmsNorm(options.hiddenSize, { eps: options.normEps, offset: options.normOffset })
    const headDim = options.headDim ?? options.hiddenSize / options.numHeads
    const rotaryDim = rotaryDimOf(headDim, options.partialRotaryFactor ?? 1, options.ropeScaling)
    this.#rotary = new RotaryTable({ rotaryDim, theta: options.ropeTheta, scaling: options.ropeScaling })
    const theta = options.localRopeTheta ?? options.ropeTheta
    this.#localRotary = new RotaryTable({ rotaryDim, theta, scaling: { kind: 'default' } })
    this.#positions = windows.map((_, layer) => options.positionsOf?.(layer) ?? 'global')
    this.#embeddingScale = options.embeddingScale ?? 1
    const scale = options.attentionScale ?? headDim ** -0.5
    this.#step = new DecoderStep({ eps: options.normEps, windows, scale })
    this.#fusable = fusable(options)
    this.#expertsPerToken = options.experts?.perToken ?? 0
  }

  /** Factor of the token embeddings. */
  get embeddingScale(): number {
    return this.#embeddingScale
  }

  /** Rotary positions of a layer; none where it has no positions. */
  rotaryOf(layer: number): RotaryTable | undefined {
    return { none: undefined, global: this.#rotary, local: this.#localRotary }[this.#positions[layer]]
  }

  forward(inputs: BodyInputs): BodyOutputs {
    const positions = positionsOf(inputs)
    const context = attentionContext(inputs)
    const embedded = this.dropout.forward(this.embedTokens.forward(inputs.inputIds))
    const stream = this.#embeddingScale === 1 ? embedded : embedded.mul(this.#embeddingScale)
    const plan =
      inputs.allHidden || this.training ? undefined : this.#step.plan(inputs, this.layers, () => this.#plainLayers())
    if (plan !== undefined && inputs.cache !== undefined) {
      if (this.embedTokens.blocks === undefined) this.#step.requestLargePages(this.embedTokens.weight)
      const wide = stream.dtype === 'float32' ? stream : stream.to('float32')
      // Padded rows may have one position for all of them.
      const angles =
        inputs.starts === undefined
          ? { ...this.#rotary.at(positions), positions: null }
          : { ...this.#rotary.tablesAt(positions), positions }
      const after = this.#step.run(wide, plan, inputs.cache, { ...angles, mask: context.mask })
      if (after !== undefined) return { hidden: this.finalNorm.forward(after) }
    }
    const local = this.#positions.includes('local') ? this.#localRotary.at(positions) : undefined
    const angles = { none: undefined, global: this.#rotary.at(positions), local }
    const contexts = this.#positions.map((kind) => ({ ...context, angles: angles[kind] }))
    const outputs = runPreNormLayers(stream, this.layers, this.finalNorm, inputs, (layer) => contexts[layer])
    currentRouterBalance()?.add(outputs.routerLogits ?? [], this.#expertsPerToken, inputs)
    return outputs
  }

  /** The layers, unless an adapter that is not of low rank or another module replaced a part of one. */
  #plainLayers(): readonly StepLayer[] | undefined {
    const kinds = new Set<unknown>([DecoderLayer, RmsNorm, Attention, GatedMlp, Dropout])
    const plainLinear = (layer: Linear) => {
      const adapted = [...layer.children()].length > 0
      const low = !adapted || layer.lowRank?.(1) !== undefined
      const { quantizedMatrix: matrix } = layer
      return layer.constructor === Linear && (matrix === undefined || matrix instanceof BlockMatrix) && low
    }
    const plain = (module: Module): boolean =>
      module instanceof Linear
        ? plainLinear(module)
        : kinds.has(module.constructor) && [...module.children()].every(([, child]) => plain(child))
    if (!this.#fusable || !this.layers.every(plain)) return undefined
    // Layers that can be fused have both norms and one feed-forward block.
    return this.layers.flatMap(({ attentionNorm, attention, mlpNorm, mlp }) =>
      attentionNorm === undefined || mlpNorm === undefined || !(mlp instanceof GatedMlp)
        ? []
        : [{ attentionNorm, attention, mlpNorm, mlp }],
    )
  }
}

/** Buffers in older checkpoints. */
export const decoderIgnored = [/rotary_emb\.inv_freq$/]

/**
 * Heads of the Llama family.
 * @param family first part of the class names
 * @param answers prefix of the body's keys in the question answering class
 */
export const decoderHeads = (family: string, answers: string): HeadEntries => ({
  'causal-lm': causalLm(`${family}ForCausalLM`),
  'sequence-classification': sequenceClassification(`${family}ForSequenceClassification`, {
    pooling: 'last',
    dropout: 0,
    output: 'score',
    bias: false,
  }),
  'token-classification': tokenClassification(`${family}ForTokenClassification`, { dropout: 0.1, output: 'score' }),
  'question-answering': questionAnswering(`${family}ForQuestionAnswering`, { dropout: 0, prefix: answers }),
  embedding: embedding(`${family}Model`),
})

/** Names in config.json of the settings of the Llama family. */
export const decoderFields = {
  vocabSize: 'vocab_size',
  hiddenSize: 'hidden_size',
  numLayers: 'num_hidden_layers',
  numHeads: 'num_attention_heads',
  numKvHeads: 'num_key_value_heads',
  headDim: 'head_dim',
  intermediateSize: 'intermediate_size',
  activation: 'hidden_act',
  maxPositions: 'max_position_embeddings',
  normEps: 'rms_norm_eps',
  attentionDropout: 'attention_dropout',
  initializerRange: 'initializer_range',
  tiedEmbeddings: 'tie_word_embeddings',
} as const

/** The sliding window in config.json, where null means all keys; 0 would be a window of no key. */
export const windowField = ({ slidingWindow }: { slidingWindow: number }): Record<string, unknown> => ({
  sliding_window: slidingWindow === 0 ? null : slidingWindow,
})

/** Names of the stack's parameters in Hugging Face checkpoints. */
export const decoderKeys = [
  { ours: 'embedTokens', theirs: 'embed_tokens' },
  { ours: 'layers.{i}.attentionNorm', theirs: 'layers.{i}.input_layernorm' },
  { ours: 'layers.{i}.attention.qProj', theirs: 'layers.{i}.self_attn.q_proj' },
  { ours: 'layers.{i}.attention.kProj', theirs: 'layers.{i}.self_attn.k_proj' },
  { ours: 'layers.{i}.attention.vProj', theirs: 'layers.{i}.self_attn.v_proj' },
  { ours: 'layers.{i}.attention.oProj', theirs: 'layers.{i}.self_attn.o_proj' },
  { ours: 'layers.{i}.attention.queryNorm', theirs: 'layers.{i}.self_attn.q_norm' },
  { ours: 'layers.{i}.attention.keyNorm', theirs: 'layers.{i}.self_attn.k_norm' },
  { ours: 'layers.{i}.mlpNorm', theirs: 'layers.{i}.post_attention_layernorm' },
  { ours: 'layers.{i}.mlp.gateProj', theirs: 'layers.{i}.mlp.gate_proj' },
  { ours: 'layers.{i}.mlp.upProj', theirs: 'layers.{i}.mlp.up_proj' },
  { ours: 'layers.{i}.mlp.downProj', theirs: 'layers.{i}.mlp.down_proj' },
  { ours: 'finalNorm', theirs: 'norm' },
] as const
