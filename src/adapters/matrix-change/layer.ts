// A change of a frozen matrix that is computed from trained tensors. Layers that are fused into one matrix in files of
// transformers share the tensors, and each takes its own rows of the change. Independent of methods.
import { ConfigError } from '../../core/index.ts'
import type { Model } from '../../models/index.ts'
import type { Linear, LowRankRows } from '../../nn/index.ts'
import { empty, eye, type Generator, keep, linear, noGrad, type Tensor } from '../../tensor/index.ts'
import type { Attachment, Placement } from '../adapter.ts'
import { LayerAdapter } from '../layer-adapter.ts'
import type { FoundAdapter, PeftContents, PeftFile, PeftFormat } from '../peft/format.ts'
import { isTargeted, type NamedLinear, namedLinears, splitRows, targetModules } from '../peft/names.ts'
import { blockLinears, findTargets, linearNames, type Targets } from '../targets.ts'

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

export class MatrixLayer extends LayerAdapter<Linear, Way> {
  readonly #names: readonly string[]
  readonly #change: MatrixChange
  readonly #rows: (tensor: Tensor) => Tensor
  /** Tensors that all layers share and that are not trained, by their keys in files. */
  readonly shared: ReadonlyMap<string, Tensor>

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
    this.shared = shared
    // Enumerable fields are parameters. A matrix without components has nothing to train.
    for (const [name, value] of Object.entries(tensors))
      Object.defineProperty(this, name, { value, writable: true, configurable: true, enumerable: value.size > 0 })
  }

  override get rowWise(): boolean {
    return true
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

/** What a method adds to the common form of its files. */
interface MatrixFiles<Config> {
  /** `peft_type` */
  type: string
  /** Suffixes of the tensors, by name. */
  suffixes: Readonly<Record<string, string>>
  /** Names of the fields that `read` uses, and of those that only matter in training. */
  fields: readonly string[]
  /** Fields of a config. */
  write(config: Config, attachment: Attachment): Record<string, unknown>
  /** The tensors of a module as files have them (default: as they are). */
  stored?(module: string, tensors: Tensors, attachment: Attachment): Tensors
  /** Config of the fields. @throws CheckpointError for values that are not supported */
  read(file: PeftFile, targets: Targets): Config
  method(config: Config, modules: readonly NamedLinear[], file?: PeftFile): MatrixMethod
  /** Adds to what was read. */
  attached?(config: Config, attachment: Attachment, modules: readonly NamedLinear[], file: PeftFile): Attachment
  /** Whether the files have `fan_in_fan_out`. */
  hasLayout?: boolean
}

const common = ['target_modules', 'exclude_modules', 'layers_to_transform', 'layers_pattern', 'init_weights']

const read = <Config>(form: MatrixFiles<Config>, file: PeftFile, model: Model): FoundAdapter<Config> => {
  const suffixes = Object.values(form.suffixes)
  const modules = namedLinears(model).filter(
    ({ theirs }) => suffixes.some((suffix) => file.has(theirs + suffix)) || isTargeted(file, theirs),
  )
  const names = new Map(blockLinears(model).map(({ path, name }) => [path, name]))
  const present = new Set(modules.flatMap(({ parts }) => parts.map(({ path }) => names.get(path))))
  const targets = linearNames.filter((name) => present.has(name))
  const config = form.read(file, targets.length > 0 ? targets : 'all-linear')
  const method = form.method(config, modules, file)
  const values = modules.map((module) => {
    const shapes = Object.entries(method.shapes(...sizeOf(module), module))
    return new Map(shapes.map(([name, shape]) => [name, file.take(module.theirs + form.suffixes[name], shape)]))
  })
  return {
    config,
    plan: ({ generator }) => {
      const attachment = attachMatrices(modules, method, generator)
      return form.attached?.(config, attachment, modules, file) ?? attachment
    },
    fill: ({ placements }) => {
      const layers = new Map(placements.map(({ path, adapter }) => [path, adapter as MatrixLayer]))
      noGrad(() => {
        for (const [i, { parts }] of modules.entries()) {
          const { tensors } = layers.get(parts[0].path)!
          for (const [name, value] of values[i]) if (value !== undefined) tensors[name].copy_(value)
        }
      })
    },
  }
}

/** The files of a method. */
export const matrixFiles = <Config>(form: MatrixFiles<Config>): PeftFormat<Config> => ({
  type: form.type,
  fields: [...common, ...form.fields, ...(form.hasLayout ? ['fan_in_fan_out'] : [])],
  write: (model, config, attachment): PeftContents => {
    const { placements } = attachment
    const layers = new Map(
      placements.flatMap(({ path, adapter }) => (adapter instanceof MatrixLayer ? [[path, adapter]] : [])),
    )
    const modules = namedLinears(model).filter(({ parts }) => layers.has(parts[0].path))
    const storedOf = (module: string, tensors: Tensors) => form.stored?.(module, tensors, attachment) ?? tensors
    const shared = new Map([...layers.values()].flatMap((layer) => [...layer.shared]))
    const own = modules.flatMap(({ theirs, parts }) =>
      Object.entries(storedOf(theirs, layers.get(parts[0].path)!.tensors)).map(
        ([name, tensor]) => [theirs + form.suffixes[name], tensor] as const,
      ),
    )
    return {
      fields: {
        init_weights: true,
        ...form.write(config, attachment),
        target_modules: targetModules(model, modules),
        ...(form.hasLayout ? { fan_in_fan_out: modules.some(({ transposed }) => transposed) } : {}),
      },
      tensors: new Map([...own, ...shared]),
      bare: new Set(shared.keys()),
    }
  },
  read: (file, model) => read(form, file, model),
})
