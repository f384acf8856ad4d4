// The base class of layers and models: parameters by path, training mode, dtype and device, loading a state.
import { CheckpointError, ShapeError } from '../core/index.ts'
import { type Dtype, expectPlacement, type Generator, keep, noGrad, noGradScope, Tensor } from '../tensor/index.ts'

/** Settings of random initialisation; each layer decides how it uses them. */
export interface Initialization {
  /** Standard deviation of weight matrices. */
  std: number
  /** Random numbers of the initialisation. */
  generator: Generator
}

/** How a state differs from a module's parameters, by path. */
export interface LoadReport {
  missing: string[]
  unexpected: string[]
  /** `path: expected [shape], got [shape]` */
  mismatched: string[]
}

/**
 * A part of a model. Every tensor in a public field is a parameter, every module (or array of modules) a child, and the field
 * names joined by dots are its path. Tensors and modules that are neither belong in `#private` fields.
 *
 * The parameters of a new module are not set: their elements are what the memory held before. Call `initialize({ std, generator })` or
 * `loadState`, and `requireGrad(true)` to train it: without that, `backward` computes no gradients of them.
 */
export abstract class Module {
  #training = false

  /** Whether dropout is active. */
  get training(): boolean {
    return this.#training
  }

  /** Number of virtual tokens that it prepends to every row or document of a batch, and that pass through all layers. */
  get prependedPositions(): number {
    return 0
  }

  /** Whether packed documents may attend to tokens of others with it in place; virtual tokens before each document exclude that. */
  get sharesKeys(): boolean {
    return true
  }

  /** Direct children by field name. */
  children(): Iterable<[string, Module]> {
    // Servers walk the tree in every request, and generators below generators took five times as long.
    const found: [string, Module][] = []
    for (const name of Object.keys(this)) {
      const value: unknown = Reflect.get(this, name)
      if (value instanceof Module) found.push([name, value])
      else if (Array.isArray(value))
        for (let i = 0; i < value.length; i++) if (value[i] instanceof Module) found.push([`${name}.${i}`, value[i]])
    }
    return found
  }

  /** This module and its descendants, by path. */
  modules(prefix = ''): Iterable<[string, Module]> {
    const found: [string, Module][] = []
    this.#collect(prefix, found)
    return found
  }

  #collect(path: string, found: [string, Module][]): void {
    found.push([path, this])
    for (const [name, child] of this.children()) child.#collect(path === '' ? name : `${path}.${name}`, found)
  }

  /** Every parameter once, by path; a tied one under its first path. */
  parameters(): Map<string, Tensor> {
    const found = new Map<string, Tensor>()
    const seen = new Set<Tensor>()
    for (const [path, module] of this.modules())
      for (const [name, value] of Object.entries(module))
        if (value instanceof Tensor && !seen.has(value)) {
          seen.add(value)
          found.set(path === '' ? name : `${path}.${name}`, value)
        }
    return found
  }

  /** Number of this module's own weights that are quantised, so no parameters. */
  get quantizedCount(): number {
    return 0
  }

  /** Codes and scales of this module's own quantised weights in memory; undefined where its weights are blocks of a mapped file. */
  get quantizedTensors(): readonly Tensor[] | undefined {
    return []
  }

  /** Number of elements of all parameters, and of quantised weights. */
  get parameterCount(): number {
    let count = 0
    for (const parameter of this.parameters().values()) count += parameter.size
    for (const [, module] of this.modules()) count += module.quantizedCount
    return count
  }

  /** Sets training mode: dropout is active. */
  train(): this {
    return this.#setTraining(true)
  }

  /** Sets evaluation mode: dropout is inactive. */
  eval(): this {
    return this.#setTraining(false)
  }

  #setTraining(training: boolean): this {
    this.#training = training
    for (const [, child] of this.children()) child.#setTraining(training)
    return this
  }

  /** Replaces parameters by other tensors; tied ones stay tied. */
  replaceParameters(replace: (path: string, parameter: Tensor) => Tensor): this {
    const chosen = new Map<Tensor, Tensor>()
    for (const [path, parameter] of this.parameters()) chosen.set(parameter, replace(path, parameter))
    for (const [, module] of this.modules()) {
      for (const [name, value] of Object.entries(module))
        if (value instanceof Tensor) Reflect.set(module, name, keep(chosen.get(value) ?? value))
    }
    return this
  }

  /**
   * Converts all parameters in place: what refers to one, such as a tied module, sees the converted values. The memory of the old values
   * is freed at once, parameter by parameter. Quantised matrices move with them, keep their values, and compute in the dtype.
   * @throws ConfigError for a device or dtype that cannot be used
   */
  to(target: { dtype?: Dtype; device?: string }): this {
    expectPlacement(target)
    for (const parameter of this.parameters().values()) {
      const { requiresGrad } = parameter
      parameter.become(noGradScope(() => parameter.detach().to(target)))
      parameter.requiresGrad = requiresGrad
    }
    for (const [, module] of this.modules()) module.placeQuantized(target)
    return this
  }

  /** Moves this module's own quantised weights to a device, to compute in a dtype from now on. Layers that have some override it. */
  protected placeQuantized(_target: { dtype?: Dtype; device?: string }): void {}

  /** Copies parameters that are not row-major, as those of some files, since training and decoding are faster so. */
  makeContiguous(): this {
    if ([...this.parameters().values()].every((parameter) => parameter.isContiguous)) return this
    return this.replaceParameters((_, parameter) => (parameter.isContiguous ? parameter : contiguous(parameter)))
  }

  /** Whether `backward` computes gradients of the parameters; false for a new module, and for a model that was loaded. */
  requireGrad(required: boolean): this {
    if (required) this.makeContiguous()
    for (const parameter of this.parameters().values()) parameter.requiresGrad = required
    return this
  }

  /** Initialises all parameters, in the order of paths, so that the same seed gives the same model. */
  initialize(options: Initialization): this {
    // A view of a parameter would keep its memory until it is garbage-collected, also when the parameter is converted.
    noGradScope(() => {
      for (const [, module] of this.modules()) module.reset(options)
    })
    return this
  }

  /** Initialises this module's own parameters, not its children's, for `initialize`. Layers with parameters override it. */
  protected reset(_: Initialization): void {}

  /**
   * Loads tensors by path. By default they are copied into the parameters and converted to their dtype; with `copy: false`
   * they become the parameters themselves, so mapped files stay mapped.
   * @throws CheckpointError that lists all missing, unexpected and mismatched paths, unless `strict` is false
   */
  loadState(state: ReadonlyMap<string, Tensor>, options: { strict?: boolean; copy?: boolean } = {}): LoadReport {
    const own = this.parameters()
    const report = compareState(own, state)
    const faults = report.missing.length + report.unexpected.length + report.mismatched.length
    if ((options.strict ?? true) && faults > 0) throw new CheckpointError(describeReport(report), report)
    const usable = (path: string, parameter: Tensor) => {
      const given = state.get(path)
      return given !== undefined && given.shape.join() === parameter.shape.join() ? given : undefined
    }
    if (options.copy ?? true)
      noGrad(() => {
        for (const [path, parameter] of own) {
          const given = usable(path, parameter)
          if (given !== undefined) copyValues(parameter, given)
        }
      })
    else this.replaceParameters((path, parameter) => usable(path, parameter) ?? parameter)
    return report
  }
}

/** Copies values into a tensor, of which no other name is left: only the garbage collector would free that, and the memory with it. */
const copyValues = (tensor: Tensor, values: Tensor): void => noGradScope(() => void tensor.detach().copy_(values))

/**
 * Copies tensors into those of the same paths.
 * @throws CheckpointError that lists all missing, unexpected and mismatched paths
 */
export const restoreState = (own: ReadonlyMap<string, Tensor>, state: ReadonlyMap<string, Tensor>): void => {
  const report = compareState(own, state)
  if (report.missing.length + report.unexpected.length + report.mismatched.length > 0)
    throw new CheckpointError(describeReport(report), report)
  for (const [path, tensor] of own) copyValues(tensor, state.get(path) as Tensor)
}

const contiguous = (parameter: Tensor): Tensor => {
  const copy = noGrad(() => parameter.detach().contiguous())
  copy.requiresGrad = parameter.requiresGrad
  return copy
}

/** Compares a state with a module's parameters. */
export const compareState = (own: ReadonlyMap<string, Tensor>, state: ReadonlyMap<string, Tensor>): LoadReport => {
  const report: LoadReport = { missing: [], unexpected: [], mismatched: [] }
  for (const [path, parameter] of own) {
    const given = state.get(path)
    if (given === undefined) report.missing.push(path)
    else if (given.shape.join() !== parameter.shape.join())
      report.mismatched.push(`${path}: expected [${parameter.shape}], got [${given.shape}]`)
  }
  for (const path of state.keys()) if (!own.has(path)) report.unexpected.push(path)
  return report
}

/** The differences of a report as an error message. */
export const describeReport = (report: LoadReport): string => {
  const group = (name: string, paths: readonly string[]) =>
    paths.length === 0
      ? []
      : [`${paths.length} ${name}: ${paths.slice(0, 20).join(', ')}${paths.length > 20 ? ', …' : ''}`]
  const parts = [
    ...group('missing', report.missing),
    ...group('unexpected', report.unexpected),
    ...group('of another shape', report.mismatched),
  ]
  return `Expected every parameter of the model and nothing else, got ${parts.join('; ')}. Check that the checkpoint belongs to this model.`
}

/** Checks the last dimension of a tensor. @throws ShapeError that names both sizes */
export const expectLastSize = (where: string, input: Tensor, size: number): void => {
  if (input.shape.at(-1) !== size)
    throw new ShapeError(`Expected a last dimension of ${size} for \`${where}\`, got [${input.shape.join(', ')}].`)
}

/** Gives its input: a place where adapters may change something. */
export class Identity extends Module {
  forward(input: Tensor): Tensor {
    return input
  }
}
