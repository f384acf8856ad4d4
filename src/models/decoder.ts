// The decoder stack that Llama and its kin share: RMS norms before each part, rotary positions, gated blocks, grouped heads. Biases
// and norms of queries and keys are given by the architecture's file.
import {
  type ActivationName,
  Attention,
  activations,
  Dropout,
  Embedding,
  GatedMlp,
  Linear,
  Module,
  RmsNorm,
  type RopeScaling,
  RotaryTable,
} from '../nn/index.ts'
import type { Tensor } from '../tensor/index.ts'
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
import { layerRunner } from './recompute.ts'

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
  qkvBias: boolean
  outputBias: boolean
  mlpBias: boolean
  /** RMS norms over each head's queries and keys. */
  headNorms: boolean
  slidingWindow: number
  attentionDropout: number
}

class DecoderLayer extends Module {
  attentionNorm: RmsNorm
  attention: Attention
  mlpNorm: RmsNorm
  mlp: GatedMlp

  constructor(options: DecoderOptions) {
    super()
    const { hiddenSize: hidden, normEps: eps } = options
    const headDim = options.headDim ?? hidden / options.numHeads
    const headNorm = () => (options.headNorms ? new RmsNorm(headDim, { eps }) : undefined)
    this.attentionNorm = new RmsNorm(hidden, { eps })
    this.attention = new Attention({
      hidden,
      heads: options.numHeads,
      kvHeads: options.numKvHeads,
      headDim,
      bias: options.qkvBias,
      outputBias: options.outputBias,
      causal: true,
      window: options.slidingWindow,
      dropout: options.attentionDropout,
      queryNorm: headNorm(),
      keyNorm: headNorm(),
    })
    this.mlpNorm = new RmsNorm(hidden, { eps })
    this.mlp = new GatedMlp({
      hidden,
      intermediate: options.intermediateSize,
      activation: options.activation,
      bias: options.mlpBias,
    })
  }
}

export class DecoderBody extends Body {
  embedTokens: Embedding
  layers: DecoderLayer[]
  finalNorm: RmsNorm
  readonly #rotary: RotaryTable
  readonly #step: DecoderStep
  readonly #fusable: boolean

  constructor(options: DecoderOptions) {
    super()
    this.embedTokens = new Embedding(options.vocabSize, options.hiddenSize)
    this.layers = Array.from({ length: options.numLayers }, () => new DecoderLayer(options))
    this.finalNorm = new RmsNorm(options.hiddenSize, { eps: options.normEps })
    const rotaryDim = options.headDim ?? options.hiddenSize / options.numHeads
    this.#rotary = new RotaryTable({ rotaryDim, theta: options.ropeTheta, scaling: options.ropeScaling })
    this.#step = new DecoderStep({ eps: options.normEps, window: options.slidingWindow, scale: rotaryDim ** -0.5 })
    this.#fusable = activations[options.activation] === activations.silu
  }

  forward(inputs: BodyInputs): BodyOutputs {
    const context = { ...attentionContext(inputs), angles: this.#rotary.at(positionsOf(inputs)) }
    let stream = this.embedTokens.forward(inputs.inputIds)
    const parts = inputs.allHidden
      ? undefined
      : this.#step.plan(inputs.cache, inputs.inputIds, () => this.#plainLayers())
    if (parts !== undefined && inputs.cache !== undefined) {
      this.#step.settle(this.embedTokens.weight)
      const wide = stream.dtype === 'float32' ? stream : stream.to('float32')
      const after = this.#step.run(wide, parts, inputs.cache, context.angles, context.mask)
      if (after !== undefined) return { hidden: this.finalNorm.forward(after) }
    }
    let change: Tensor | null = null
    const allHidden: Tensor[] = []
    const run = layerRunner(inputs)
    this.layers.forEach((layer, i) => {
      const forward = (residual: Tensor, added?: Tensor): Tensor[] => {
        const [afterMlp, first] = layer.attentionNorm.add(residual, added ?? null)
        const attended = layer.attention.forward(first, context, { cache: inputs.cache?.[i] })
        const [afterAttention, second] = layer.mlpNorm.add(afterMlp, attended)
        return [afterMlp, afterAttention, layer.mlp.forward(second)]
      }
      const outputs = run(i, forward, change === null ? [stream] : [stream, change])
      if (inputs.allHidden) allHidden.push(outputs[0])
      stream = outputs[1]
      change = outputs[2]
    })
    const [, hidden] = this.finalNorm.add(stream, change)
    return inputs.allHidden ? { hidden, allHidden: [...allHidden, hidden] } : { hidden }
  }

  /** The layers, where each is as it was built. */
  #plainLayers(): readonly StepLayer[] | undefined {
    const kinds = new Set<unknown>([DecoderLayer, RmsNorm, Attention, GatedMlp, Linear, Dropout])
    const asBuilt = (module: Module) =>
      kinds.has(module.constructor) && !(module instanceof Linear && module.frozen !== undefined)
    const plain = (layer: Module) => [...layer.modules()].every(([, module]) => asBuilt(module))
    return this.#fusable && !this.training && this.layers.every(plain) ? this.layers : undefined
  }
}

/** Buffers that older files carry. */
export const decoderIgnored = [/rotary_emb\.inv_freq$/]

/** Heads of Llama and its kin, by the beginning of their classes' names. @param answers prefix of the question answering class */
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

/** Config fields of Llama and its kin in config.json. */
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

/** Keys of the stack in Hugging Face checkpoints, the same for all of its kin. */
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
