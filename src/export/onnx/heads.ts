// Heads as nodes of a graph, with the names of outputs that transformers.js reads.
import { ConfigError } from '../../core/index.ts'
import {
  EmbeddingHead,
  type Head,
  headEntry,
  LanguageHead,
  MaskedLmHead,
  type Model,
  MultipleChoiceHead,
  ReplacedTokenDetectionHead,
  RewardHead,
  RowClassifier,
  SentencePretrainingHead,
  Seq2SeqLmHead,
  TokenClassifier,
} from '../../models/index.ts'
import type { ActivationName } from '../../nn/index.ts'
import { activate, linear, type ModelGraph, norm, softCapped } from './layers.ts'
import type { Dimension } from './schema.ts'

export interface HeadValues {
  /** float32 [B,T,C]. */
  hidden: string
  /** int64 [B,T]. */
  mask: string
  /** The input as the caller gave it, for the shape of multiple choice. */
  ids: string
}

/** An output of the graph. */
export interface HeadOutput {
  name: string
  value: string
  shape: readonly Dimension[]
}

const [batch, tokens] = ['batch_size', 'sequence_length']

/** [B,T,C] -> [B,C] */
const pool = (graph: ModelGraph, { hidden, mask }: HeadValues, how: 'first' | 'last' | 'mean'): string => {
  const poolings = {
    first: () => graph.node('Gather', [hidden, graph.int(0)], { axis: 1 }),
    // The rightmost token that is no padding.
    last: () => {
      const length = graph.node('Squeeze', [graph.size(mask, 1), graph.ints(0)])
      const places = graph.node('Range', [graph.int(0), length, graph.int(1)])
      const last = graph.node('ArgMax', [graph.node('Mul', [places, mask])], { axis: 1, keepdims: 1 })
      return graph.node('GatherND', [hidden, last], { batch_dims: 1 })
    },
    mean: () => {
      const seen = graph.node('Unsqueeze', [graph.cast(mask, 'float32'), graph.ints(2)])
      const sum = graph.node('ReduceSum', [graph.node('Mul', [hidden, seen]), graph.ints(1)], { keepdims: 0 })
      const count = graph.node('ReduceSum', [seen, graph.ints(1)], { keepdims: 0 })
      return graph.node('Div', [sum, graph.node('Max', [count, graph.scalar(1)])])
    },
  }
  return poolings[how]()
}

/** The dense layer before an output layer, if there is one. */
const beforeOutput = (
  graph: ModelGraph,
  x: string,
  { dense, denseNorm }: RowClassifier | TokenClassifier,
  activation: ActivationName | undefined,
): string => {
  const wide =
    dense === undefined || activation === undefined ? x : activate(graph, linear(graph, x, dense), activation)
  return denseNorm === undefined ? wide : norm(graph, wide, denseNorm)
}

const classify = (graph: ModelGraph, values: HeadValues, head: RowClassifier): string => {
  const { pooling, dense, endTokenId } = head.shape
  const ends = () => graph.node('Equal', [values.ids, graph.int(endTokenId ?? 0)], {}, { type: 'bool' })
  const read = endTokenId === undefined ? values : { ...values, mask: graph.cast(ends(), 'int64') }
  return linear(graph, beforeOutput(graph, pool(graph, read, pooling), head, dense?.activation), head.classifier)
}

/** Logits of the vocabulary, [...,C] -> [...,V]. */
export const vocabularyLogits = (graph: ModelGraph, hidden: string, head: LanguageHead, model: Model): string => {
  let x = hidden
  if (head instanceof MaskedLmHead)
    x = norm(graph, activate(graph, linear(graph, x, head.dense), head.activation), head.norm)
  if (head instanceof Seq2SeqLmHead && head.scale !== 1) x = graph.node('Mul', [x, graph.scalar(head.scale, x)])
  const logits = linear(graph, x, head.lmHead, head.lmHead.weight === model.body.embedTokens.weight)
  return softCapped(graph, logits, model.facts.logitSoftcap ?? 0)
}

const embeddingOutputs = (graph: ModelGraph, values: HeadValues, head: EmbeddingHead, width: number): HeadOutput[] => {
  const { pooling, normalize } = head.settings
  const row = pool(graph, values, pooling)
  const root = () => graph.node('ReduceL2', [row, graph.ints(-1)], { keepdims: 1 })
  const value = normalize ? graph.node('Div', [row, graph.node('Max', [root(), graph.scalar(1e-12)])]) : row
  return [
    { name: 'last_hidden_state', value: values.hidden, shape: [batch, tokens, width] },
    { name: 'sentence_embedding', value, shape: [batch, width] },
  ]
}

/** The outputs of a head. @throws ConfigError for a head that has no graph */
export const headGraph = (graph: ModelGraph, model: Model, values: HeadValues): HeadOutput[] => {
  const head: Head = model.head
  const logits = (value: string, ...shape: Dimension[]): HeadOutput => ({ name: 'logits', value, shape })
  const { hidden } = values
  const outputs = (layer: { shape: readonly number[] }) => layer.shape[0]
  if (head instanceof MultipleChoiceHead) {
    const shape = graph.node('Shape', [values.ids], { start: 0, end: 2 }, { type: 'int64' })
    return [logits(graph.node('Reshape', [classify(graph, values, head), shape]), batch, 'num_choices')]
  }
  if (head instanceof RowClassifier) return [logits(classify(graph, values, head), batch, outputs(head.classifier))]
  if (head instanceof RewardHead && head.scorer instanceof RowClassifier)
    return [logits(classify(graph, values, head.scorer), batch, 1)]
  if (head instanceof EmbeddingHead) return embeddingOutputs(graph, values, head, model.facts.hiddenSize)
  if (head instanceof TokenClassifier) {
    const scores = linear(graph, beforeOutput(graph, hidden, head, head.denseShape?.activation), head.classifier)
    const { labels } = headEntry(model.definition, model.config, model.headType)
    // Without labels the two scores of a token are those of an answer's start and end.
    if (labels !== undefined) return [logits(scores, batch, tokens, outputs(head.classifier))]
    return ['start_logits', 'end_logits'].map((name, i) => ({
      name,
      value: graph.node('Gather', [scores, graph.int(i)], { axis: 2 }),
      shape: [batch, tokens],
    }))
  }
  if (head instanceof ReplacedTokenDetectionHead) {
    const dense = activate(graph, linear(graph, hidden, head.dense), head.activation)
    return [logits(graph.node('Squeeze', [linear(graph, dense, head.classifier), graph.ints(-1)]), batch, tokens)]
  }
  if (head instanceof LanguageHead) {
    const words = logits(vocabularyLogits(graph, hidden, head, model), batch, tokens, model.facts.vocabSize)
    if (!(head instanceof SentencePretrainingHead)) return [words]
    const pooled = activate(graph, linear(graph, pool(graph, values, 'first'), head.pooler), 'tanh')
    return [words, { name: 'seq_relationship_logits', value: linear(graph, pooled, head.relation), shape: [batch, 2] }]
  }
  throw new ConfigError(
    `Expected a model with a head that can be exported to ONNX, got ${model.headType}. Export it as merged.`,
  )
}
