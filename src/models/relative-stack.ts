// The stack of T5's encoder and decoder: RMS norms, a learned relative bias that all layers share, no bias terms.
import {
  type ActivationName,
  Attention,
  type AttentionContext,
  Dropout,
  GatedMlp,
  type Mlp,
  Module,
  PlainMlp,
  RelativeBias,
  RmsNorm,
} from '../nn/index.ts'
import { ones, type Tensor } from '../tensor/index.ts'
import type { BodyInputs } from './model.ts'
import { layerRunner } from './recompute.ts'

/** Settings of the stack. */
export interface RelativeStackOptions {
  hiddenSize: number
  headDim: number
  intermediateSize: number
  numLayers: number
  numDecoderLayers?: number
  numHeads: number
  relativeBuckets: number
  relativeMaxDistance: number
  activation: ActivationName
  gated: boolean
  dropout: number
  normEps: number
}

class RelativeLayer extends Module {
  attentionNorm: RmsNorm
  attention: Attention
  crossNorm?: RmsNorm
  crossAttention?: Attention
  mlpNorm: RmsNorm
  mlp: Mlp
  dropout: Dropout

  constructor(config: RelativeStackOptions, decoder: boolean) {
    super()
    const { hiddenSize: hidden, normEps: eps, numHeads: heads, headDim, dropout } = config
    const attention = () => new Attention({ hidden, heads, headDim, bias: false, scale: 1, dropout })
    this.attentionNorm = new RmsNorm(hidden, { eps })
    this.attention = attention()
    if (decoder) {
      this.crossNorm = new RmsNorm(hidden, { eps })
      this.crossAttention = attention()
    }
    this.mlpNorm = new RmsNorm(hidden, { eps })
    const mlp = {
      hidden,
      intermediate: config.intermediateSize,
      activation: config.activation,
      bias: false,
      innerDropout: dropout,
    }
    this.mlp = config.gated ? new GatedMlp(mlp) : new PlainMlp(mlp)
    this.dropout = new Dropout(dropout)
  }
}

/** The encoder or the decoder of T5. */
export class RelativeStack extends Module {
  relativeBias: RelativeBias
  layers: RelativeLayer[]
  finalNorm: RmsNorm
  dropout: Dropout
  /** Norms before attention and feed-forward block. */
  readonly normsBefore = true
  readonly #decoder: boolean

  constructor(config: RelativeStackOptions, decoder: boolean) {
    super()
    const { relativeBuckets: buckets, relativeMaxDistance: maxDistance, numHeads: heads } = config
    this.relativeBias = new RelativeBias({ buckets, maxDistance, heads, bidirectional: !decoder })
    const count = decoder ? (config.numDecoderLayers ?? config.numLayers) : config.numLayers
    this.layers = Array.from({ length: count }, () => new RelativeLayer(config, decoder))
    this.finalNorm = new RmsNorm(config.hiddenSize, { eps: config.normEps })
    this.dropout = new Dropout(config.dropout)
    this.#decoder = decoder
  }

  forward(
    embedded: Tensor,
    options: Pick<BodyInputs, 'cache' | 'pastLength' | 'recompute' | 'recomputeIn' | 'allHidden'> & {
      mask?: Tensor
      source?: Tensor
      sourceMask?: Tensor
    },
  ): { hidden: Tensor; allHidden: Tensor[] } {
    const { pastLength = 0 } = options
    const length = embedded.shape[1]
    let bias = this.relativeBias.forward(length, length + pastLength, pastLength)
    if (this.#decoder) {
      const later = ones([length, length + pastLength], { dtype: 'bool', device: embedded.device }).triu(pastLength + 1)
      bias = bias.maskedFill(later, Number.NEGATIVE_INFINITY)
    }
    const cross: AttentionContext = { mask: keyMask(options.sourceMask) }
    const drop = (layer: { dropout: Dropout }, x: Tensor) => layer.dropout.forward(x)
    let stream = drop(this, embedded)
    const allHidden = [stream]
    const run = layerRunner(options)
    // Tensors with history are inputs of the layer, not captured: recomputing must not run their backward again.
    const shared = [bias, ...(options.source === undefined ? [] : [options.source])]
    this.layers.forEach((layer, i) => {
      const forward = (input: Tensor, distances: Tensor, source?: Tensor): Tensor => {
        const cache = options.cache?.[i]
        const self: AttentionContext = { bias: distances, mask: keyMask(options.mask) }
        let sum = input.add(drop(layer, layer.attention.forward(layer.attentionNorm.forward(input), self, { cache })))
        if (layer.crossAttention !== undefined && layer.crossNorm !== undefined) {
          const crossed = layer.crossAttention.forward(layer.crossNorm.forward(sum), cross, { source, cache })
          sum = sum.add(drop(layer, crossed))
        }
        return sum.add(drop(layer, layer.mlp.forward(layer.mlpNorm.forward(sum))))
      }
      stream = run(i, layer, forward, [stream, ...shared])
      allHidden.push(stream)
    })
    const hidden = drop(this, this.finalNorm.forward(stream))
    allHidden[allHidden.length - 1] = hidden
    return { hidden, allHidden: options.allHidden ? allHidden : [] }
  }
}

/** [B,S] of ones and zeros -> bool [B,1,1,S] */
const keyMask = (mask: Tensor | undefined): Tensor | undefined => mask?.ne(0).unsqueeze(1).unsqueeze(1)
