// The layers of an encoder in one fused call: for layers without gradients, dropout and adapters, whose settings the call
// has. Other layers use the separate operators, which give the same bits.
import {
  type ActivationName,
  Attention,
  type AttentionContext,
  Dropout,
  fusedActivations,
  LayerNorm,
  Linear,
  type Module,
  PlainMlp,
} from '../nn/index.ts'
import { encoderLayers, gradEnabled, type Tensor } from '../tensor/index.ts'
import { blockFormats, blocksOf, type FusedWeights, linearParts, type PreparedWeights } from './fused-weights.ts'
import type { ReadTokens } from './model.ts'

/** The modules of a layer that the fused call uses. */
export interface FusedEncoderLayer extends Module {
  attention: Attention
  attentionNorm: LayerNorm
  mlp: PlainMlp
  mlpNorm: LayerNorm
  dropout: Dropout
}

/** Layers that can be fused, with what the call needs of them. */
export interface FusedEncoderPlan extends FusedWeights {
  heads: number
  eps: number
  scale: number
  approximate: 'none' | 'tanh'
}

/** Whether a module computes as it was built: an adapter gives it a `forward` of its own. */
const isPlain = (module: Module, kind: unknown): boolean =>
  module.constructor === kind && !module.training && !Object.hasOwn(module, 'forward')

const float32 = (tensor: Tensor | undefined): boolean =>
  tensor === undefined || (tensor.dtype === 'float32' && tensor.device === 'cpu')

const plainLinear = (layer: Linear): boolean =>
  isPlain(layer, Linear) &&
  float32(layer.bias) &&
  (blocksOf(layer) === undefined ? layer.quantization === undefined && float32(layer.weight) : layer.device === 'cpu')

const plainNorm = (norm: LayerNorm): boolean => isPlain(norm, LayerNorm) && float32(norm.weight) && float32(norm.bias)

const normParts = ({ weight, bias }: LayerNorm): (Tensor | null)[] => [weight, bias ?? null]

/** In the order of the operator's `formats`. */
const productsOf = ({ attention, mlp }: FusedEncoderLayer): Linear[] => [
  attention.qProj,
  attention.kProj,
  attention.vProj,
  attention.oProj,
  mlp.upProj,
  mlp.downProj,
]

/** In the order of the operator's `parts`. */
const partsOf = ({ attention, attentionNorm, mlp, mlpNorm }: FusedEncoderLayer): (Tensor | null)[] => [
  ...linearParts(attention.qProj),
  ...linearParts(attention.kProj),
  ...linearParts(attention.vProj),
  ...linearParts(attention.oProj),
  ...normParts(attentionNorm),
  ...linearParts(mlp.upProj),
  ...linearParts(mlp.downProj),
  ...normParts(mlpNorm),
]

/** Whether a layer computes what the fused call does. @param kind class of the layer */
const isPlainLayer = (layer: FusedEncoderLayer, kind: unknown): boolean => {
  const { attention, attentionNorm, mlp, mlpNorm, dropout } = layer
  const { settings } = attention
  return (
    isPlain(layer, kind) &&
    isPlain(attention, Attention) &&
    isPlain(mlp, PlainMlp) &&
    [dropout, mlp.dropout].every((each) => isPlain(each, Dropout)) &&
    productsOf(layer).every(plainLinear) &&
    [attentionNorm, mlpNorm].every(plainNorm) &&
    attention.queryNorm === undefined &&
    attention.keyNorm === undefined &&
    settings.heads === settings.kvHeads &&
    settings.heads * settings.headDim === attention.qProj.shape[1] &&
    !settings.causal &&
    settings.window === 0
  )
}

const geluOf = (activation: ActivationName): 'none' | 'tanh' | undefined => fusedActivations[activation]

/** The settings of a layer that the fused call has once for all layers. */
const settingsOf = ({ attention, attentionNorm, mlp }: FusedEncoderLayer) => {
  const { heads, scale } = attention.settings
  return { heads, scale, eps: attentionNorm.eps, approximate: geluOf(mlp.activation) }
}

/**
 * The layers in the order in which they compute, if one call can compute them now.
 * @param kind class of layers that compute what the call does
 */
export const planEncoderLayers = (
  layers: readonly FusedEncoderLayer[],
  kind: unknown,
): FusedEncoderPlan | undefined => {
  if (gradEnabled() || layers.length === 0) return undefined
  const first = settingsOf(layers[0])
  const { approximate } = first
  const alike = (layer: FusedEncoderLayer): boolean => {
    const own = settingsOf(layer)
    const same = own.heads === first.heads && own.scale === first.scale && own.approximate === approximate
    return same && own.eps === first.eps && layer.mlpNorm.eps === first.eps && isPlainLayer(layer, kind)
  }
  if (approximate === undefined || !layers.every(alike)) return undefined
  return { ...first, approximate, parts: layers.flatMap(partsOf), ...blockFormats(layers.flatMap(productsOf)) }
}

/** [B,T,C] -> [B,T,C], or [1,M,C] of the tokens of `read`. @param prepared where the weights are known that were checked before */
export const runEncoderLayers = (
  hidden: Tensor,
  { parts, formats, orders, ...settings }: FusedEncoderPlan,
  prepared: PreparedWeights,
  { mask, starts }: Pick<AttentionContext, 'mask' | 'starts'>,
  read: ReadTokens | undefined,
): Tensor =>
  encoderLayers(hidden, {
    ...settings,
    layers: prepared.layersOf({ parts, formats, orders }),
    mask: mask ?? null,
    starts: starts ?? null,
    readPlaces: read?.places ?? null,
    readStarts: read?.starts ?? null,
  })
