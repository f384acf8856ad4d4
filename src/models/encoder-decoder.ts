// The stacks of the BART family: an encoder and a decoder with learned positions, and LayerNorms after attention and
// feed-forward block (BART) or before them (mBART).
import {
  type ActivationName,
  Attention,
  type AttentionContext,
  Dropout,
  Embedding,
  LayerNorm,
  Module,
  PlainMlp,
} from '../nn/index.ts'
import { arange, type Tensor } from '../tensor/index.ts'
import { Body, type BodyInputs, type BodyOutputs, type BuildOptions, layOutDropout, refusePacking } from './model.ts'
import { layerRunner } from './recompute.ts'

/** Settings of both stacks. */
export interface EncoderDecoderOptions {
  vocabSize: number
  hiddenSize: number
  numLayers: number
  numHeads: number
  intermediateSize: number
  numDecoderLayers: number
  numDecoderHeads: number
  decoderIntermediateSize: number
  activation: ActivationName
  /** Maximum input length; the table has two more rows. */
  maxPositions: number
  /** Multiply the token embeddings by the root of the hidden size. */
  scaleEmbeddings: boolean
  /** Norms before attention and feed-forward block, and one after the last layer. */
  normsBefore: boolean
  hiddenDropout: number
  attentionDropout: number
  activationDropout: number
  padTokenId: number
}

/** Rows of the position table before the first position. */
export const firstPosition = 2

class CrossLayer extends Module {
  attention: Attention
  attentionNorm: LayerNorm
  crossAttention?: Attention
  crossNorm?: LayerNorm
  mlp: PlainMlp
  mlpNorm: LayerNorm
  dropout: Dropout
  readonly #normsBefore: boolean

  constructor(options: EncoderDecoderOptions, decoder: boolean) {
    super()
    const { hiddenSize: hidden, attentionDropout, activation, activationDropout: innerDropout } = options
    const heads = decoder ? options.numDecoderHeads : options.numHeads
    const intermediate = decoder ? options.decoderIntermediateSize : options.intermediateSize
    this.attention = new Attention({ hidden, heads, dropout: attentionDropout, causal: decoder })
    this.attentionNorm = new LayerNorm(hidden)
    if (decoder) {
      this.crossAttention = new Attention({ hidden, heads, dropout: attentionDropout })
      this.crossNorm = new LayerNorm(hidden)
    }
    this.mlp = new PlainMlp({ hidden, intermediate, activation, innerDropout })
    this.mlpNorm = new LayerNorm(hidden)
    this.dropout = new Dropout(options.hiddenDropout)
    this.#normsBefore = options.normsBefore
  }

  forward(input: Tensor, own: AttentionContext, cross: CrossInputs): Tensor {
    const { cache, source, context } = cross
    const add = (stream: Tensor, norm: LayerNorm, block: (x: Tensor) => Tensor): Tensor => {
      if (this.#normsBefore) return stream.add(this.dropout.forward(block(norm.forward(stream))))
      return norm.add(stream, this.dropout.forward(block(stream)))[1]
    }
    let stream = add(input, this.attentionNorm, (x) => this.attention.forward(x, own, { cache }))
    const { crossAttention, crossNorm } = this
    if (crossAttention !== undefined && crossNorm !== undefined)
      stream = add(stream, crossNorm, (x) => crossAttention.forward(x, context, { source, cache }))
    return add(stream, this.mlpNorm, (x) => this.mlp.forward(x))
  }
}

interface CrossInputs {
  cache?: NonNullable<BodyInputs['cache']>[number]
  /** Hidden states of the encoder. */
  source?: Tensor
  context?: AttentionContext
}

/** The encoder or the decoder of BART. */
export class CrossStack extends Module {
  embedPositions: Embedding
  embeddingNorm: LayerNorm
  layers: CrossLayer[]
  finalNorm?: LayerNorm
  dropout: Dropout
  /** Norms before attention and feed-forward block. */
  readonly normsBefore: boolean

  constructor(options: EncoderDecoderOptions, decoder: boolean) {
    super()
    const { hiddenSize } = options
    this.normsBefore = options.normsBefore
    this.embedPositions = new Embedding(options.maxPositions + firstPosition, hiddenSize)
    this.embeddingNorm = new LayerNorm(hiddenSize)
    const length = decoder ? options.numDecoderLayers : options.numLayers
    this.layers = Array.from({ length }, () => new CrossLayer(options, decoder))
    if (options.normsBefore) this.finalNorm = new LayerNorm(hiddenSize)
    this.dropout = new Dropout(options.hiddenDropout)
  }

  /** @param embedded token embeddings, [B,T,C] @param cross the encoder's hidden states and mask, for the decoder */
  forward(
    embedded: Tensor,
    inputs: Pick<BodyInputs, 'cache' | 'recompute' | 'recomputeIn' | 'pastLength' | 'positionIds'> & {
      mask?: Tensor
    },
    cross?: { source: Tensor; mask?: Tensor },
  ): { hidden: Tensor; allHidden: Tensor[] } {
    const { pastLength = 0, positionIds } = inputs
    const counted = positionIds ?? arange(embedded.shape[1], { device: embedded.device }).add(pastLength).unsqueeze(0)
    const summed = embedded.add(this.embedPositions.forward(counted.add(firstPosition)))
    let hidden = this.dropout.forward(this.embeddingNorm.forward(summed))
    const allHidden = [hidden]
    const own: AttentionContext = { mask: keyMask(inputs.mask) }
    const context: AttentionContext = { mask: keyMask(cross?.mask) }
    const run = layerRunner(inputs)
    // A tensor with history is an input of the layer, not captured: recomputing must not run its backward again.
    const shared = cross === undefined ? [] : [cross.source]
    this.layers.forEach((layer, i) => {
      const forward = (input: Tensor, source?: Tensor) =>
        layer.forward(input, own, { cache: inputs.cache?.[i], source, context })
      hidden = run(i, layer, forward, [hidden, ...shared])
      allHidden.push(hidden)
    })
    if (this.finalNorm !== undefined) allHidden[allHidden.length - 1] = hidden = this.finalNorm.forward(hidden)
    return { hidden, allHidden }
  }
}

/** [B,S] of ones and zeros -> bool [B,1,1,S] */
const keyMask = (mask: Tensor | undefined): Tensor | undefined => mask?.ne(0).unsqueeze(1).unsqueeze(1)

/** Both stacks as a body. */
export class EncoderDecoderBody extends Body {
  embedTokens: Embedding
  encoder: CrossStack
  decoder?: CrossStack
  readonly #scale: number

  constructor(options: EncoderDecoderOptions, { encoderOnly = false }: BuildOptions = {}) {
    super()
    this.embedTokens = new Embedding(options.vocabSize, options.hiddenSize, { paddingIndex: options.padTokenId })
    this.encoder = new CrossStack(options, false)
    if (!encoderOnly) this.decoder = new CrossStack(options, true)
    this.#scale = options.scaleEmbeddings ? options.hiddenSize ** 0.5 : 1
  }

  /** Factor of the token embeddings. */
  get embeddingScale(): number {
    return this.#scale
  }

  #embed(ids: Tensor): Tensor {
    const embedded = this.embedTokens.forward(ids)
    return this.#scale === 1 ? embedded : embedded.mul(this.#scale)
  }

  forward(inputs: BodyInputs): BodyOutputs {
    const { attentionMask: mask, decoderInputIds, allHidden } = inputs
    layOutDropout(inputs)
    if (inputs.starts !== undefined) refusePacking('Its decoder')
    const { recompute, recomputeIn, positionIds } = inputs
    const shared = { recompute, recomputeIn }
    const source =
      inputs.encoderHidden ??
      this.encoder.forward(this.#embed(inputs.inputIds), { ...shared, mask, positionIds }).hidden
    if (decoderInputIds === undefined || this.decoder === undefined) return { hidden: source, encoderHidden: source }
    const decoded = this.decoder.forward(
      this.#embed(decoderInputIds),
      { ...shared, mask: inputs.decoderAttentionMask, cache: inputs.cache, pastLength: inputs.pastLength },
      { source, mask },
    )
    return { hidden: decoded.hidden, encoderHidden: source, ...(allHidden ? { allHidden: decoded.allHidden } : {}) }
  }
}
