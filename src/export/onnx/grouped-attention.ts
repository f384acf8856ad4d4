// Attention by onnxruntime's GroupQueryAttention, which writes the cache and groups queries by their keys in one node.
// The operator takes every row to be as long as the batch; padding, windows and order are in the bias that it adds, so that
// rows may be padded on either side. Its own rotary positions and windows are not used: they count padding, and the window
// is one key longer in some versions.
// @source https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.GroupQueryAttention
import { ConfigError } from '../../core/index.ts'
import { CausalLmHead, type Model } from '../../models/index.ts'
import type { Attention } from '../../nn/index.ts'
import type { KeysAndValues } from './attention.ts'
import { type Angles, attentionLayers, type HeadNorm, rotate, splitHeads } from './attention-heads.ts'
import { contributed, linear, type ModelGraph } from './layers.ts'

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
export const groupedAttention = (
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
