// The builder of a graph: nodes, constants, inputs and outputs, with the element type of every value. Independent of
// models: layers.ts says what a linear layer, a norm or attention is made of.
import { packageVersion } from '../../core/index.ts'
import type { OnnxOperators } from '../export-target.ts'
import { valuesConstant } from './constants.ts'
import type { EncodedMessage } from './protobuf.ts'
import {
  type Attribute,
  type Constant,
  type ElementType,
  type ExternalPlace,
  elementTypes,
  type GraphPort,
  type GraphProto,
  graphMessage,
  modelMessage,
  type NodeProto,
  nodeMessage,
} from './schema.ts'

/** Element type of weights and of what they are multiplied with, and how matrices are stored. */
export interface GraphFormat {
  type: 'float32' | 'float16'
  /** 8-bit integers of weights and, at run time, of activations; or 4-bit integers of weights only. */
  matrices: 'float' | 'int8' | 'int4'
  /** A scale for each output of a matrix in 8 bits, where there is one for the whole matrix otherwise. */
  scalePerOutput: boolean
  operators: OnnxOperators
}

type Attributes = Readonly<Record<string, Attribute>>

/** A graph that is being built. Values are known by their names. */
export class GraphBuilder {
  #nodes: NodeProto[] = []
  #path = ''
  #made = new Map<string, string>()
  readonly #inputs: GraphPort[] = []
  readonly #outputs: GraphPort[] = []
  readonly #constants = new Map<string, Constant>()
  readonly #types = new Map<string, ElementType>()
  readonly #counts = new Map<string, number>()
  readonly #domains = new Set<string>()

  constructor(readonly format: GraphFormat) {}

  input(port: GraphPort): string {
    this.#inputs.push(port)
    this.#types.set(port.name, port.type)
    return port.name
  }

  /** Declares an output, which is the value under another name. */
  output(value: string, port: GraphPort): void {
    const cast = this.cast(value, port.type)
    this.#emit('Identity', [cast], [port.name], {}, '')
    this.#outputs.push(port)
  }

  typeOf(value: string): ElementType {
    const type = this.#types.get(value)
    if (type === undefined) throw new Error(`no value ${value} in the graph`)
    return type
  }

  /** Builds a part whose nodes are named after it. */
  within<Result>(path: string, build: () => Result): Result {
    const outer = this.#path
    this.#path = `${outer}/${path}`
    try {
      return build()
    } finally {
      this.#path = outer
    }
  }

  #fresh(op: string): string {
    const stem = `${this.#path}/${op}`
    const count = this.#counts.get(stem) ?? 0
    this.#counts.set(stem, count + 1)
    return count === 0 ? stem : `${stem}_${count}`
  }

  #emit(
    op: string,
    inputs: readonly string[],
    outputs: readonly string[],
    attributes: Attributes,
    domain: string,
  ): void {
    if (domain !== '') this.#domains.add(domain)
    this.#nodes.push(nodeMessage({ name: outputs[0], op, domain, inputs, outputs, attributes }))
  }

  /** Adds a node with several outputs. @param types of the outputs */
  nodes(
    op: string,
    inputs: readonly string[],
    types: readonly ElementType[],
    attributes: Attributes = {},
    domain = '',
  ): string[] {
    const name = this.#fresh(op)
    const outputs = types.map((type, i) => {
      const output = i === 0 ? name : `${name}:${i}`
      this.#types.set(output, type)
      return output
    })
    this.#emit(op, inputs, outputs, attributes, domain)
    return outputs
  }

  /** Adds a node with one output. @param options.type of the output (default: that of the first input) */
  node(
    op: string,
    inputs: readonly string[],
    attributes: Attributes = {},
    options: { type?: ElementType; domain?: string } = {},
  ): string {
    return this.nodes(op, inputs, [options.type ?? this.typeOf(inputs[0])], attributes, options.domain)[0]
  }

  /** Computes a value once for all who need it under this key. */
  once(key: string, build: () => string): string {
    const found = this.#made.get(key)
    if (found !== undefined) return found
    const value = build()
    this.#made.set(key, value)
    return value
  }

  cast(value: string, type: ElementType): string {
    if (this.typeOf(value) === type) return value
    return this.node('Cast', [value], { to: elementTypes[type] }, { type })
  }

  /** Adds a constant, once for each name. */
  constant(constant: Constant): string {
    if (!this.#constants.has(constant.name)) {
      this.#constants.set(constant.name, constant)
      this.#types.set(constant.name, constant.type)
    }
    return constant.name
  }

  /** A list of whole numbers. */
  ints(...values: readonly number[]): string {
    return this.constant(valuesConstant(`ints[${values.join(',')}]`, 'int64', [values.length], values))
  }

  int(value: number): string {
    return this.constant(valuesConstant(`int(${value})`, 'int64', [], [value]))
  }

  /** A number, in the type of the value that it is combined with. */
  scalar(value: number, like?: string): string {
    const name = this.constant(valuesConstant(`scalar(${value})`, 'float32', [], [value]))
    return like === undefined || this.typeOf(like) === 'float32'
      ? name
      : this.once(`${name} ${this.typeOf(like)}`, () => this.cast(name, this.typeOf(like)))
  }

  /** A dimension of a value's shape, as a list of one number. */
  size(value: string, dimension: number): string {
    return this.once(`size ${value} ${dimension}`, () =>
      this.node('Shape', [value], { start: dimension, end: dimension + 1 }, { type: 'int64' }),
    )
  }

  /** A branch of an `If` node. @param build returns the values that the branch gives, with their shapes */
  branch(name: string, build: () => readonly { value: string; shape: GraphPort['shape'] }[]): GraphProto {
    const [nodes, made] = [this.#nodes, this.#made]
    this.#nodes = []
    // A value of the branch exists in the branch only; those from outside may be used in it.
    this.#made = new Map(made)
    const outputs = this.within(name, () =>
      build().map(({ value, shape }) => {
        const type = this.typeOf(value)
        const output = this.node('Identity', [value])
        return { name: output, type, shape }
      }),
    )
    const message = graphMessage({ name, nodes: this.#nodes, inputs: [], outputs, constants: [] })
    this.#nodes = nodes
    this.#made = made
    return message
  }

  /** The constants, in the order in which they were added. */
  get constants(): readonly Constant[] {
    return [...this.#constants.values()]
  }

  get ports(): { inputs: readonly GraphPort[]; outputs: readonly GraphPort[] } {
    return { inputs: this.#inputs, outputs: this.#outputs }
  }

  /** The model file. @param places of constants that are in files beside it */
  model(places?: ReadonlyMap<string, ExternalPlace>): EncodedMessage {
    const graph = graphMessage({
      name: 'tunesmith',
      nodes: this.#nodes,
      ...this.ports,
      constants: this.#constants.values(),
      places,
    })
    const standard = this.format.operators === 'standard'
    return modelMessage(graph, {
      irVersion: standard ? 11 : 9,
      producer: 'tunesmith',
      version: packageVersion(),
      opsets: new Map([['', standard ? 23 : 18], ...[...this.#domains].map((domain) => [domain, 1] as const)]),
    })
  }
}
