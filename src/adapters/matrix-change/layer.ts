// A change of a frozen matrix that is computed from trained tensors. Layers that are fused into one matrix in files of
// transformers share the tensors, and each takes its own rows of the change.

import { ConfigError } from '../../core/index.ts'
import type { Model } from '../../models/index.ts'
import type { Linear, LowRankRows } from '../../nn/index.ts'
import { empty, eye, type Generator, keep, linear, type Tensor } from '../../tensor/index.ts'
import type { Attachment, Placement } from '../adapter.ts'
import { LayerAdapter } from '../layer-adapter.ts'
import { type NamedLinear, namedLinears, splitRows } from '../peft/names.ts'
import { findTargets, type Targets } from '../targets.ts'

type Way = (input: Tensor) => Tensor

/** Trained tensors by name. */
export type Tensors = Readonly<Record<string, Tensor>>

/** How a method changes a matrix [outputs,inputs]; one of the three ways. */
export interface MatrixChange {
  /** The change, which is added to the matrix. */
  matrix?(tensors: Tensors): Tensor
  /** The change as a product of narrow matrices, [outputs,R] and [R,inputs]. */
  factors?(tensors: Tensors): { left: Tensor; right: Tensor }
  /** The input of the matrix, turned: a linear function of it. */
  turn?(tensors: Tensors, input: Tensor): Tensor
}

/** A layer whose matrix is changed. */
export class MatrixLayer extends LayerAdapter<Linear, Way> {
  readonly #names: readonly string[]
  readonly #change: MatrixChange
  readonly #rows: (tensor: Tensor) => Tensor
  readonly #shared: ReadonlyMap<string, Tensor>

  /**
   * @param rows takes the rows of this layer out of a tensor with those of all that are fused with it
   * @param shared tensors that all layers share and that are not trained, by their keys in files
   */
  constructor(
    tensors: Tensors,
    change: MatrixChange,
    rows: (tensor: Tensor) => Tensor,
    shared: ReadonlyMap<string, Tensor> = new Map(),
  ) {
    super()
    this.#names = Object.keys(tensors)
    this.#change = change
    this.#rows = rows
    this.#shared = shared
    // Enumerable fields are parameters. A matrix without components has nothing to train.
    for (const [name, value] of Object.entries(tensors))
      Object.defineProperty(this, name, { value, writable: true, configurable: true, enumerable: value.size > 0 })
  }

  override get rowWise(): boolean {
    return true
  }

  /** Tensors that all layers share and that are not trained, by their keys in files. */
  get shared(): ReadonlyMap<string, Tensor> {
    return this.#shared
  }

  /** Its trained tensors by name. */
  get tensors(): Tensors {
    return Object.fromEntries(this.#names.map((name) => [name, Reflect.get(this, name) as Tensor]))
  }

  wrap(_: Linear, next: Way): Way {
    const { matrix, factors, turn } = this.#change
    return (input) => {
      const { tensors } = this
      if (turn !== undefined) return next(turn(tensors, input))
      const own = next(input)
      if (factors === undefined) return own.add(linear(input, this.#rows(matrix!(tensors))))
      const { left, right } = factors(tensors)
      if (right.shape[0] === 0) return own
      return own.add(linear(linear(input, right), this.#rows(left)))
    }
  }

  override lowRank(rows: number): readonly LowRankRows[] | undefined {
    const found = this.#change.factors?.(this.tensors)
    if (found?.right.shape[0] === 0) return []
    return found && [{ from: 0, count: rows, a: found.right, b: this.#rows(found.left).contiguous(), scale: 1 }]
  }

  override merged({ weight }: Linear): Record<string, Tensor> {
    return { weight: this.outputMatrix(weight.to('float32')).to(weight.dtype) }
  }

  override outputMatrix(weight: Tensor): Tensor {
    const { matrix, factors, turn } = this.#change
    const { tensors } = this
    const { dtype, device } = weight
    if (turn !== undefined) {
      const rotation = turn(tensors, eye(weight.shape[1], weight.shape[1], { dtype, device }))
      return weight.matmul(rotation.t())
    }
    const { left, right } = factors?.(tensors) ?? {}
    if (right?.shape[0] === 0) return weight
    const change = left === undefined ? matrix!(tensors) : left.to(dtype).matmul(right!.to(dtype))
    return weight.add(this.#rows(change).to(dtype))
  }
}

/** The values that PyTorch gives a linear layer: uniform, up to the inverse root of the columns. */
export const initializeUniform = (tensor: Tensor, generator: Generator): Tensor => {
  const bound = tensor.shape[1] ** -0.5
  return tensor.uniform_(-bound, bound, { generator })
}

/** The trained tensors of a method for a matrix [outputs,inputs]. */
export interface MatrixMethod {
  /** Shapes of the tensors, by name. */
  shapes(outputs: number, inputs: number, module: NamedLinear): Record<string, readonly number[]>
  /** Sets the initial values, with which the matrix is unchanged. */
  initialize(tensors: Tensors, generator: Generator): void
  change(outputs: number, inputs: number): MatrixChange
  /** Tensors that all layers share and that are not trained, by their keys in files. */
  shared?: ReadonlyMap<string, Tensor>
}

/** Rows and columns of a module of transformers. */
export const sizeOf = ({ parts }: NamedLinear): [outputs: number, inputs: number] => [
  parts.reduce((sum, { layer }) => sum + layer.shape[0], 0),
  parts[0].layer.shape[1],
]

/** The modules of transformers that the layers to adapt are. @throws ConfigError for only some of the layers of a module */
export const modulesOf = (model: Model, targets: Targets): NamedLinear[] => {
  const paths = new Set(findTargets(model, targets, 'adapter.targets').map(({ path }) => path))
  return namedLinears(model).filter(({ parts }) => {
    const chosen = parts.filter(({ path }) => paths.has(path))
    if (chosen.length > 0 && chosen.length < parts.length)
      throw new ConfigError(
        `Expected all of ${parts.map(({ path }) => path).join(', ')} in \`adapter.targets\`, which are one matrix in files, got only ${chosen.map(({ path }) => path).join(', ')}. Add the others.`,
      )
    return chosen.length > 0
  })
}

/** The tensors of one matrix, without values. */
const makeTensors = (method: MatrixMethod, module: NamedLinear): Record<string, Tensor> => {
  const { dtype, device } = module.parts[0].layer
  const shapes = Object.entries(method.shapes(...sizeOf(module), module))
  return Object.fromEntries(shapes.map(([name, shape]) => [name, keep(empty(shape, { dtype, device }))]))
}

/** Puts a method on modules, with its initial values. */
export const attachMatrices = (
  modules: readonly NamedLinear[],
  method: MatrixMethod,
  generator: Generator,
): Attachment => {
  const placements = modules.flatMap((module): Placement[] => {
    const tensors = makeTensors(method, module)
    method.initialize(tensors, generator)
    const change = method.change(...sizeOf(module))
    return module.parts.map(({ path, layer }, i) => {
      const rows = (tensor: Tensor) => (module.parts.length === 1 ? tensor : splitRows(tensor, module)[i])
      return { path, host: layer, adapter: new MatrixLayer(tensors, change, rows, method.shared) }
    })
  })
  return { placements, trained: [] }
}
