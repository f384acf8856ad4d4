// Puts changes of matrices on the layers of a model, one for each matrix in files of transformers. Independent of methods.
import { ConfigError } from '../../core/index.ts'
import type { Model } from '../../models/index.ts'
import { empty, type Generator, keep, type Tensor } from '../../tensor/index.ts'
import type { Attachment, Placement } from '../adapter.ts'
import { type NamedLinear, namedLinears, splitRows } from '../peft/names.ts'
import { findTargets, type Targets } from '../targets.ts'
import { type MatrixChange, MatrixLayer, type Tensors } from './layer.ts'

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
