// Parts of a model file in the messages of ONNX, whose fields are generated from its schema.
import { onnxSchema } from './onnx-schema.ts'
import { type EncodedMessage, encodeMessage, type MessageOf, type Streamed } from './protobuf.ts'

type OnnxMessage<Name extends keyof (typeof onnxSchema)['messages']> = MessageOf<typeof onnxSchema, Name>
export type NodeProto = OnnxMessage<'NodeProto'>
/** A graph, or one of the branches of a node. */
export type GraphProto = OnnxMessage<'GraphProto'>

const types = onnxSchema.enums['TensorProto.DataType']

/** Element types of tensors, by their numbers in ONNX. */
export const elementTypes = {
  float32: types.FLOAT,
  uint8: types.UINT8,
  int8: types.INT8,
  int32: types.INT32,
  int64: types.INT64,
  bool: types.BOOL,
  float16: types.FLOAT16,
} as const
export type ElementType = keyof typeof elementTypes

/** A dimension: its size, or the name of one that callers choose. */
export type Dimension = number | string

/** An input or output of a graph. */
export interface GraphPort {
  name: string
  type: ElementType
  shape: readonly Dimension[]
}

export interface Constant {
  name: string
  type: ElementType
  shape: readonly number[]
  data: Streamed
}

/** Place of a constant's bytes in a file beside the model. */
export interface ExternalPlace {
  file: string
  offset: number
}

/** An attribute of a node: a number is an integer where `float` does not say otherwise. */
export type Attribute = number | string | readonly number[] | { float: number } | { graph: GraphProto }

const encoder = new TextEncoder()

const attributeOf = (name: string, value: Attribute): OnnxMessage<'AttributeProto'> => {
  if (typeof value === 'number') return { name, i: value, type: 'INT' }
  if (typeof value === 'string') return { name, s: encoder.encode(value), type: 'STRING' }
  if ('float' in value) return { name, f: value.float, type: 'FLOAT' }
  if ('graph' in value) return { name, g: value.graph, type: 'GRAPH' }
  return { name, ints: value, type: 'INTS' }
}

export const nodeMessage = (node: {
  name: string
  op: string
  domain: string
  inputs: readonly string[]
  outputs: readonly string[]
  attributes: Readonly<Record<string, Attribute>>
}): NodeProto => ({
  input: node.inputs,
  output: node.outputs,
  name: node.name,
  opType: node.op,
  attribute: Object.entries(node.attributes).map(([name, value]) => attributeOf(name, value)),
  ...(node.domain === '' ? {} : { domain: node.domain }),
})

const portMessage = ({ name, type, shape }: GraphPort): OnnxMessage<'ValueInfoProto'> => {
  const dim = shape.map((size) => (typeof size === 'number' ? { dimValue: size } : { dimParam: size }))
  return { name, type: { tensorType: { elemType: elementTypes[type], shape: { dim } } } }
}

const constantMessage = (
  { name, type, shape, data }: Constant,
  place: ExternalPlace | undefined,
): OnnxMessage<'TensorProto'> => {
  const tensor = { dims: shape, dataType: elementTypes[type], name }
  if (place === undefined) return { ...tensor, rawData: data }
  return {
    ...tensor,
    externalData: [
      { key: 'location', value: place.file },
      { key: 'offset', value: String(place.offset) },
      { key: 'length', value: String(data.bytes) },
    ],
    dataLocation: 'EXTERNAL',
  }
}

/** A graph, or one of the branches of a node. @param places of constants that are in files beside the model, by name */
export const graphMessage = (graph: {
  name: string
  nodes: readonly NodeProto[]
  inputs: readonly GraphPort[]
  outputs: readonly GraphPort[]
  constants: Iterable<Constant>
  places?: ReadonlyMap<string, ExternalPlace>
}): GraphProto => ({
  node: graph.nodes,
  name: graph.name,
  initializer: Array.from(graph.constants, (constant) => constantMessage(constant, graph.places?.get(constant.name))),
  input: graph.inputs.map(portMessage),
  output: graph.outputs.map(portMessage),
})

/** Bytes that make values of a model file's graph outputs of it when they are appended: repeated messages are merged. */
export const addedOutputs = (ports: readonly GraphPort[]): EncodedMessage =>
  encodeMessage(onnxSchema, 'ModelProto', { graph: { output: ports.map(portMessage) } })

/** A model file. @param opsets versions of the sets of operators, by domain */
export const modelMessage = (
  graph: GraphProto,
  {
    irVersion,
    producer,
    version,
    opsets,
  }: { irVersion: number; producer: string; version: string; opsets: ReadonlyMap<string, number> },
): EncodedMessage =>
  encodeMessage(onnxSchema, 'ModelProto', {
    irVersion,
    producerName: producer,
    producerVersion: version,
    graph,
    opsetImport: Array.from(opsets, ([domain, number]) => ({ domain, version: number })),
  })
