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

/** What rows and vectors of a call can be. */
const fusedDtypes: readonly string[] = ['float32', 'bfloat16']

/** Whether a module computes as it was built: an adapter gives it a `forward` of its own. */
const isPlain = (module: Module, kind: unknown): boolean =>
  module.constructor === kind && !module.training && !Object.hasOwn(module, 'forward')

/** Whether a tensor can be one of a call whose rows and vectors are of `dtype`. */
const fits = (tensor: Tensor | undefined, dtype: string): boolean =>
  tensor === undefined || (tensor.dtype === dtype && tensor.device === 'cpu')

/** Matrices are of that dtype too, or blocks, which are multiplied with float32. */
const plainLinear = (layer: Linear, dtype: string): boolean =>
  isPlain(layer, Linear) &&
  fits(layer.bias, dtype) &&
  (blocksOf(layer) === undefined
    ? layer.quantization === undefined && fits(layer.weight, dtype)
    : layer.device === 'cpu' && dtype === 'float32')

const plainNorm = (norm: LayerNorm, dtype: string): boolean =>
  isPlain(norm, LayerNorm) && fits(norm.weight, dtype) && fits(norm.bias, dtype)

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
const isPlainLayer = (layer: FusedEncoderLayer, kind: unknown, dtype: string): boolean => {
  const { attention, attentionNorm, mlp, mlpNorm, dropout } = layer
  const { settings } = attention
  return (
    isPlain(layer, kind) &&
    isPlain(attention, Attention) &&
    isPlain(mlp, PlainMlp) &&
    [dropout, mlp.dropout].every((each) => isPlain(each, Dropout)) &&
    productsOf(layer).every((each) => plainLinear(each, dtype)) &&
    [attentionNorm, mlpNorm].every((norm) => plainNorm(norm, dtype)) &&
    attention.queryNorm === undefined &&
    attention.keyNorm === undefined &&
    settings.heads === settings.kvHeads &&
    settings.heads * settings.headDim === attention.qProj.shape[1] &&
    !settings.causal &&
    settings.window === 0
  )
}

const approximations = { gelu: 'none', 'gelu-tanh': 'tanh', silu: undefined } as const
const geluOf = (activation: ActivationName): 'none' | 'tanh' | undefined => {
  const name = fusedActivations[activation]
  return name && approximations[name]
}

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
  const { dtype } = layers[0].attentionNorm.weight
  if (!fusedDtypes.includes(dtype)) return undefined
  const alike = (layer: FusedEncoderLayer): boolean => {
    const own = settingsOf(layer)
    const same = own.heads === first.heads && own.scale === first.scale && own.approximate === approximate
    return same && own.eps === first.eps && layer.mlpNorm.eps === first.eps && isPlainLayer(layer, kind, dtype)
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
