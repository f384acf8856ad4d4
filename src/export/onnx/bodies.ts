// Bodies as nodes of a graph, by the stack that they are built of. Encoders attend to all tokens; decoders to earlier ones,
// with the keys and values of earlier calls.
import { ConfigError } from '../../core/index.ts'
import {
  type Body,
  DebertaBody,
  DecoderBody,
  EncoderBody,
  Gpt2Body,
  GptNeoxBody,
  type Model,
  ModernBertBody,
} from '../../models/index.ts'
import type { Attention, Mlp, Norm, RotaryTable } from '../../nn/index.ts'
import type { Tensor } from '../../tensor/index.ts'
import { type Angles, type AttentionInputs, attend, type KeysAndValues } from './attention.ts'
import { valuesConstant } from './constants.ts'
import { hasTwoStacks, twoStacks } from './cross-stacks.ts'
import { addWide, embed, feedForward, linear, type ModelGraph, norm } from './layers.ts'
import { type BodyResult, type BodyValues, distanceBias, maskOf, positionsByMask, present, range } from './masks.ts'

type AnyNorm = Norm & { weight: Tensor }

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
  return postNormLayers(graph, embedded, body.computedLayers, { allowed: present(graph, mask), bias })
}

/** Layers whose norms are after their blocks. */
const postNormLayers = (
  graph: ModelGraph,
  embedded: string,
  layers: EncoderBody['computedLayers'],
  inputs: AttentionInputs,
): BodyResult => {
  const start = graph.cast(embedded, 'float32')
  graph.layer(start)
  const hidden = layers.reduce(
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

/** @source arXiv:2006.03654 */
const deberta = (graph: ModelGraph, body: DebertaBody, { ids, mask, types }: BodyValues): BodyResult => {
  const places = range(graph, graph.size(ids, 1))
  const embedded = graph.within('embeddings', () => {
    let sum = embed(graph, ids, body.embedTokens)
    if (body.embedPositions !== undefined) sum = addWide(graph, sum, embed(graph, places, body.embedPositions))
    if (body.embedTypes !== undefined) sum = addWide(graph, sum, embed(graph, types ?? graph.ints(0), body.embedTypes))
    return norm(graph, sum, body.embeddingNorm)
  })
  const { embedDistances, distanceNorm, distanceRows: rows } = body
  if (embedDistances === undefined)
    return postNormLayers(graph, embedded, body.layers, { allowed: present(graph, mask) })
  const distances = graph.within('distances', () => {
    const table = graph.parameter(embedDistances.weight)
    const queries = graph.node('Unsqueeze', [places, graph.ints(1)])
    const farthest = (rows.length - 1) / 2
    const least = graph.node('Max', [graph.node('Sub', [queries, places]), graph.int(-farthest)])
    const clipped = graph.node('Min', [least, graph.int(farthest)])
    const stored = graph.constant(valuesConstant('rows of distances', 'int64', [rows.length], rows))
    const index = graph.node('Gather', [stored, graph.node('Add', [clipped, graph.int(farthest)])], { axis: 0 })
    return { embeddings: distanceNorm === undefined ? table : norm(graph, table, distanceNorm), index }
  })
  return postNormLayers(graph, embedded, body.layers, { allowed: present(graph, mask), distances })
}

/** A layer whose norms are before its blocks, after them, or both, as in `runPreNormLayers`. */
interface PreNormLayer {
  attentionNorm?: Norm
  attention: Attention
  attentionOutputNorm?: Norm
  mlpNorm?: Norm
  mlp: Mlp
  mlpOutputNorm?: Norm
  parallel?: boolean
}

const normed = (graph: ModelGraph, x: string, layer: Norm | undefined): string =>
  layer === undefined ? x : norm(graph, x, layer as AnyNorm)

/** The layers and the final norm. @param anglesOf rotary positions of a layer; none without them */
const preNormLayers = (
  graph: ModelGraph,
  embedded: string,
  { layers, finalNorm }: { layers: readonly PreNormLayer[]; finalNorm: AnyNorm },
  values: BodyValues,
  anglesOf: (layer: number) => Angles | undefined = () => undefined,
): BodyResult => {
  const all: KeysAndValues[] = []
  let stream = embedded
  layers.forEach((layer, i) => {
    graph.layer(stream)
    const angles = anglesOf(i)
    graph.within(`layers.${i}`, () => {
      const inputs = { allowed: maskOf(graph, values, layer.attention), angles, past: values.past?.[i] }
      const input = normed(graph, stream, layer.attentionNorm)
      const { output, present } = graph.within('attention', () => attend(graph, input, layer.attention, inputs))
      const attended = addWide(graph, stream, normed(graph, output, layer.attentionOutputNorm))
      const read = layer.parallel ? stream : attended
      const wide = graph.within('mlp', () => feedForward(graph, normed(graph, read, layer.mlpNorm), layer.mlp))
      stream = addWide(graph, attended, normed(graph, wide, layer.mlpOutputNorm))
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
const frequenciesOf = (graph: ModelGraph, table: RotaryTable, mask: string, prefix: string): string => {
  const { frequencies, lengthDependent } = table.frequencies(1)
  const { theta, scaling, rotaryDim } = table.options
  const count = frequencies.length
  const constant = (name: string, values: Float32Array) =>
    graph.constant(valuesConstant(`${prefix}.${name}`, 'float32', [count], values))
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
const anglesOf = (graph: ModelGraph, table: RotaryTable, values: BodyValues, name: string): Angles => {
  const positions = graph.node('Unsqueeze', [positionsByMask(graph, values), graph.ints(1, 3)])
  const angles = graph.node('Mul', [graph.cast(positions, 'float32'), frequenciesOf(graph, table, values.mask, name)])
  const { magnitude } = table.frequencies(1)
  const scaled = (x: string) => (magnitude === 1 ? x : graph.node('Mul', [x, graph.scalar(magnitude)]))
  return {
    cos: scaled(graph.node('Cos', [angles])),
    sin: scaled(graph.node('Sin', [angles])),
    size: table.options.rotaryDim,
  }
}

/** A body whose layers have rotary positions. */
interface RotaryBody extends Body {
  layers: readonly PreNormLayer[]
  finalNorm: AnyNorm
  rotaryOf(layer: number): RotaryTable | undefined
}

/** Layers over embeddings, with the rotary positions of each. */
const rotaryLayers = (graph: ModelGraph, body: RotaryBody, embedded: string, values: BodyValues): BodyResult => {
  const tables = [...new Set(body.layers.map((_, i) => body.rotaryOf(i)))]
  const angles = tables.map((table, i) => {
    const name = i === 0 ? 'rotary' : `rotary.${i}`
    return table === undefined ? undefined : graph.within(name, () => anglesOf(graph, table, values, name))
  })
  return preNormLayers(graph, embedded, body, values, (layer) => angles[tables.indexOf(body.rotaryOf(layer))])
}

const decoder = (graph: ModelGraph, body: DecoderBody, values: BodyValues): BodyResult => {
  const embedded = embed(graph, values.ids, body.embedTokens)
  const { embeddingScale } = body
  const scaled = embeddingScale === 1 ? embedded : graph.node('Mul', [embedded, graph.scalar(embeddingScale)])
  return rotaryLayers(graph, body, scaled, values)
}

/** The body of a model. @throws ConfigError for one that has no graph */
export const bodyGraph = (graph: ModelGraph, model: Model, values: BodyValues): BodyResult => {
  const body: Body = model.body
  if (body instanceof EncoderBody) return encoder(graph, body, values)
  if (body instanceof DebertaBody) return deberta(graph, body, values)
  if (body instanceof Gpt2Body) return gpt2(graph, body, values)
  if (body instanceof DecoderBody) return decoder(graph, body, values)
  if (body instanceof GptNeoxBody) return rotaryLayers(graph, body, embed(graph, values.ids, body.embedTokens), values)
  if (body instanceof ModernBertBody) {
    const embedded = norm(graph, embed(graph, values.ids, body.embedTokens), body.embeddingNorm)
    return rotaryLayers(graph, body, embedded, values)
  }
  if (hasTwoStacks(body)) return twoStacks(graph, body, values, model)
  throw new ConfigError(
    `Expected a model of an architecture that can be exported to ONNX, got ${model.definition.type}. Export it as merged.`,
  )
}
