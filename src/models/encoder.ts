// The encoder stack that BERT and its kin share: embeddings, a norm, blocks with a norm after each part. What differs between
// them (positions, segments, width of the embeddings) is given by the architecture's file.
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
} from '../nn/index.ts'
import type { Tensor } from '../tensor/index.ts'
import { attentionContext, Body, type BodyInputs, type BodyOutputs, type ReadTokens } from './model.ts'
import { layerRunner } from './recompute.ts'

export interface EncoderOptions {
  vocabSize: number
  hiddenSize: number
  numLayers: number
  numHeads: number
  intermediateSize: number
  activation: ActivationName
  /** Rows of the position table. */
  maxPositions: number
  /** Segments; 0 for none. */
  typeVocabSize: number
  /** Width of the embedding tables, projected to the hidden size where it differs. */
  embeddingSize?: number
  normEps: number
  hiddenDropout: number
  attentionDropout: number
  padTokenId?: number
}

class EncoderLayer extends Module {
  attention: Attention
  attentionNorm: LayerNorm
  mlp: PlainMlp
  mlpNorm: LayerNorm
  dropout: Dropout

  constructor(options: EncoderOptions) {
    super()
    const { hiddenSize: hidden, normEps: eps } = options
    this.attention = new Attention({ hidden, heads: options.numHeads, dropout: options.attentionDropout })
    this.attentionNorm = new LayerNorm(hidden, { eps })
    this.mlp = new PlainMlp({ hidden, intermediate: options.intermediateSize, activation: options.activation })
    this.mlpNorm = new LayerNorm(hidden, { eps })
    this.dropout = new Dropout(options.hiddenDropout)
  }

  /** @param source what the rows attend to, where it is more than themselves */
  forward(input: Tensor, context: AttentionContext, source?: Tensor): Tensor {
    const drop = (x: Tensor) => this.dropout.forward(x, context.generator)
    const mixed = this.attention.forward(input, context, source === undefined ? {} : { source })
    const [, attended] = this.attentionNorm.add(input, drop(mixed))
    return this.mlpNorm.add(attended, drop(this.mlp.forward(attended)))[1]
  }
}

export class EncoderBody extends Body {
  embedTokens: Embedding
  embedPositions: Embedding
  embedTypes?: Embedding
  embeddingNorm: LayerNorm
  embeddingProj?: Linear
  dropout: Dropout
  layers: EncoderLayer[]
  readonly #positions: (inputs: BodyInputs) => Tensor

  /** @param positions position ids of a batch, int64 [1|B,T] */
  constructor(options: EncoderOptions, positions: (inputs: BodyInputs) => Tensor) {
    super()
    const width = options.embeddingSize ?? options.hiddenSize
    this.embedTokens = new Embedding(options.vocabSize, width, { paddingIndex: options.padTokenId })
    this.embedPositions = new Embedding(options.maxPositions, width)
    if (options.typeVocabSize > 0) this.embedTypes = new Embedding(options.typeVocabSize, width)
    this.embeddingNorm = new LayerNorm(width, { eps: options.normEps })
    if (width !== options.hiddenSize) this.embeddingProj = new Linear(width, options.hiddenSize)
    this.dropout = new Dropout(options.hiddenDropout)
    this.layers = Array.from({ length: options.numLayers }, () => new EncoderLayer(options))
    this.#positions = positions
  }

  forward(inputs: BodyInputs): BodyOutputs {
    const context = attentionContext(inputs)
    let summed = this.embedTokens.forward(inputs.inputIds).add(this.embedPositions.forward(this.#positions(inputs)))
    if (this.embedTypes !== undefined)
      summed = summed.add(
        inputs.typeIds === undefined ? this.embedTypes.weight.select(0, 0) : this.embedTypes.forward(inputs.typeIds),
      )
    const embedded = this.dropout.forward(this.embeddingNorm.forward(summed), inputs.generator)
    let hidden = this.embeddingProj?.forward(embedded) ?? embedded
    const allHidden = [hidden]
    const run = layerRunner(inputs)
    const { starts, read } = inputs
    const onlyRead = read !== undefined && starts !== undefined && !inputs.allHidden
    this.layers.forEach((layer, i) => {
      const through =
        onlyRead && i === this.layers.length - 1
          ? (input: Tensor) => readThrough(layer, input, read, { ...context, keyStarts: starts })
          : (input: Tensor) => layer.forward(input, context)
      hidden = run(i, through, [hidden])
      allHidden.push(hidden)
    })
    return inputs.allHidden ? { hidden, allHidden } : { hidden, onlyRead }
  }
}

/** The layer's output at some tokens alone, [1,N,C] -> [1,M,C]; those see their whole documents. */
const readThrough = (
  layer: EncoderLayer,
  input: Tensor,
  { places, starts }: ReadTokens,
  context: AttentionContext,
): Tensor => layer.forward(input.indexSelect(1, places), { ...context, starts }, input)

/** Buffers that older files carry. */
export const encoderIgnored = [/(^|\.)embeddings\.(position_ids|token_type_ids)$/]

/** Config fields of BERT and its kin in config.json. */
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

/** Keys of the stack in the checkpoints of BERT and its kin. */
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
