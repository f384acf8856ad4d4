// Encoder-decoders as nodes of a graph: T5 with a bias of scores by distance, BART and mBART with learned positions. The
// decoder reads the encoder's output through cross attention.
import {
  type CrossStack,
  EncoderDecoderBody,
  firstPosition,
  headEntry,
  type Model,
  type RelativeStack,
  T5Body,
} from '../../models/index.ts'
import type { Norm } from '../../nn/index.ts'
import type { Tensor } from '../../tensor/index.ts'
import { attend, type KeysAndValues, keysAndValues } from './attention.ts'
import { addWide, embed, feedForward, type ModelGraph, norm } from './layers.ts'
import { type BodyResult, type BodyValues, distanceBias, present, range } from './masks.ts'

export type TwoStackBody = T5Body | EncoderDecoderBody

/** Whether a body has an encoder and a decoder. */
export const hasTwoStacks = (body: object): body is TwoStackBody =>
  body instanceof T5Body || body instanceof EncoderDecoderBody

type Stack = RelativeStack | CrossStack

/** Cross attention of the decoder: keys and values of the encoder's output, by layer, and its mask. */
interface CrossValues {
  source: readonly KeysAndValues[]
  mask: string
}

/** Keys and values that the layers of a decoder compute from the encoder's output. */
export const crossKeysAndValues = (graph: ModelGraph, stack: Stack, encoderHidden: string): KeysAndValues[] =>
  stack.layers.map((layer, i) => {
    const { crossAttention } = layer
    if (crossAttention === undefined) throw new Error('a decoder without cross attention')
    return graph.within(`decoder.layers.${i}.cross`, () => keysAndValues(graph, encoderHidden, crossAttention))
  })

/** What a stack reads. */
interface StackInputs {
  /** int64 [B,T]. */
  ids: string
  /** Padding of the stack's own tokens; none for a decoder. */
  mask?: string
  /** Keys and values of earlier calls. */
  past?: readonly KeysAndValues[]
  /** For a decoder. */
  cross?: CrossValues
}

/** Token embeddings [B,T,C], with those of the positions where the stack has them. @param positions int64 [T] */
const embedded = (graph: ModelGraph, body: TwoStackBody, stack: Stack, ids: string, positions: string): string => {
  const tokens = embed(graph, ids, body.embedTokens)
  if (!('embedPositions' in stack) || !('embeddingScale' in body)) return tokens
  const scale = body.embeddingScale
  const scaled = scale === 1 ? tokens : graph.node('Mul', [tokens, graph.scalar(scale)])
  const places = graph.node('Add', [positions, graph.int(firstPosition)])
  return norm(graph, addWide(graph, scaled, embed(graph, places, stack.embedPositions)), stack.embeddingNorm)
}

/** The encoder of a body, or with `cross` its decoder. */
export const crossStack = (
  graph: ModelGraph,
  body: TwoStackBody,
  stack: Stack,
  { ids, mask, past, cross }: StackInputs,
): BodyResult => {
  const length = graph.size(ids, 1)
  const earlier = past === undefined ? undefined : graph.size(past[0].key, 2)
  const span = earlier === undefined ? length : graph.node('Add', [earlier, length])
  const keys = range(graph, span)
  const positions = range(graph, span, earlier ?? graph.ints(0))
  const queries = graph.node('Unsqueeze', [positions, graph.ints(1)])
  const bias = 'relativeBias' in stack ? distanceBias(graph, stack.relativeBias, queries, keys) : undefined
  const causal =
    cross === undefined
      ? undefined
      : graph.node('Unsqueeze', [graph.node('LessOrEqual', [keys, queries], {}, { type: 'bool' }), graph.ints(0, 1)])
  const own = mask === undefined ? undefined : present(graph, mask)
  const allowed = own !== undefined && causal !== undefined ? graph.node('And', [own, causal]) : (own ?? causal)
  if (allowed === undefined) throw new Error('an encoder without a mask')
  const all: KeysAndValues[] = []
  let stream = embedded(graph, body, stack, ids, positions)
  const add = (layer: Norm, block: (x: string) => string): void => {
    const known = layer as Norm & { weight: Tensor }
    const added = addWide(graph, stream, block(stack.normsBefore ? norm(graph, stream, known) : stream))
    stream = stack.normsBefore ? added : norm(graph, added, known)
  }
  graph.startLayers()
  stack.layers.forEach((layer, i) => {
    graph.layer(stream)
    graph.within(`${cross === undefined ? 'encoder' : 'decoder'}.layers.${i}`, () => {
      const { crossAttention, crossNorm } = layer
      add(layer.attentionNorm, (x) => {
        const mixed = attend(graph, x, layer.attention, { allowed, bias, past: past?.[i] })
        all.push(mixed.present)
        return mixed.output
      })
      if (crossAttention !== undefined && crossNorm !== undefined && cross !== undefined)
        add(crossNorm, (x) => {
          const source = { allowed: present(graph, cross.mask), source: cross.source[i] }
          return attend(graph, x, crossAttention, source).output
        })
      add(layer.mlpNorm, (x) => feedForward(graph, x, layer.mlp))
    })
  })
  const hidden = stack.finalNorm === undefined ? stream : norm(graph, stream, stack.finalNorm)
  graph.layer(hidden)
  return { hidden, present: all }
}

/** The decoder's first token: a fixed one, or the last of the text that is no padding, int64 [B,1]. */
const firstToken = (graph: ModelGraph, ids: string, first: { id: number } | { lastBefore: number }): string => {
  if ('id' in first) {
    const shape = graph.node('Concat', [graph.size(ids, 0), graph.ints(1)], { axis: 0 })
    return graph.node('Expand', [graph.ints(first.id), shape])
  }
  const padding = graph.node('Equal', [ids, graph.int(first.lastBefore)], {}, { type: 'bool' })
  const seen = graph.cast(graph.node('Not', [padding]), 'int64')
  const places = graph.node('Mul', [range(graph, graph.size(ids, 1)), seen])
  const last = graph.node('ArgMax', [places], { axis: 1, keepdims: 1 }, { type: 'int64' })
  return graph.node('GatherElements', [ids, last], { axis: 1 })
}

/** The encoder alone, or, as classifiers read it, the decoder's output for the same tokens shifted right. */
export const twoStacks = (
  graph: ModelGraph,
  body: TwoStackBody,
  { ids, mask }: BodyValues,
  { definition, config, headType }: Model,
): BodyResult => {
  const encoded = crossStack(graph, body, body.encoder, { ids, mask })
  const { prepare } = headEntry(definition, config, headType)
  // Heads that do not derive inputs of the decoder read the encoder's output.
  if (body.decoder === undefined || prepare === undefined) return encoded
  const earlier = graph.node('Slice', [ids, graph.ints(0), graph.ints(-1), graph.ints(1)])
  const shifted = graph.node('Concat', [firstToken(graph, ids, prepare.first), earlier], { axis: 1 })
  const source = crossKeysAndValues(graph, body.decoder, encoded.hidden)
  return crossStack(graph, body, body.decoder, { ids: shifted, cross: { source, mask } })
}
