// The messages of ONNX that a model file is made of, with the field numbers of its schema.
// @source https://github.com/onnx/onnx/blob/v1.19.0/onnx/onnx.proto
import { ProtoMessage, type Streamed } from './protobuf.ts'

/** Element types of tensors, by their numbers in `TensorProto.DataType`. */
export const elementTypes = { float32: 1, uint8: 2, int8: 3, int32: 6, int64: 7, bool: 9, float16: 10 } as const
/** Name of an element type. */
export type ElementType = keyof typeof elementTypes

/** A dimension: its size, or the name of one that callers choose. */
export type Dimension = number | string

/** An input or output of a graph. */
export interface GraphPort {
  name: string
  type: ElementType
  shape: readonly Dimension[]
}

/** A constant of a graph. */
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
export type Attribute = number | string | readonly number[] | { float: number } | { graph: ProtoMessage }

const attributeOf = (name: string, value: Attribute): ProtoMessage => {
  const message = new ProtoMessage().string(1, name)
  if (typeof value === 'number') return message.int(3, value).int(20, 2)
  if (typeof value === 'string') return message.string(4, value).int(20, 3)
  if ('float' in value) return message.float(2, value.float).int(20, 1)
  if ('graph' in value) return message.message(6, value.graph).int(20, 5)
  for (const element of value) message.int(8, element)
  return message.int(20, 7)
}

/** A node of a graph. */
export const nodeMessage = (node: {
  name: string
  op: string
  domain: string
  inputs: readonly string[]
  outputs: readonly string[]
  attributes: Readonly<Record<string, Attribute>>
}): ProtoMessage => {
  const message = new ProtoMessage()
  for (const input of node.inputs) message.string(1, input)
  for (const output of node.outputs) message.string(2, output)
  message.string(3, node.name).string(4, node.op)
  for (const [name, value] of Object.entries(node.attributes)) message.message(5, attributeOf(name, value))
  return node.domain === '' ? message : message.string(7, node.domain)
}

const portMessage = ({ name, type, shape }: GraphPort): ProtoMessage => {
  const dimensions = new ProtoMessage()
  for (const size of shape) {
    const dimension = new ProtoMessage()
    dimensions.message(1, typeof size === 'number' ? dimension.int(1, size) : dimension.string(2, size))
  }
  const tensor = new ProtoMessage().int(1, elementTypes[type]).message(2, dimensions)
  return new ProtoMessage().string(1, name).message(2, new ProtoMessage().message(1, tensor))
}

const constantMessage = ({ name, type, shape, data }: Constant, place: ExternalPlace | undefined): ProtoMessage => {
  const message = new ProtoMessage()
  for (const size of shape) message.int(1, size)
  message.int(2, elementTypes[type]).string(8, name)
  if (place === undefined) return message.data(9, data)
  const entry = (key: string, value: string) => message.message(13, new ProtoMessage().string(1, key).string(2, value))
  entry('location', place.file)
  entry('offset', String(place.offset))
  entry('length', String(data.bytes))
  return message.int(14, 1)
}

/** A graph, or one of the branches of a node. @param places of constants that are in files beside the model, by name */
export const graphMessage = (graph: {
  name: string
  nodes: readonly ProtoMessage[]
  inputs: readonly GraphPort[]
  outputs: readonly GraphPort[]
  constants: Iterable<Constant>
  places?: ReadonlyMap<string, ExternalPlace>
}): ProtoMessage => {
  const message = new ProtoMessage()
  for (const node of graph.nodes) message.message(1, node)
  message.string(2, graph.name)
  for (const constant of graph.constants)
    message.message(5, constantMessage(constant, graph.places?.get(constant.name)))
  for (const port of graph.inputs) message.message(11, portMessage(port))
  for (const port of graph.outputs) message.message(12, portMessage(port))
  return message
}

/** Bytes that make values of a model file's graph outputs of it when they are appended: repeated messages are merged. */
export const addedOutputs = (ports: readonly GraphPort[]): ProtoMessage => {
  const graph = new ProtoMessage()
  for (const port of ports) graph.message(12, portMessage(port))
  return new ProtoMessage().message(7, graph)
}

/** A model file. @param opsets versions of the sets of operators, by domain */
export const modelMessage = (
  graph: ProtoMessage,
  {
    irVersion,
    producer,
    version,
    opsets,
  }: { irVersion: number; producer: string; version: string; opsets: ReadonlyMap<string, number> },
): ProtoMessage => {
  const message = new ProtoMessage().int(1, irVersion).string(2, producer).string(3, version).message(7, graph)
  for (const [domain, number] of opsets) message.message(8, new ProtoMessage().string(1, domain).int(2, number))
  return message
}
