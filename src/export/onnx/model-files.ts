// The graphs of a model by the files that transformers.js opens: one for encoders and decoders, two for encoder-decoders.
import { ConfigError } from '../../core/index.ts'
import { CausalLmHead, type Model, MultipleChoiceHead, Seq2SeqLmHead } from '../../models/index.ts'
import type { Attention } from '../../nn/index.ts'
import { attentionLayers, expectGroupable, type KeysAndValues } from './attention.ts'
import { bodyGraph } from './bodies.ts'
import { crossKeysAndValues, crossStack, hasTwoStacks, type TwoStackBody } from './cross-stacks.ts'
import type { GraphFormat } from './graph.ts'
import { headGraph, vocabularyLogits } from './heads.ts'
import { ModelGraph } from './layers.ts'
import type { Dimension } from './schema.ts'

// transformers.js makes empty caches with 0 for every symbolic dimension but the batch.
const [batch, tokens] = ['batch_size', 'sequence_length']
const [past, total] = ['past_sequence_length', 'total_sequence_length']

const parts = ['key', 'value'] as const

const newGraph = (model: Model, format: GraphFormat): ModelGraph => new ModelGraph(format, model.parameters())

/** Declares earlier keys and values as inputs. */
const pastInputs = (graph: ModelGraph, layers: readonly Attention[], part = '', length: Dimension = past) =>
  layers.map(({ settings: { kvHeads, headDim } }, i): KeysAndValues => {
    const [key, value] = parts.map((name) =>
      graph.input({
        name: `past_key_values.${i}.${part}${name}`,
        type: 'float32',
        shape: [batch, kvHeads, length, headDim],
      }),
    )
    return { key, value }
  })

const presentOutputs = (
  graph: ModelGraph,
  layers: readonly Attention[],
  values: readonly KeysAndValues[],
  part = '',
  length: Dimension = total,
): void =>
  layers.forEach(({ settings: { kvHeads, headDim } }, i) => {
    for (const name of parts)
      graph.output(values[i][name], {
        name: `present.${i}.${part}${name}`,
        type: 'float32',
        shape: [batch, kvHeads, length, headDim],
      })
  })

/** A decoder that generates: with earlier keys and values, and logits of the last tokens only on request. */
const generatingGraph = (model: Model, head: CausalLmHead, format: GraphFormat): ModelGraph => {
  const graph = newGraph(model, format)
  const ids = graph.input({ name: 'input_ids', type: 'int64', shape: [batch, tokens] })
  const mask = graph.input({ name: 'attention_mask', type: 'int64', shape: [batch, total] })
  const kept = graph.input({ name: 'num_logits_to_keep', type: 'int64', shape: [] })
  const layers = attentionLayers(model)
  const { hidden, present } = bodyGraph(graph, model, { ids, mask, past: pastInputs(graph, layers) })
  // From -n to the end; from -0, all.
  const from = graph.node('Neg', [graph.node('Unsqueeze', [kept, graph.ints(0)])])
  const last = graph.node('Slice', [hidden, from, graph.ints(2 ** 31 - 1), graph.ints(1)])
  const logits = vocabularyLogits(graph, last, head, model)
  graph.output(logits, { name: 'logits', type: 'float32', shape: [batch, 'num_logits', model.facts.vocabSize] })
  presentOutputs(graph, layers, present)
  return graph
}

/** A model that reads a text once. */
const readingGraph = (model: Model, format: GraphFormat): ModelGraph => {
  const graph = newGraph(model, format)
  const choices = model.head instanceof MultipleChoiceHead
  const shape = choices ? [batch, 'num_choices', tokens] : [batch, tokens]
  const input = (name: string) => graph.input({ name, type: 'int64', shape })
  // [B,N,T] -> [B·N,T]
  const flat = (value: string) =>
    choices
      ? graph.node('Reshape', [value, graph.node('Concat', [graph.ints(-1), graph.size(value, 2)], { axis: 0 })])
      : value
  const ids = input('input_ids')
  const given = input('attention_mask')
  const types = segmentsOf(model) > 1 ? flat(input('token_type_ids')) : undefined
  const mask = flat(given)
  const { hidden } = bodyGraph(graph, model, { ids: flat(ids), mask, types })
  for (const { name, value, shape } of headGraph(graph, model, { hidden, mask, ids }))
    graph.output(value, { name, type: 'float32', shape })
  return graph
}

const segmentsOf = ({ body }: Model): number =>
  'embedTypes' in body ? (body.parameters().get('embedTypes.weight')?.shape[0] ?? 0) : 0

const encoderGraph = (model: Model, body: TwoStackBody, format: GraphFormat): ModelGraph => {
  const graph = newGraph(model, format)
  const ids = graph.input({ name: 'input_ids', type: 'int64', shape: [batch, 'encoder_sequence_length'] })
  const mask = graph.input({ name: 'attention_mask', type: 'int64', shape: [batch, 'encoder_sequence_length'] })
  const { hidden } = crossStack(graph, body, body.encoder, { ids, mask })
  const shape = [batch, 'encoder_sequence_length', model.facts.hiddenSize]
  graph.output(hidden, { name: 'last_hidden_state', type: 'float32', shape })
  return graph
}

/** The decoder: keys and values of the encoder's output are computed without a cache, and taken from it with one. */
const mergedDecoderGraph = (model: Model, body: TwoStackBody, head: Seq2SeqLmHead, format: GraphFormat): ModelGraph => {
  const graph = newGraph(model, format)
  const { decoder } = body
  if (decoder === undefined) throw new ConfigError('Expected an encoder-decoder with its decoder to export, got none.')
  const source = 'encoder_sequence_length'
  const mask = graph.input({ name: 'encoder_attention_mask', type: 'int64', shape: [batch, source] })
  const ids = graph.input({ name: 'input_ids', type: 'int64', shape: [batch, tokens] })
  const width = model.facts.hiddenSize
  const encoded = graph.input({ name: 'encoder_hidden_states', type: 'float32', shape: [batch, source, width] })
  const layers = decoder.layers.map(({ attention }) => attention)
  const earlier = pastInputs(graph, layers, 'decoder.')
  const cached = pastInputs(graph, layers, 'encoder.', 'encoder_sequence_length_out')
  const useCache = graph.input({ name: 'use_cache_branch', type: 'bool', shape: [1] })
  const listed = (values: readonly KeysAndValues[]) =>
    values.flatMap(({ key, value }, i) => {
      const { kvHeads, headDim } = layers[i].settings
      const shape = [batch, kvHeads, 'encoder_sequence_length_out', headDim]
      return [key, value].map((one) => ({ value: graph.cast(one, 'float32'), shape }))
    })
  const found = graph.nodes(
    'If',
    [useCache],
    layers.flatMap(() => ['float32', 'float32'] as const),
    {
      then_branch: { graph: graph.branch('cached', () => listed(cached)) },
      else_branch: { graph: graph.branch('encoded', () => listed(crossKeysAndValues(graph, decoder, encoded))) },
    },
  )
  const cross = layers.map((_, i) => ({ key: found[2 * i], value: found[2 * i + 1] }))
  const { hidden, present } = crossStack(graph, body, decoder, { ids, past: earlier, cross: { source: cross, mask } })
  const logits = vocabularyLogits(graph, hidden, head, model)
  graph.output(logits, { name: 'logits', type: 'float32', shape: [batch, tokens, model.facts.vocabSize] })
  presentOutputs(graph, layers, present, 'decoder.')
  presentOutputs(graph, layers, cross, 'encoder.', 'encoder_sequence_length_out')
  return graph
}

/**
 * The graphs of a model, by the names of their files without suffix and ending.
 * @throws ConfigError for an architecture or head that has no graph of these operators
 */
export const modelGraphs = (model: Model, format: GraphFormat): Map<string, () => ModelGraph> => {
  const { body, head } = model
  if (format.operators === 'grouped') expectGroupable(model)
  if (head instanceof CausalLmHead) return new Map([['model', () => generatingGraph(model, head, format)]])
  if (head instanceof Seq2SeqLmHead && hasTwoStacks(body))
    return new Map([
      ['encoder_model', () => encoderGraph(model, body, format)],
      ['decoder_model_merged', () => mergedDecoderGraph(model, body, head, format)],
    ])
  return new Map([['model', () => readingGraph(model, format)]])
}
