// GPT-2 and BERT as plain functions over the engine's fused operators, to time the engine itself without the model library.
import {
  addLayerNorm,
  attention,
  embedding,
  fusedGelu,
  linear,
  linearCrossEntropy,
  type Tensor,
} from '../../src/tensor/index.ts'
import type { Parameters } from './parameters.ts'

export interface ModelSize {
  layers: number
  hidden: number
  heads: number
  mlp: number
  vocab: number
  /** Rows of the embedding: the vocabulary rounded up, which output layers like. */
  paddedVocab: number
  positions: number
}

export interface Batch {
  /** int64 [B,T] */
  ids: Tensor
  /** int64 [B*T]; -100 where nothing is predicted. */
  targets: Tensor
  /** int64: positions in [B*T] with a target, where only those are predicted. */
  positions?: Tensor
}

export interface BenchModel {
  /** Loss summed over predicted positions. */
  loss(batch: Batch): Tensor
  /** [rows, depth, columns, how often a step multiplies them] of every matrix product in a forward pass. */
  products(batchSize: number, length: number, predicted: number): [number, number, number, number][]
}

type Layer = Record<
  'qkvW' | 'qkvB' | 'outW' | 'outB' | 'norm1W' | 'norm1B' | 'upW' | 'upB' | 'downW' | 'downB' | 'norm2W' | 'norm2B',
  Tensor
>

const makeLayer = (parameters: Parameters, prefix: string, { hidden, mlp }: ModelSize): Layer => {
  const add = (name: string, ...shape: number[]) => parameters.add(`${prefix}.${name}`, shape)
  return {
    norm1W: add('norm1.weight', hidden),
    norm1B: add('norm1.bias', hidden),
    qkvW: add('qkv.weight', 3 * hidden, hidden),
    qkvB: add('qkv.bias', 3 * hidden),
    outW: add('out.weight', hidden, hidden),
    outB: add('out.bias', hidden),
    norm2W: add('norm2.weight', hidden),
    norm2B: add('norm2.bias', hidden),
    upW: add('up.weight', mlp, hidden),
    upB: add('up.bias', mlp),
    downW: add('down.weight', hidden, mlp),
    downB: add('down.bias', hidden),
  }
}

const attend = (layer: Layer, input: Tensor, heads: number, causal: boolean): Tensor => {
  const [batch, length, hidden] = input.shape
  const qkv = linear(input, layer.qkvW, layer.qkvB).view([batch, length, 3, heads, hidden / heads])
  // Not three selections, as each would fill a gradient of its own with zeros.
  const [query, key, value] = qkv.unbind(2)
  const mixed = attention(query, key, value, { causal })
  return linear(mixed.reshape([batch, length, hidden]), layer.outW, layer.outB)
}

const transform = (layer: Layer, input: Tensor, approximate: 'none' | 'tanh'): Tensor =>
  linear(fusedGelu(linear(input, layer.upW, layer.upB), { approximate }), layer.downW, layer.downB)

const bodyProducts = ({ layers, hidden, mlp }: ModelSize, rows: number): [number, number, number, number][] => [
  [rows, hidden, 3 * hidden, layers],
  [rows, hidden, hidden, layers],
  [rows, hidden, mlp, layers],
  [rows, mlp, hidden, layers],
]

/** GPT-2: norm before each block, tied output layer. */
export const gpt2 = (parameters: Parameters, size: ModelSize): BenchModel => {
  const tokens = parameters.add('tokens', [size.paddedVocab, size.hidden])
  const places = parameters.add('positions', [size.positions, size.hidden])
  const layers = Array.from({ length: size.layers }, (_, i) => makeLayer(parameters, `layers.${i}`, size))
  const finalW = parameters.add('final.weight', [size.hidden])
  const finalB = parameters.add('final.bias', [size.hidden])
  return {
    loss: ({ ids, targets }) => {
      let stream = embedding(tokens, ids).add(places.narrow(0, 0, ids.shape[1]))
      let change: Tensor | null = null
      for (const layer of layers) {
        const [afterMlp, first] = addLayerNorm(stream, change, layer.norm1W, layer.norm1B, 1e-5)
        const [afterAttention, second] = addLayerNorm(
          afterMlp,
          attend(layer, first, size.heads, true),
          layer.norm2W,
          layer.norm2B,
          1e-5,
        )
        change = transform(layer, second, 'tanh')
        stream = afterAttention
      }
      const [, hidden] = addLayerNorm(stream, change, finalW, finalB, 1e-5)
      return linearCrossEntropy(hidden.view([-1, size.hidden]), tokens, null, targets, { vocabSize: size.vocab })[0]
    },
    products: (batch, length) => [
      ...bodyProducts(size, batch * length),
      [batch * length, size.hidden, size.paddedVocab, 1],
    ],
  }
}

/** BERT: norm after each block, masked-word head over the masked positions only, tied output layer with a bias. */
export const bert = (parameters: Parameters, size: ModelSize): BenchModel => {
  const tokens = parameters.add('tokens', [size.paddedVocab, size.hidden])
  const places = parameters.add('positions', [size.positions, size.hidden])
  const types = parameters.add('types', [2, size.hidden])
  const normW = parameters.add('embedding.norm.weight', [size.hidden])
  const normB = parameters.add('embedding.norm.bias', [size.hidden])
  const layers = Array.from({ length: size.layers }, (_, i) => makeLayer(parameters, `layers.${i}`, size))
  const headW = parameters.add('head.weight', [size.hidden, size.hidden])
  const headB = parameters.add('head.bias', [size.hidden])
  const headNormW = parameters.add('head.norm.weight', [size.hidden])
  const headNormB = parameters.add('head.norm.bias', [size.hidden])
  const outputB = parameters.add('output.bias', [size.paddedVocab])
  return {
    loss: ({ ids, targets, positions }) => {
      const summed = embedding(tokens, ids).add(places.narrow(0, 0, ids.shape[1]).add(types.select(0, 0)))
      let [, stream] = addLayerNorm(summed, null, normW, normB, 1e-12)
      for (const layer of layers) {
        ;[, stream] = addLayerNorm(stream, attend(layer, stream, size.heads, false), layer.norm1W, layer.norm1B, 1e-12)
        ;[, stream] = addLayerNorm(stream, transform(layer, stream, 'none'), layer.norm2W, layer.norm2B, 1e-12)
      }
      const rows = stream.view([-1, size.hidden])
      const chosen = positions === undefined ? rows : rows.indexSelect(0, positions)
      const wanted = positions === undefined ? targets : targets.indexSelect(0, positions)
      const [, hidden] = addLayerNorm(fusedGelu(linear(chosen, headW, headB)), null, headNormW, headNormB, 1e-12)
      return linearCrossEntropy(hidden, tokens, outputB, wanted, { vocabSize: size.vocab })[0]
    },
    products: (batch, length, predicted) => [
      ...bodyProducts(size, batch * length),
      [predicted, size.hidden, size.hidden, 1],
      [predicted, size.hidden, size.paddedVocab, 1],
    ],
  }
}
