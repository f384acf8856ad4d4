// The encoder stack of the BERT family: embeddings, a norm, and layers with a norm after attention and feed-forward block.
// Each architecture's file sets positions, segments and the width of the embeddings.
import { ConfigError } from '../core/index.ts'
import {
  type ActivationName,
  Attention,
  type AttentionContext,
  Dropout,
  Embedding,
  LayerNorm,
  Linear,
  Module,
  PlainMlp,
  RelativeBias,
} from '../nn/index.ts'
import { gradEnabled, prepareEncoderLayers, type Tensor } from '../tensor/index.ts'
import { type FusedEncoderPlan, planEncoderLayers, runEncoderLayers } from './encoder-layers.ts'
import { PreparedWeights, SeenModules } from './fused-weights.ts'
import {
  type ClassifierShape,
  embedding,
  type HeadEntries,
  type MaskedLmShape,
  maskedLm,
  multipleChoice,
  questionAnswering,
  sequenceClassification,
  tokenClassification,
} from './heads/index.ts'
import { attentionContext, Body, type BodyInputs, type BodyOutputs, type ReadTokens, refusePacking } from './model.ts'
import { currentLayerWeights, layerRunner } from './recompute.ts'

/** Settings of the stack. */
export interface EncoderOptions {
  vocabSize: number
  hiddenSize: number
  numLayers: number
  numHeads: number
  intermediateSize: number
  activation: ActivationName
  /** Rows of the position table. */
  maxPositions: number
  /** Number of segment ids; 0 for no segment embeddings. */
  typeVocabSize: number
  /** Width of the embedding tables (default: the hidden size); another one is projected to the hidden size. */
  embeddingSize?: number
  normEps: number
  hiddenDropout: number
  attentionDropout: number
  padTokenId?: number
  /** Positions count from the id of padding, tokens that are no padding only (RoBERTa); default: from 0, all tokens. */
  positionsFollowPadding?: boolean
  /** Project the embeddings also where they are as wide as the hidden size (ALBERT). */
  projectsEmbeddings?: boolean
  /** Distinct layers, each used for equally many layers in a row (ALBERT; default: numLayers, all distinct). */
  layerGroups?: number
  /** Dropout of what the feed-forward block adds (default: true). */
  dropsMlp?: boolean
  /** Learned bias of all layers' attention scores by distance (MPNet). Documents cannot be packed then. */
  relativeBias?: { buckets: number; maxDistance: number }
}

export type EncoderLayerOptions = Pick<
  EncoderOptions,
  | 'hiddenSize'
  | 'numHeads'
  | 'intermediateSize'
  | 'activation'
  | 'normEps'
  | 'hiddenDropout'
  | 'attentionDropout'
  | 'dropsMlp'
>

/** A layer of the stack. */
export class EncoderLayer extends Module {
  attention: Attention
  attentionNorm: LayerNorm
  mlp: PlainMlp
  mlpNorm: LayerNorm
  dropout: Dropout
  readonly #dropsMlp: boolean

  /** @param attention another attention layer */
  constructor(options: EncoderLayerOptions, attention?: Attention) {
    super()
    const { hiddenSize: hidden, normEps: eps, numHeads: heads, attentionDropout: dropout } = options
    this.attention = attention ?? new Attention({ hidden, heads, dropout })
    this.attentionNorm = new LayerNorm(hidden, { eps })
    this.mlp = new PlainMlp({ hidden, intermediate: options.intermediateSize, activation: options.activation })
    this.mlpNorm = new LayerNorm(hidden, { eps })
    this.dropout = new Dropout(options.hiddenDropout)
    this.#dropsMlp = options.dropsMlp ?? true
  }

  /** @param source tokens to attend to, [B,S,C] (default: the input) */
  forward(input: Tensor, context: AttentionContext, source?: Tensor): Tensor {
    const drop = (x: Tensor) => this.dropout.forward(x)
    const mixed = this.attention.forward(input, context, source === undefined ? {} : { source })
    const [, attended] = this.attentionNorm.add(input, drop(mixed))
    const widened = this.mlp.forward(attended)
    return this.mlpNorm.add(attended, this.#dropsMlp ? drop(widened) : widened)[1]
  }
}

/** The stack as a body. */
export class EncoderBody extends Body {
  embedTokens: Embedding
  embedPositions: Embedding
  embedTypes?: Embedding
  embeddingNorm: LayerNorm
  embeddingProj?: Linear
  override dropout: Dropout
  relativeBias?: RelativeBias
  layers: EncoderLayer[]
  readonly #numLayers: number
  /** The plan of layers without adapters, as long as they stay so. */
  #bare: { layers: SeenModules; plan: FusedEncoderPlan } | undefined
  readonly #prepared = new PreparedWeights(prepareEncoderLayers)
  readonly #positions: (inputs: BodyInputs) => Tensor
  /** Position of padding, where others count from it; undefined where all tokens count from 0. */
  readonly paddingPosition: number | undefined

  /** @param positions position ids of a batch, int64 [1|B,T] */
  constructor(options: EncoderOptions, positions: (inputs: BodyInputs) => Tensor) {
    super()
    const width = options.embeddingSize ?? options.hiddenSize
    this.embedTokens = new Embedding(options.vocabSize, width, { paddingIndex: options.padTokenId })
    this.embedPositions = new Embedding(options.maxPositions, width)
    if (options.typeVocabSize > 0) this.embedTypes = new Embedding(options.typeVocabSize, width)
    this.embeddingNorm = new LayerNorm(width, { eps: options.normEps })
    if (width !== options.hiddenSize || options.projectsEmbeddings)
      this.embeddingProj = new Linear(width, options.hiddenSize)
    this.dropout = new Dropout(options.hiddenDropout)
    if (options.relativeBias !== undefined)
      this.relativeBias = new RelativeBias({ ...options.relativeBias, heads: options.numHeads, bidirectional: true })
    this.layers = Array.from({ length: options.layerGroups ?? options.numLayers }, () => new EncoderLayer(options))
    this.#numLayers = options.numLayers
    this.#positions = positions
    this.paddingPosition = options.positionsFollowPadding ? options.padTokenId : undefined
  }

  /** The layers in the order in which they compute: shared ones several times. */
  get computedLayers(): readonly EncoderLayer[] {
    const count = this.#numLayers
    return Array.from({ length: count }, (_, i) => this.layers[Math.floor((i * this.layers.length) / count)])
  }

  forward(inputs: BodyInputs): BodyOutputs {
    if (this.relativeBias !== undefined && inputs.starts !== undefined) refusePacking('Its relative bias')
    const context = attentionContext(inputs)
    let summed = this.embedTokens.forward(inputs.inputIds).add(this.embedPositions.forward(this.#positions(inputs)))
    if (this.embedTypes !== undefined)
      summed = summed.add(
        inputs.typeIds === undefined ? this.embedTypes.weight.select(0, 0) : this.embedTypes.forward(inputs.typeIds),
      )
    const embedded = this.dropout.forward(this.embeddingNorm.forward(summed))
    let hidden = this.embeddingProj?.forward(embedded) ?? embedded
    const { starts, read } = inputs
    const onlyRead = read !== undefined && starts !== undefined && !inputs.allHidden
    const plan = this.#fusedPlan(hidden, inputs)
    if (plan !== undefined)
      return { hidden: runEncoderLayers(hidden, plan, this.#prepared, context, onlyRead ? read : undefined), onlyRead }
    const allHidden = [hidden]
    const run = layerRunner(inputs)
    // A tensor with history is an input of the layer, not captured: recomputing must not run its backward again.
    const length = inputs.inputIds.shape[1]
    const shared = this.relativeBias === undefined ? [] : [this.relativeBias.forward(length, length)]
    this.computedLayers.forEach((layer, i) => {
      const through =
        onlyRead && i === this.#numLayers - 1
          ? (input: Tensor) => forwardSelected(layer, input, read, { ...context, keyStarts: starts })
          : (input: Tensor, bias?: Tensor) => layer.forward(input, { ...context, bias })
      hidden = run(i, layer, through, [hidden, ...shared])
      allHidden.push(hidden)
    })
    return inputs.allHidden ? { hidden, allHidden } : { hidden, onlyRead }
  }

  /** The layers for one fused call, where the batch needs nothing of them that the call does not have. */
  #fusedPlan(hidden: Tensor, { allHidden, sharedKeys }: BodyInputs): FusedEncoderPlan | undefined {
    if (allHidden || sharedKeys !== undefined || this.relativeBias !== undefined) return undefined
    const layers = this.computedLayers
    if (hidden.dtype !== layers[0]?.attentionNorm.weight.dtype) return undefined
    if (gradEnabled() || currentLayerWeights() !== undefined) return undefined
    if (this.#bare?.layers.are(layers) === true) return this.#bare.plan
    const plan = planEncoderLayers(layers, EncoderLayer)
    const seen = plan === undefined ? undefined : SeenModules.of(layers)
    this.#bare = plan === undefined || seen === undefined ? undefined : { layers: seen, plan }
    return plan
  }
}

/** The layer's output at the selected tokens only, [1,N,C] -> [1,M,C]; they attend to their whole documents. */
const forwardSelected = (
  layer: EncoderLayer,
  input: Tensor,
  { places, starts }: ReadTokens,
  context: AttentionContext,
): Tensor => layer.forward(input.indexSelect(1, places), { ...context, starts }, input)

interface EncoderHeadShapes {
  masked: MaskedLmShape
  classifier: ClassifierShape
  /** Head of multiple choice (default: as the classifier). */
  choice?: ClassifierShape
  /** Dropout before the output layer of token labels. */
  dropout: number
  /** Dropout before the output layer of answers (default: 0). */
  answerDropout?: number
  pretraining?: HeadEntries
}

/** Heads of the BERT family. @param family first part of the class names */
export const encoderHeads = (family: string, shapes: EncoderHeadShapes): HeadEntries => {
  const { masked, classifier, choice = classifier, dropout, answerDropout = 0, pretraining } = shapes
  return {
    'masked-lm': maskedLm(`${family}ForMaskedLM`, masked),
    ...pretraining,
    'sequence-classification': sequenceClassification(`${family}ForSequenceClassification`, classifier),
    'multiple-choice': multipleChoice(`${family}ForMultipleChoice`, choice),
    'token-classification': tokenClassification(`${family}ForTokenClassification`, { dropout, output: 'classifier' }),
    'question-answering': questionAnswering(`${family}ForQuestionAnswering`, { dropout: answerDropout }),
    embedding: embedding(`${family}Model`),
  }
}

/** Buffers in older checkpoints. */
export const encoderIgnored = [/(^|\.)embeddings\.(position_ids|token_type_ids)$/]

/** Names in config.json of the settings of the BERT family. */
export const encoderFields = {
  vocabSize: 'vocab_size',
  hiddenSize: 'hidden_size',
  numLayers: 'num_hidden_layers',
  numHeads: 'num_attention_heads',
  intermediateSize: 'intermediate_size',
  activation: 'hidden_act',
  maxPositions: 'max_position_embeddings',
  typeVocabSize: 'type_vocab_size',
  normEps: 'layer_norm_eps',
  hiddenDropout: 'hidden_dropout_prob',
  attentionDropout: 'attention_probs_dropout_prob',
  initializerRange: 'initializer_range',
  padTokenId: 'pad_token_id',
  tiedEmbeddings: 'tie_word_embeddings',
} as const

/**
 * Refuses an encoder that transformers would use as a decoder, whose tokens see earlier tokens only; for `hfExtra`.
 * @throws ConfigError
 */
export const refuseDecoders = {
  read: ({ model_type, is_decoder, add_cross_attention }: Record<string, unknown>): Record<string, unknown> => {
    const field = is_decoder === true ? 'is_decoder' : add_cross_attention === true ? 'add_cross_attention' : undefined
    if (field !== undefined)
      throw new ConfigError(
        `Expected false for \`${field}\` in config.json, got true. ${model_type} is supported as an encoder only: open a decoder such as gpt2.`,
      )
    return {}
  },
  write: (): Record<string, unknown> => ({}),
}

/** What transformers takes where config.json has no `layer_norm_eps`, though published models of RoBERTa and MPNet have 1e-5. */
export const normEpsOf = ({ layer_norm_eps: given }: Record<string, unknown>): unknown => given ?? 1e-12

/** Names of the stack's parameters in Hugging Face checkpoints. */
export const encoderKeys = [
  { ours: 'embedTokens', theirs: 'embeddings.word_embeddings' },
  { ours: 'embedPositions', theirs: 'embeddings.position_embeddings' },
  { ours: 'embedTypes', theirs: 'embeddings.token_type_embeddings' },
  { ours: 'embeddingNorm', theirs: 'embeddings.LayerNorm' },
  { ours: 'embeddingProj', theirs: 'embeddings_project' },
  { ours: 'layers.{i}.attention.qProj', theirs: 'encoder.layer.{i}.attention.self.query' },
  { ours: 'layers.{i}.attention.kProj', theirs: 'encoder.layer.{i}.attention.self.key' },
  { ours: 'layers.{i}.attention.vProj', theirs: 'encoder.layer.{i}.attention.self.value' },
  { ours: 'layers.{i}.attention.oProj', theirs: 'encoder.layer.{i}.attention.output.dense' },
  { ours: 'layers.{i}.attentionNorm', theirs: 'encoder.layer.{i}.attention.output.LayerNorm' },
  { ours: 'layers.{i}.mlp.upProj', theirs: 'encoder.layer.{i}.intermediate.dense' },
  { ours: 'layers.{i}.mlp.downProj', theirs: 'encoder.layer.{i}.output.dense' },
  { ours: 'layers.{i}.mlpNorm', theirs: 'encoder.layer.{i}.output.LayerNorm' },
] as const
