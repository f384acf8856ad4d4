// Attention as nodes of a graph, with scores and softmax in float32: of basic operators, by the Attention operator of opset 23, or by
// onnxruntime's GroupQueryAttention, which writes the cache and groups queries by their keys in one node. That operator takes every row
// to be as long as the batch; padding, windows and order are in the bias that it adds, so that rows may be padded on either side. Its own
// rotary positions and windows are not used: they count padding, and the window is one key longer in some versions.
// @source https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.GroupQueryAttention

import { ConfigError } from '../../core/index.ts'
import { CausalLmHead, type Model } from '../../models/index.ts'
import { type Attention, DisentangledAttention, type Linear, type Norm } from '../../nn/index.ts'
import type { Tensor } from '../../tensor/index.ts'
import { contributed, linear, type ModelGraph, norm, softCapped } from './layers.ts'

/** The norm of queries or keys, if there is one. */
type HeadNorm = (Norm & { weight: Tensor }) | undefined

/** Cosines and sines, float32 [B,1,T,R/2], of the R elements of a head that are turned. */
export interface Angles {
  cos: string
  sin: string
  size: number
}

/** The attention layers of a decoder, in order. */
export const attentionLayers = ({ body }: Model): Attention[] =>
  [...body.modules()].flatMap(([, module]) => ('qProj' in module ? [module as Attention] : []))

/** [B,T,heads*D] -> [B,T,heads,D] @param headNorm of each head, or of all together */
const splitHeads = (graph: ModelGraph, x: string, layer: Attention, heads: number, headNorm?: HeadNorm): string => {
  const { headDim, normsAllHeads } = layer.settings
  const split = (all: string) => graph.node('Reshape', [all, graph.ints(0, 0, heads, headDim)])
  const normed = (part: string) => (headNorm === undefined ? part : norm(graph, part, headNorm))
  return normsAllHeads ? split(normed(x)) : normed(split(x))
}

/** Turns the first `size` elements of each head, of which those half a `size` apart are pairs: [...,T,D] or [...,D]. */
const rotate = (graph: ModelGraph, x: string, { cos, sin, size }: Angles, headDim: number): string => {
  const wide = graph.cast(x, 'float32')
  if (graph.format.operators === 'standard') {
    // [B,1,T,R/2] -> [B,T,R/2]
    const flat = (value: string) => graph.once(`flat ${value}`, () => graph.node('Squeeze', [value, graph.ints(1)]))
    return graph.node('RotaryEmbedding', [wide, flat(cos), flat(sin)], {
      rotary_embedding_dim: size === headDim ? 0 : size,
    })
  }
  const sizes = [size / 2, size / 2, ...(size < headDim ? [headDim - size] : [])]
  const types = sizes.map(() => 'float32' as const)
  const [a, b, ...rest] = graph.nodes('Split', [wide, graph.ints(...sizes)], types, { axis: -1 })
  const first = graph.node('Sub', [graph.node('Mul', [a, cos]), graph.node('Mul', [b, sin])])
  const second = graph.node('Add', [graph.node('Mul', [b, cos]), graph.node('Mul', [a, sin])])
  return graph.node('Concat', [first, second, ...rest], { axis: -1 })
}

/** The operator reads heads in steps of so many elements. */
const headStep = 8

/** @throws ConfigError for a model that the operator cannot compute */
export const expectGroupable = (model: Model): void => {
  const instead = 'Leave out `groupedQueryAttention`, or set `opset` to 23 for onnxruntime in Node.'
  if (!(model.head instanceof CausalLmHead))
    throw new ConfigError(
      `\`groupedQueryAttention\` needs a decoder that generates with a cache, and ${model.definition.type} with the head ${model.headType} has none. ${instead}`,
    )
  const odd = attentionLayers(model).find(({ settings: { headDim } }) => headDim % headStep !== 0)
  if (odd !== undefined)
    throw new ConfigError(
      `Expected heads of a multiple of ${headStep} elements for \`groupedQueryAttention\`, got ${odd.settings.headDim} in ${model.definition.type}. ${instead}`,
    )
}

/** [B,1,T,R/2] -> [B,T,1,R/2], as heads are after tokens here. */
const tokensFirst = (graph: ModelGraph, { cos, sin, size }: Angles): Angles => {
  const turned = (x: string) => graph.once(`tokens of ${x}`, () => graph.node('Transpose', [x], { perm: [0, 2, 1, 3] }))
  return { cos: turned(cos), sin: turned(sin), size }
}

/** Length of all tokens so far, int32 [1], and the index of the last one in each row, int32 [B]. */
const lengthsOf = (graph: ModelGraph, bias: string): { total: string; last: string } => {
  const span = graph.size(bias, 3)
  const total = graph.once(`total ${bias}`, () => graph.cast(span, 'int32'))
  const last = graph.once(`last ${bias}`, () => {
    const index = graph.node('Sub', [span, graph.ints(1)])
    return graph.cast(graph.node('Expand', [index, graph.size(bias, 0)]), 'int32')
  })
  return { total, last }
}

/** [B,T,C] -> [B,T,heads*D]. @param inputs.bias float32 [B,1,T,S] */
const groupedAttention = (
  graph: ModelGraph,
  x: string,
  layer: Attention,
  { past, angles, bias }: { past: KeysAndValues; angles?: Angles; bias: string },
): { mixed: string; present: KeysAndValues } => {
  const { heads, kvHeads, headDim, scale, softcap } = layer.settings
  // [B,T,C] -> [B,T,heads*D]
  const project = (projection: Attention['qProj'], count: number, headNorm: HeadNorm, turned?: Angles): string => {
    const all = linear(graph, x, projection)
    if (headNorm === undefined && turned === undefined) return graph.cast(all, 'float32')
    const split = splitHeads(graph, all, layer, count, headNorm)
    const placed = turned === undefined ? split : rotate(graph, split, tokensFirst(graph, turned), headDim)
    return graph.cast(graph.node('Reshape', [placed, graph.ints(0, 0, count * headDim)]), 'float32')
  }
  const { total, last } = lengthsOf(graph, bias)
  const none = ''
  const [mixed, key, value] = graph.nodes(
    'GroupQueryAttention',
    [
      project(layer.qProj, heads, layer.queryNorm as HeadNorm, angles),
      project(layer.kProj, kvHeads, layer.keyNorm as HeadNorm, angles),
      project(layer.vProj, kvHeads, undefined),
      past.key,
      past.value,
      last,
      total,
      // Tables of cosines and sines, and positions.
      none,
      none,
      none,
      bias,
    ],
    ['float32', 'float32', 'float32'],
    { num_heads: heads, kv_num_heads: kvHeads, scale: { float: scale }, softcap: { float: softcap } },
    contributed,
  )
  return { mixed, present: { key, value } }
}

/** Score of a key that a query does not attend to: finite, so that a row of padding alone does not become NaN. */
const excluded = -1e30

/** Keys and values, each [B,K,S,D]. */
export interface KeysAndValues {
  key: string
  value: string
}

/** What attention needs beside its input. */
export interface AttentionInputs {
  /** bool [B,1,1|T,S], true where a query attends to a key. */
  allowed: string
  /** Added to the scores, float32 [1,H,T,S]. */
  bias?: string
  /** Embeddings of distances [P,C], and the row of each query and key, int64 [T,S]. */
  distances?: { embeddings: string; index: string }
  /** Rotary positions. */
  angles?: Angles
  /** Earlier keys and values. */
  past?: KeysAndValues
  /** Keys and values of cross attention in place of the input's own. */
  source?: KeysAndValues
}

/** [B,T,heads*D] -> [B,heads,T,D] */
const headsFirst = (graph: ModelGraph, x: string, layer: Attention, heads: number, headNorm?: HeadNorm): string =>
  graph.node('Transpose', [splitHeads(graph, x, layer, heads, headNorm)], { perm: [0, 2, 1, 3] })

/** Keys and values of an input: [B,S,C] -> [B,K,S,D] twice. */
export const keysAndValues = (graph: ModelGraph, x: string, layer: Attention, angles?: Angles): KeysAndValues => {
  const { kvHeads, headDim } = layer.settings
  const keyNorm = layer.keyNorm as HeadNorm
  const split = headsFirst(graph, linear(graph, x, layer.kProj), layer, kvHeads, keyNorm)
  return {
    key: angles === undefined ? split : rotate(graph, split, angles, headDim),
    value: headsFirst(graph, linear(graph, x, layer.vProj), layer, kvHeads),
  }
}

/** The scores' bias of keys that are excluded, float32. */
const maskBias = (graph: ModelGraph, allowed: string): string =>
  graph.once(`mask ${allowed}`, () =>
    graph.node('Where', [allowed, graph.scalar(0), graph.scalar(excluded)], {}, { type: 'float32' }),
  )

const combinedBias = (graph: ModelGraph, { allowed, bias }: AttentionInputs): string => {
  const mask = maskBias(graph, allowed)
  return bias === undefined ? mask : graph.once(`${mask} ${bias}`, () => graph.node('Add', [mask, bias]))
}

/** Scores of content and distance, float32 [B,H,T,S]. @param query [B,H,T,D] @param key [B,H,S,D] */
const distanceScores = (
  graph: ModelGraph,
  layer: DisentangledAttention,
  { query, key }: { query: string; key: string },
  { embeddings, index }: NonNullable<AttentionInputs['distances']>,
): string | undefined => {
  const { type } = graph.format
  const { heads, headDim, scale } = layer.settings
  // [P,C] -> [H,D,P]
  const project = (projection: Linear) => {
    const split = graph.node('Reshape', [linear(graph, embeddings, projection), graph.ints(-1, heads, headDim)])
    return graph.node('Transpose', [split], { perm: [1, 2, 0] })
  }
  const scoresOf = (content: string, projection: Linear, rows: string): string => {
    const all = graph.node('MatMul', [graph.cast(content, type), graph.cast(project(projection), type)])
    // The operator takes an index of the full shape.
    const sizes = [graph.size(content, 0), graph.ints(heads), graph.size(rows, 0), graph.size(rows, 1)]
    const full = graph.node('Expand', [rows, graph.node('Concat', sizes, { axis: 0 })])
    return graph.cast(graph.node('GatherElements', [all, full], { axis: 3 }), 'float32')
  }
  const parts: string[] = []
  if (layer.contentToPosition) parts.push(scoresOf(query, layer.posKeyProj ?? layer.kProj, index))
  if (layer.positionToContent) {
    const turned = graph.once(`turned ${index}`, () => graph.node('Transpose', [index], { perm: [1, 0] }))
    const scores = scoresOf(key, layer.posQueryProj ?? layer.qProj, turned)
    parts.push(graph.node('Transpose', [scores], { perm: [0, 1, 3, 2] }))
  }
  if (parts.length === 0) return undefined
  const sum = parts.reduce((a, b) => graph.node('Add', [a, b]))
  return graph.node('Mul', [sum, graph.scalar(scale)])
}

/** What queries [B,H,T,D] read from values: [B,H,T,D]. @param bias of the scores, float32 */
type Mix = (graph: ModelGraph, query: string, source: KeysAndValues, layer: Attention, bias: string) => string

/** Of basic operators. Queries of heads that share keys are multiplied with them as one more dimension. */
const plainAttention: Mix = (graph, query, { key, value }, layer, bias) => {
  const { type } = graph.format
  const { heads, kvHeads, headDim, scale, softcap } = layer.settings
  const grouped = kvHeads !== heads
  const group = (x: string) =>
    grouped ? graph.node('Reshape', [x, graph.ints(0, kvHeads, heads / kvHeads, -1, headDim)]) : x
  const shared = (x: string) => (grouped ? graph.node('Unsqueeze', [x, graph.ints(2)]) : x)
  const scaled = graph.node('Mul', [query, graph.scalar(scale, query)])
  const keys = graph.node('Transpose', [shared(graph.cast(key, type))], {
    perm: grouped ? [0, 1, 2, 4, 3] : [0, 1, 3, 2],
  })
  const products = graph.cast(graph.node('MatMul', [group(graph.cast(scaled, type)), keys]), 'float32')
  const scores = softCapped(graph, products, softcap)
  // [B,1|H,T,S] -> [B,1|K,1|G,T,S]
  const spread = (x: string) => graph.once(`spread ${x} ${kvHeads}`, () => graph.node('Unsqueeze', [x, graph.ints(2)]))
  const added = graph.node('Add', [scores, grouped ? spread(bias) : bias])
  const weights = graph.node('Softmax', [added], { axis: -1 })
  const mixed = graph.node('MatMul', [graph.cast(weights, type), shared(graph.cast(value, type))])
  return grouped ? graph.node('Reshape', [mixed, graph.ints(0, heads, -1, headDim)]) : mixed
}

/** By the operator of opset 23, in float32. */
const standardAttention: Mix = (graph, query, { key, value }, layer, bias) => {
  const length = graph.size(query, 2)
  const span = graph.size(key, 2)
  // The mask has its full shape but for heads and rows.
  const shape = graph.once(`mask shape ${length} ${span}`, () =>
    graph.node('Concat', [graph.ints(1, 1), length, span], { axis: 0 }),
  )
  const mask = graph.once(`full ${bias} ${shape}`, () => graph.node('Expand', [bias, shape]))
  return graph.node('Attention', [query, key, value].map((x) => graph.cast(x, 'float32')).concat(mask), {
    scale: { float: layer.settings.scale },
  })
}

/** By products and a softmax, or the operator of them, [B,T,C] -> [B,T,heads*D]. */
const separateAttention = (
  graph: ModelGraph,
  x: string,
  layer: Attention,
  inputs: AttentionInputs,
): { mixed: string; present: KeysAndValues } => {
  const { heads, headDim, softcap } = layer.settings
  const { angles, past } = inputs
  const split = headsFirst(graph, linear(graph, x, layer.qProj), layer, heads, layer.queryNorm as HeadNorm)
  const query = angles === undefined ? split : rotate(graph, split, angles, headDim)
  const own = inputs.source ?? keysAndValues(graph, x, layer, angles)
  const after = (earlier: string, later: string) =>
    graph.node('Concat', [earlier, graph.cast(later, 'float32')], { axis: 2 })
  const present = past === undefined ? own : { key: after(past.key, own.key), value: after(past.value, own.value) }
  // The operator's own cap comes after the mask.
  const standard = graph.format.operators === 'standard' && softcap === 0
  const mix = standard ? standardAttention : plainAttention
  const { distances } = inputs
  const scores =
    distances === undefined || !(layer instanceof DisentangledAttention)
      ? undefined
      : distanceScores(graph, layer, { query, key: present.key }, distances)
  const bias = combinedBias(graph, inputs)
  const added = scores === undefined ? bias : graph.node('Add', [bias, scores])
  const heads4 = graph.node('Transpose', [mix(graph, query, present, layer, added)], { perm: [0, 2, 1, 3] })
  return { mixed: graph.node('Reshape', [heads4, graph.ints(0, 0, heads * headDim)]), present }
}

/** An attention layer, [B,T,C] -> [B,T,C], and all keys and values so far. */
export const attend = (
  graph: ModelGraph,
  x: string,
  layer: Attention,
  inputs: AttentionInputs,
): { output: string; present: KeysAndValues } => {
  const { past, angles } = inputs
  const { mixed, present } =
    graph.format.operators === 'grouped' && past !== undefined
      ? groupedAttention(graph, x, layer, { past, angles, bias: combinedBias(graph, inputs) })
      : separateAttention(graph, x, layer, inputs)
  return { output: linear(graph, mixed, layer.oProj), present }
}
