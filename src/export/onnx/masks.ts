// What the tokens of a body attend to and where they are: masks of padding, order and windows, positions, and biases by distance.
import type { Attention, RelativeBias } from '../../nn/index.ts'
import type { KeysAndValues } from './attention.ts'
import { valuesConstant } from './constants.ts'
import type { ModelGraph } from './layers.ts'

export interface BodyValues {
  /** int64 [B,T]. */
  ids: string
  /** int64 [B,S]: S is T, or the number of all tokens so far. */
  mask: string
  /** int64 [B,T] of segments. */
  types?: string
  /** Keys and values of earlier calls, by layer. */
  past?: readonly KeysAndValues[]
}

/** The values that a body gives. */
export interface BodyResult {
  /** float32 [B,T,C]. */
  hidden: string
  /** All keys and values so far, by layer. */
  present: readonly KeysAndValues[]
}

/** 0, 1, 2 … up to a size that is a list of one number, int64. */
export const range = (graph: ModelGraph, size: string, from?: string): string => {
  const single = (x: string) => graph.once(`single ${x}`, () => graph.node('Squeeze', [x, graph.ints(0)]))
  const start = from === undefined ? graph.int(0) : single(from)
  return graph.once(`range ${from} ${size}`, () => graph.node('Range', [start, single(size), graph.int(1)]))
}

/** bool [B,1,1,S] of tokens that are no padding. */
export const present = (graph: ModelGraph, mask: string): string =>
  graph.once(`present ${mask}`, () => graph.node('Unsqueeze', [graph.cast(mask, 'bool'), graph.ints(1, 2)]))

/** Position of each query among all keys, int64 [T,1]. */
const queryPlaces = (graph: ModelGraph, { ids, mask }: BodyValues): string => {
  const [length, span] = [graph.size(ids, 1), graph.size(mask, 1)]
  return graph.once(`queries ${length} ${span}`, () =>
    graph.node('Unsqueeze', [range(graph, span, graph.node('Sub', [span, length])), graph.ints(1)]),
  )
}

/** bool [B,1,T,S]: keys that are no padding and not after the query, nor `window` or more before it. */
const causalMask = (graph: ModelGraph, values: BodyValues, window: number): string =>
  graph.once(`causal ${values.ids} ${values.mask} ${window}`, () => {
    const keys = range(graph, graph.size(values.mask, 1))
    const queries = queryPlaces(graph, values)
    const compare = (op: string, a: string, b: string) => graph.node(op, [a, b], {}, { type: 'bool' })
    const earlier = compare('LessOrEqual', keys, queries)
    const near =
      window === 0
        ? earlier
        : graph.node('And', [earlier, compare('Greater', keys, graph.node('Sub', [queries, graph.int(window)]))])
    return graph.node('And', [present(graph, values.mask), near])
  })

/** bool [B,1,1|T,S]: keys that are no padding, and less than `window` before or after the query where there is one. */
const encoderMask = (graph: ModelGraph, values: BodyValues, window: number): string => {
  const seen = present(graph, values.mask)
  if (window === 0) return seen
  return graph.once(`near ${values.ids} ${values.mask} ${window}`, () => {
    const keys = range(graph, graph.size(values.mask, 1))
    const distance = graph.node('Abs', [graph.node('Sub', [keys, queryPlaces(graph, values)])])
    const near = graph.node('Less', [distance, graph.int(window)], {}, { type: 'bool' })
    return graph.node('And', [seen, near])
  })
}

/** What the queries of a layer attend to. */
export const maskOf = (graph: ModelGraph, values: BodyValues, { settings: { causal, window } }: Attention): string =>
  causal ? causalMask(graph, values, window) : encoderMask(graph, values, window)

/** Positions of the tokens, int64 [B,T], counted without padding, so that padding on the left changes nothing. */
export const positionsByMask = (graph: ModelGraph, { ids, mask }: BodyValues): string => {
  const counted = graph.node('Sub', [graph.node('CumSum', [mask, graph.int(1)]), graph.int(1)])
  const all = graph.node('Max', [counted, graph.int(0)])
  const from = graph.node('Neg', [graph.size(ids, 1)])
  return graph.node('Slice', [all, from, graph.ints(2 ** 31 - 1), graph.ints(1)])
}

/** T5's bias by distance, float32 [1,H,T,S]: distances beyond the largest are like it. */
export const distanceBias = (graph: ModelGraph, layer: RelativeBias, queries: string, keys: string): string => {
  const { maxDistance, table } = layer
  const heads = table.weight.shape[1]
  const rows = table.weight.toFloat32Array()
  const span = 2 * maxDistance + 1
  const values = new Float32Array(span * heads)
  for (let at = 0; at < span; at++) {
    const row = layer.bucket(at - maxDistance) * heads
    values.set(rows.subarray(row, row + heads), at * heads)
  }
  const name = `${graph.nameOf(table.weight)} by distance`
  const stored = graph.constant(valuesConstant(name, 'float32', [span, heads], values))
  const distance = graph.node('Sub', [keys, queries])
  const least = graph.node('Max', [distance, graph.int(-maxDistance)])
  const clipped = graph.node('Min', [least, graph.int(maxDistance)])
  const found = graph.node('Gather', [stored, graph.node('Add', [clipped, graph.int(maxDistance)])], { axis: 0 })
  return graph.node('Unsqueeze', [graph.node('Transpose', [found], { perm: [2, 0, 1] }), graph.ints(0)])
}
