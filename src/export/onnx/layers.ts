// Layers as nodes of a graph: linear layers in every format of matrices, embeddings, norms, activations, feed-forward blocks.
// The stream between layers stays in float32; matrices and what they multiply have the type of the format.
import {
  type ActivationName,
  type Embedding,
  GatedMlp,
  LayerNorm,
  type Linear,
  type Mlp,
  type Norm,
  PlainMlp,
  RmsNorm,
  SparseMlp,
} from '../../nn/index.ts'
import type { Tensor } from '../../tensor/index.ts'
import {
  floatConstant,
  type Int8Constants,
  int4Block,
  int4Constants,
  int8Constants,
  transposedConstant,
  valuesConstant,
} from './constants.ts'
import { GraphBuilder } from './graph.ts'
import type { GraphPort } from './schema.ts'

/** The domain of onnxruntime's own operators. */
export const contributed = 'com.microsoft'

/** The graph of a model: a builder that knows the names of the model's parameters. */
export class ModelGraph extends GraphBuilder {
  readonly #names: ReadonlyMap<Tensor, string>
  readonly #int8 = new Map<string, Int8Constants>()
  readonly #layers: string[] = []
  readonly #experts: { name: string; perToken: number }[] = []

  constructor(format: GraphBuilder['format'], parameters: ReadonlyMap<string, Tensor>) {
    super(format)
    this.#names = new Map([...parameters].map(([path, tensor]) => [tensor, path]))
  }

  /** Path of a parameter in the model. */
  nameOf(parameter: Tensor): string {
    const name = this.#names.get(parameter)
    if (name === undefined) throw new Error('a tensor that is no parameter of the model')
    return name
  }

  /** A vector or table in float32, as it is. */
  parameter(tensor: Tensor): string {
    return this.constant(floatConstant(this.nameOf(tensor), tensor, 'float32'))
  }

  /** Begins a stack of layers: the layers of the last one are those that `layerPorts` gives. */
  startLayers(): void {
    this.#layers.length = 0
  }

  /** Remembers the embeddings, or the output of the next layer. */
  layer(value: string): void {
    this.#layers.push(value)
  }

  /** The embeddings and the output of each layer, as outputs that a written file may be given. */
  layerPorts(width: number): GraphPort[] {
    return this.#layers.map((name) => ({ name, type: 'float32', shape: ['layer_batch', 'layer_tokens', width] }))
  }

  /** Remembers the experts of each token in a mixture, int64 [B,T,k]. */
  experts(name: string, perToken: number): void {
    this.#experts.push({ name, perToken })
  }

  /** The experts in each mixture, as outputs that a written file may be given. */
  expertPorts(): GraphPort[] {
    return this.#experts.map(({ name, perToken }) => ({
      name,
      type: 'int64',
      shape: ['layer_batch', 'layer_tokens', perToken],
    }))
  }

  /** A tensor in 8 bits, quantised once for all its uses. */
  int8(tensor: Tensor, options: { byRow: boolean; transpose: boolean }): Int8Constants {
    const name = this.nameOf(tensor)
    const found = this.#int8.get(name) ?? int8Constants(name, tensor, options)
    this.#int8.set(name, found)
    return found
  }
}

/** Adds two values in float32. */
export const addWide = (graph: GraphBuilder, a: string, b: string): string =>
  graph.node('Add', [graph.cast(a, 'float32'), graph.cast(b, 'float32')])

/** [...,K] -> [...,N] by the float matrix of the layer. */
const floatProduct = (graph: ModelGraph, x: string, weight: Tensor, table: boolean): string => {
  const { type } = graph.format
  const name = graph.nameOf(weight)
  // An output matrix that is the embedding's is in the file once: rows of the table, transposed when it is loaded.
  const matrix = table
    ? graph.once(`transposed ${name}`, () =>
        graph.node('Transpose', [graph.constant(floatConstant(name, weight, type))], { perm: [1, 0] }),
      )
    : graph.constant(transposedConstant(name, weight, type))
  return graph.node('MatMul', [graph.cast(x, type), matrix])
}

/** The product by integers; activations are quantised by their range at run time. @source onnxruntime quantize_dynamic */
const int8Product = (graph: ModelGraph, x: string, weight: Tensor, table: boolean): string => {
  const name = graph.nameOf(weight)
  const byRow = graph.format.scalePerOutput || table
  const { values, scales } = graph.int8(weight, { byRow, transpose: !table })
  const stored = graph.constant(values)
  const matrix = table
    ? graph.once(`transposed ${stored}`, () => graph.node('Transpose', [stored], { perm: [1, 0] }))
    : stored
  const wide = graph.cast(x, 'float32')
  const quantized = graph.once(`quantized ${wide}`, () =>
    graph.nodes('DynamicQuantizeLinear', [wide], ['uint8', 'float32', 'uint8']).join('\n'),
  )
  const [codes, scale, zero] = quantized.split('\n')
  const sums = graph.node('MatMulInteger', [codes, matrix, zero], {}, { type: 'int32' })
  const weightScale = graph.constant(valuesConstant(`${name}_scale`, 'float32', [scales.length], scales))
  return graph.node('Mul', [graph.cast(sums, 'float32'), graph.node('Mul', [scale, weightScale])])
}

const int4Product = (graph: ModelGraph, x: string, weight: Tensor): string => {
  const { codes, scales } = int4Constants(graph.nameOf(weight), weight, graph.format.type)
  const [outputs, inputs] = weight.shape
  return graph.node(
    'MatMulNBits',
    [graph.cast(x, graph.format.type), graph.constant(codes), graph.constant(scales)],
    { K: inputs, N: outputs, bits: 4, block_size: int4Block },
    { domain: contributed },
  )
}

/** A linear layer, [...,K] -> [...,N] in the type of the format. @param table the matrix is the table of an embedding too */
export const linear = (graph: ModelGraph, x: string, layer: Linear, table = false): string => {
  const products = {
    float: () => floatProduct(graph, x, layer.weight, table),
    int8: () => int8Product(graph, x, layer.weight, table),
    int4: () => int4Product(graph, x, layer.weight),
  }
  const product = products[graph.format.matrices]()
  if (layer.bias === undefined) return product
  const bias = graph.constant(floatConstant(graph.nameOf(layer.bias), layer.bias, graph.format.type))
  return graph.node('Add', [product, bias])
}

/** Rows of a table in float32: int64 [...] -> [...,C]. */
export const embed = (graph: ModelGraph, ids: string, { weight }: Embedding): string => {
  if (graph.format.matrices !== 'int8') {
    const table = graph.constant(floatConstant(graph.nameOf(weight), weight, graph.format.type))
    return graph.cast(graph.node('Gather', [table, ids], { axis: 0 }), 'float32')
  }
  // A scale for each row: more precise than onnxruntime's quantiser, which has one for the table.
  const { values, scales } = graph.int8(weight, { byRow: true, transpose: false })
  const codes = graph.node('Gather', [graph.constant(values), ids], { axis: 0 })
  const scale = graph.constant(valuesConstant(`${graph.nameOf(weight)}_scale`, 'float32', [scales.length], scales))
  const rows = graph.node('Unsqueeze', [graph.node('Gather', [scale, ids], { axis: 0 }), graph.ints(-1)])
  return graph.node('Mul', [graph.cast(codes, 'float32'), rows])
}

/** The weight of a norm, with what is added to it. */
const normWeight = (graph: ModelGraph, layer: Norm & { weight: Tensor }): string => {
  if (!(layer instanceof RmsNorm) || layer.offset === 0) return graph.parameter(layer.weight)
  const values = layer.weight.toFloat32Array().map((value) => value + layer.offset)
  return graph.constant(valuesConstant(graph.nameOf(layer.weight), 'float32', [values.length], values))
}

/** A norm over the last dimension, in float32. */
export const norm = (graph: ModelGraph, x: string, layer: Norm & { weight: Tensor; bias?: Tensor }): string => {
  const wide = graph.cast(x, 'float32')
  const weight = normWeight(graph, layer)
  const epsilon = { float: layer.eps }
  if (layer instanceof LayerNorm) {
    const bias = layer.bias === undefined ? [] : [graph.parameter(layer.bias)]
    return graph.node('LayerNormalization', [wide, weight, ...bias], { axis: -1, epsilon })
  }
  if (graph.format.operators === 'standard')
    return graph.node('RMSNormalization', [wide, weight], { axis: -1, epsilon })
  const square = graph.node('ReduceMean', [graph.node('Mul', [wide, wide]), graph.ints(-1)], { keepdims: 1 })
  const root = graph.node('Sqrt', [graph.node('Add', [square, graph.scalar(layer.eps)])])
  return graph.node('Mul', [graph.node('Div', [wide, root]), weight])
}

const geluTanh = (graph: GraphBuilder, x: string): string => {
  const cube = graph.node('Mul', [graph.node('Mul', [x, x]), x])
  const inner = graph.node('Add', [x, graph.node('Mul', [cube, graph.scalar(0.044715, x)])])
  const tanh = graph.node('Tanh', [graph.node('Mul', [inner, graph.scalar(Math.sqrt(2 / Math.PI), x)])])
  return graph.node('Mul', [
    graph.node('Mul', [x, graph.scalar(0.5, x)]),
    graph.node('Add', [tanh, graph.scalar(1, x)]),
  ])
}
const silu = (graph: GraphBuilder, x: string): string => graph.node('Mul', [x, graph.node('Sigmoid', [x])])

const functions: Record<ActivationName, (graph: GraphBuilder, x: string) => string> = {
  gelu: (graph, x) => {
    const erf = graph.node('Erf', [graph.node('Div', [x, graph.scalar(Math.SQRT2, x)])])
    return graph.node('Mul', [
      graph.node('Mul', [x, graph.node('Add', [erf, graph.scalar(1, x)])]),
      graph.scalar(0.5, x),
    ])
  },
  gelu_new: geluTanh,
  gelu_pytorch_tanh: geluTanh,
  gelu_fast: geluTanh,
  quick_gelu: (graph, x) =>
    graph.node('Mul', [x, graph.node('Sigmoid', [graph.node('Mul', [x, graph.scalar(1.702, x)])])]),
  relu: (graph, x) => graph.node('Relu', [x]),
  silu,
  swish: silu,
  tanh: (graph, x) => graph.node('Tanh', [x]),
  sigmoid: (graph, x) => graph.node('Sigmoid', [x]),
}

/** An activation function. It is computed in float32, where powers of large elements do not overflow. */
export const activate = (graph: GraphBuilder, x: string, name: ActivationName): string =>
  functions[name](graph, graph.cast(x, 'float32'))

/** `cap * tanh(x / cap)` in float32; the value itself where `cap` is 0. */
export const softCapped = (graph: GraphBuilder, x: string, cap: number): string => {
  if (cap === 0) return x
  const bounded = graph.node('Tanh', [graph.node('Mul', [graph.cast(x, 'float32'), graph.scalar(1 / cap)])])
  return graph.node('Mul', [bounded, graph.scalar(cap)])
}

/**
 * A mixture of experts of plain operators: every expert computes all tokens, and those that were not chosen have a weight of
 * zero. So the graph has one path for any number of tokens. The router is not quantised, as what it chooses must not change.
 */
const mixture = (graph: ModelGraph, x: string, { router, experts, perToken, normalizes }: SparseMlp): string => {
  const wide = graph.cast(x, 'float32')
  const matrix = graph.constant(transposedConstant(graph.nameOf(router.weight), router.weight, 'float32'))
  const shares = graph.node('Softmax', [graph.node('MatMul', [wide, matrix])], { axis: -1 })
  const [best, chosen] = graph.nodes('TopK', [shares, graph.ints(perToken)], ['float32', 'int64'], { axis: -1 })
  graph.experts(chosen, perToken)
  const total = graph.node('ReduceSum', [best, graph.ints(-1)], { keepdims: 1 })
  const weights = normalizes ? graph.node('Div', [best, total]) : best
  const none = graph.node('Sub', [shares, shares])
  // [...,E], zero for experts that were not chosen.
  const placed = graph.node('ScatterElements', [none, chosen, weights], { axis: -1 })
  const columns = graph.nodes(
    'Split',
    [placed],
    experts.map(() => 'float32' as const),
    { axis: -1, num_outputs: experts.length },
  )
  return experts
    .map((expert, i) => {
      const output = graph.within(`experts.${i}`, () => feedForward(graph, x, expert))
      const weighted = graph.node('Mul', [graph.cast(output, 'float32'), columns[i]])
      // What an expert makes of tokens that are not its own may be too large for float16.
      const own = graph.node('Greater', [columns[i], graph.scalar(0)], {}, { type: 'bool' })
      return graph.node('Where', [own, weighted, graph.scalar(0)], {}, { type: 'float32' })
    })
    .reduce((sum, part) => graph.node('Add', [sum, part]))
}

export const feedForward = (graph: ModelGraph, x: string, mlp: Mlp): string => {
  if (mlp instanceof GatedMlp) {
    const gate = activate(graph, linear(graph, x, mlp.gateProj), mlp.activation)
    const up = graph.cast(linear(graph, x, mlp.upProj), 'float32')
    return linear(graph, graph.node('Mul', [gate, up]), mlp.downProj)
  }
  if (mlp instanceof PlainMlp)
    return linear(graph, activate(graph, linear(graph, x, mlp.upProj), mlp.activation), mlp.downProj)
  if (mlp instanceof SparseMlp) return mixture(graph, x, mlp)
  throw new Error(`no graph for a feed-forward block of class ${mlp.constructor.name}`)
}
