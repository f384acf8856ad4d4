// Bodies as nodes of a graph, by the stack that they are built of. Encoders attend to all tokens; decoders to earlier ones,
// with the keys and values of earlier calls; T5 has a bias of scores by distance.
import { ConfigError } from '../../core/index.ts'
import {
  type Body,
  DecoderBody,
  EncoderBody,
  Gpt2Body,
  headEntry,
  type Model,
  type RelativeStack,
  T5Body,
} from '../../models/index.ts'
import type { Attention, Mlp, Norm, RelativeBias, RotaryTable } from '../../nn/index.ts'
import type { Tensor } from '../../tensor/index.ts'
import { type AttentionInputs, attend, type KeysAndValues, keysAndValues } from './attention.ts'
import { valuesConstant } from './constants.ts'
import { addWide, embed, feedForward, linear, type ModelGraph, norm } from './layers.ts'

/** The values that a body reads. */
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

type AnyNorm = Norm & { weight: Tensor }

/** 0, 1, 2 … up to a size that is a list of one number, int64. */
const range = (graph: ModelGraph, size: string, from?: string): string => {
  const single = (x: string) => graph.once(`single ${x}`, () => graph.node('Squeeze', [x, graph.ints(0)]))
  const start = from === undefined ? graph.int(0) : single(from)
  return graph.once(`range ${from} ${size}`, () => graph.node('Range', [start, single(size), graph.int(1)]))
}

/** bool [B,1,1,S] of tokens that are no padding. */
const present = (graph: ModelGraph, mask: string): string =>
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

/** Positions of the tokens, int64 [B,T], counted without padding, so that padding on the left changes nothing. */
const positionsByMask = (graph: ModelGraph, { ids, mask }: BodyValues): string => {
  const counted = graph.node('Sub', [graph.node('CumSum', [mask, graph.int(1)]), graph.int(1)])
  const all = graph.node('Max', [counted, graph.int(0)])
  const from = graph.node('Neg', [graph.size(ids, 1)])
  return graph.node('Slice', [all, from, graph.ints(2 ** 31 - 1), graph.ints(1)])
}

const encoderPositions = (graph: ModelGraph, ids: string, padding: number | undefined): string => {
  if (padding === undefined) return range(graph, graph.size(ids, 1))
  const isPadding = graph.node('Equal', [ids, graph.int(padding)], {}, { type: 'bool' })
  const present = graph.cast(graph.node('Not', [isPadding]), 'int64')
  const counted = graph.node('Mul', [graph.node('CumSum', [present, graph.int(1)]), present])
  return graph.node('Add', [counted, graph.int(padding)])
}

/** @source arXiv:1810.04805 */
const encoder = (graph: ModelGraph, body: EncoderBody, { ids, mask, types }: BodyValues): BodyResult => {
  const embedded = graph.within('embeddings', () => {
    const positions = embed(graph, encoderPositions(graph, ids, body.paddingPosition), body.embedPositions)
    let sum = addWide(graph, embed(graph, ids, body.embedTokens), positions)
    if (body.embedTypes !== undefined) sum = addWide(graph, sum, embed(graph, types ?? graph.ints(0), body.embedTypes))
    const normed = norm(graph, sum, body.embeddingNorm)
    return body.embeddingProj === undefined ? normed : linear(graph, normed, body.embeddingProj)
  })
  const keys = range(graph, graph.size(ids, 1))
  const bias =
    body.relativeBias === undefined
      ? undefined
      : distanceBias(graph, body.relativeBias, graph.node('Unsqueeze', [keys, graph.ints(1)]), keys)
  const inputs = { allowed: present(graph, mask), bias }
  const start = graph.cast(embedded, 'float32')
  graph.layer(start)
  const hidden = body.computedLayers.reduce(
    (x, layer, i) =>
      graph.within(`layers.${i}`, () => {
        const mixed = graph.within('attention', () => attend(graph, x, layer.attention, inputs).output)
        const attended = norm(graph, addWide(graph, x, mixed), layer.attentionNorm)
        const wide = graph.within('mlp', () => feedForward(graph, attended, layer.mlp))
        const output = norm(graph, addWide(graph, attended, wide), layer.mlpNorm)
        graph.layer(output)
        return output
      }),
    start,
  )
  return { hidden, present: [] }
}

interface PreNormLayer {
  attentionNorm?: AnyNorm
  attention: Attention
  mlpNorm?: AnyNorm
  mlp: Mlp
}

/** A norm before a block, or none. */
const normed = (graph: ModelGraph, x: string, layer: AnyNorm | undefined): string =>
  layer === undefined ? x : norm(graph, x, layer)

/** The layers with a norm before attention and one before the feed-forward block, and the final norm. */
const preNormLayers = (
  graph: ModelGraph,
  embedded: string,
  { layers, finalNorm }: { layers: readonly PreNormLayer[]; finalNorm: AnyNorm },
  values: BodyValues,
  angles?: AttentionInputs['angles'],
): BodyResult => {
  const all: KeysAndValues[] = []
  let stream = embedded
  layers.forEach((layer, i) => {
    graph.layer(stream)
    graph.within(`layers.${i}`, () => {
      const allowed = causalMask(graph, values, layer.attention.settings.window)
      const inputs = { allowed, angles, past: values.past?.[i] }
      const input = normed(graph, stream, layer.attentionNorm)
      const { output, present } = graph.within('attention', () => attend(graph, input, layer.attention, inputs))
      stream = addWide(graph, stream, output)
      const wide = graph.within('mlp', () => feedForward(graph, normed(graph, stream, layer.mlpNorm), layer.mlp))
      stream = addWide(graph, stream, wide)
      all.push(present)
    })
  })
  const hidden = norm(graph, stream, finalNorm)
  graph.layer(hidden)
  return { hidden, present: all }
}

const gpt2 = (graph: ModelGraph, body: Gpt2Body, values: BodyValues): BodyResult => {
  const positions = embed(graph, positionsByMask(graph, values), body.embedPositions)
  return preNormLayers(graph, addWide(graph, embed(graph, values.ids, body.embedTokens), positions), body, values)
}

/** Frequencies float32 [R/2]; those that depend on the length are computed from it when the graph runs. */
const frequenciesOf = (graph: ModelGraph, table: RotaryTable, mask: string): string => {
  const { frequencies, lengthDependent } = table.frequencies(1)
  const { theta, scaling, rotaryDim } = table.options
  const count = frequencies.length
  const constant = (name: string, values: Float32Array) =>
    graph.constant(valuesConstant(`rotary.${name}`, 'float32', [count], values))
  if (!lengthDependent || !('originalPositions' in scaling)) return constant('frequencies', frequencies)
  if ('longFactor' in scaling) {
    const beyond = graph.node('Greater', [
      graph.cast(graph.size(mask, 1), 'float32'),
      graph.scalar(scaling.originalPositions),
    ])
    const long = table.frequencies(scaling.originalPositions + 1).frequencies
    return graph.node('Where', [beyond, constant('long-frequencies', long), constant('frequencies', frequencies)])
  }
  // theta · (factor · length / original − (factor − 1))^(R/(R−2)), as in RotaryTable.
  const { factor, originalPositions } = scaling
  const length = graph.node('Max', [graph.cast(graph.size(mask, 1), 'float32'), graph.scalar(originalPositions)])
  const grown = graph.node('Sub', [
    graph.node('Mul', [length, graph.scalar(factor / originalPositions)]),
    graph.scalar(factor - 1),
  ])
  const raised = graph.node('Pow', [grown, graph.scalar(rotaryDim / (rotaryDim - 2))])
  const base = graph.node('Mul', [raised, graph.scalar(theta)])
  const exponents = Float32Array.from({ length: count }, (_, i) => (-2 * i) / rotaryDim)
  return graph.node('Pow', [base, constant('exponents', exponents)])
}

/** Cosines and sines of the positions, float32 [B,1,T,R/2]. */
const anglesOf = (graph: ModelGraph, table: RotaryTable, values: BodyValues): AttentionInputs['angles'] => {
  const positions = graph.node('Unsqueeze', [positionsByMask(graph, values), graph.ints(1, 3)])
  const angles = graph.node('Mul', [graph.cast(positions, 'float32'), frequenciesOf(graph, table, values.mask)])
  const { magnitude } = table.frequencies(1)
  const scaled = (x: string) => (magnitude === 1 ? x : graph.node('Mul', [x, graph.scalar(magnitude)]))
  return {
    cos: scaled(graph.node('Cos', [angles])),
    sin: scaled(graph.node('Sin', [angles])),
    size: table.options.rotaryDim,
  }
}

const decoder = (graph: ModelGraph, body: DecoderBody, values: BodyValues): BodyResult => {
  const angles = graph.within('rotary', () => anglesOf(graph, body.rotary, values))
  return preNormLayers(graph, embed(graph, values.ids, body.embedTokens), body, values, angles)
}

/** T5's bias by distance, float32 [1,H,T,S]: distances beyond the largest are like it. */
const distanceBias = (graph: ModelGraph, layer: RelativeBias, queries: string, keys: string): string => {
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

/** Cross attention of the decoder: keys and values of the encoder's output, by layer, and its mask. */
export interface CrossValues {
  source: readonly KeysAndValues[]
  mask: string
}

/** Keys and values that the layers of T5's decoder compute from the encoder's output. */
export const crossKeysAndValues = (graph: ModelGraph, stack: RelativeStack, encoderHidden: string): KeysAndValues[] =>
  stack.layers.map((layer, i) => {
    const { crossAttention } = layer
    if (crossAttention === undefined) throw new Error('a decoder without cross attention')
    return graph.within(`decoder.layers.${i}.cross`, () => keysAndValues(graph, encoderHidden, crossAttention))
  })

/** The encoder of T5, or with `cross` its decoder. `mask` is that of the stack's own tokens; none for a decoder. */
export const relativeStack = (
  graph: ModelGraph,
  stack: RelativeStack,
  embedded: string,
  {
    length,
    mask,
    past,
    cross,
  }: { length: string; mask?: string; past?: readonly KeysAndValues[]; cross?: CrossValues },
): BodyResult => {
  const earlier = past === undefined ? undefined : graph.size(past[0].key, 2)
  const span = earlier === undefined ? length : graph.node('Add', [earlier, length])
  const keys = range(graph, span)
  const queries = graph.node('Unsqueeze', [range(graph, span, earlier ?? graph.ints(0)), graph.ints(1)])
  const bias = distanceBias(graph, stack.relativeBias, queries, keys)
  const causal =
    cross === undefined
      ? undefined
      : graph.node('Unsqueeze', [graph.node('LessOrEqual', [keys, queries], {}, { type: 'bool' }), graph.ints(0, 1)])
  const own = mask === undefined ? undefined : present(graph, mask)
  const allowed = own !== undefined && causal !== undefined ? graph.node('And', [own, causal]) : (own ?? causal)
  if (allowed === undefined) throw new Error('an encoder without a mask')
  const all: KeysAndValues[] = []
  let stream = embedded
  graph.startLayers()
  stack.layers.forEach((layer, i) => {
    graph.layer(stream)
    graph.within(`${cross === undefined ? 'encoder' : 'decoder'}.layers.${i}`, () => {
      const inputs = { allowed, bias, past: past?.[i] }
      const mixed = attend(graph, norm(graph, stream, layer.attentionNorm), layer.attention, inputs)
      stream = addWide(graph, stream, mixed.output)
      if (layer.crossAttention !== undefined && layer.crossNorm !== undefined && cross !== undefined) {
        const source = { allowed: present(graph, cross.mask), source: cross.source[i] }
        const crossed = attend(graph, norm(graph, stream, layer.crossNorm), layer.crossAttention, source)
        stream = addWide(graph, stream, crossed.output)
      }
      stream = addWide(graph, stream, feedForward(graph, norm(graph, stream, layer.mlpNorm), layer.mlp))
      all.push(mixed.present)
    })
  })
  const hidden = norm(graph, stream, stack.finalNorm)
  graph.layer(hidden)
  return { hidden, present: all }
}

/** The encoder alone, or, as T5's classifiers read it, the decoder's output for the same tokens shifted right. */
const t5 = (graph: ModelGraph, body: T5Body, { ids, mask }: BodyValues, model: Model): BodyResult => {
  const length = graph.size(ids, 1)
  const encoded = relativeStack(graph, body.encoder, embed(graph, ids, body.embedTokens), { length, mask })
  const { definition, config, headType } = model
  // Heads that do not derive inputs of the decoder read the encoder's output.
  if (body.decoder === undefined || headEntry(definition, config, headType).prepare === undefined) return encoded
  const start = graph.node('Expand', [
    graph.ints(model.facts.decoderStartTokenId ?? 0),
    graph.node('Concat', [graph.size(ids, 0), graph.ints(1)], { axis: 0 }),
  ])
  const earlier = graph.node('Slice', [ids, graph.ints(0), graph.ints(-1), graph.ints(1)])
  const shifted = graph.node('Concat', [start, earlier], { axis: 1 })
  const source = crossKeysAndValues(graph, body.decoder, encoded.hidden)
  return relativeStack(graph, body.decoder, embed(graph, shifted, body.embedTokens), {
    length,
    cross: { source, mask },
  })
}

/** The body of a model. @throws ConfigError for one that has no graph */
export const bodyGraph = (graph: ModelGraph, model: Model, values: BodyValues): BodyResult => {
  const body: Body = model.body
  if (body instanceof EncoderBody) return encoder(graph, body, values)
  if (body instanceof Gpt2Body) return gpt2(graph, body, values)
  if (body instanceof DecoderBody && body.hasPlainLayers) return decoder(graph, body, values)
  if (body instanceof T5Body) return t5(graph, body, values, model)
  throw new ConfigError(
    `Expected a model of an architecture that can be exported to ONNX, got ${model.definition.type}. Export it as merged.`,
  )
}
