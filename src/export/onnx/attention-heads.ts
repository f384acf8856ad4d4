// Heads of attention as nodes of a graph: projections split into heads, their norms and their rotary positions.
import type { Model } from '../../models/index.ts'
import type { Attention, Norm } from '../../nn/index.ts'
import type { Tensor } from '../../tensor/index.ts'
import { type ModelGraph, norm } from './layers.ts'

/** The norm of queries or keys, if there is one. */
export type HeadNorm = (Norm & { weight: Tensor }) | undefined

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
export const splitHeads = (
  graph: ModelGraph,
  x: string,
  layer: Attention,
  heads: number,
  headNorm?: HeadNorm,
): string => {
  const { headDim, normsAllHeads } = layer.settings
  const split = (all: string) => graph.node('Reshape', [all, graph.ints(0, 0, heads, headDim)])
  const normed = (part: string) => (headNorm === undefined ? part : norm(graph, part, headNorm))
  return normsAllHeads ? split(normed(x)) : normed(split(x))
}

/** Turns the first `size` elements of each head, of which those half a `size` apart are pairs: [...,T,D] or [...,D]. */
export const rotate = (graph: ModelGraph, x: string, { cos, sin, size }: Angles, headDim: number): string => {
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
