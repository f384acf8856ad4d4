// The base of every layer and model: parameters by path, modes, moves between dtypes and devices, state in and out.
// Knows no layer.
import { CheckpointError, ShapeError } from '../core/index.ts'
import { type Dtype, type Generator, keep, noGrad, Tensor } from '../tensor/index.ts'

/** How a module's fresh parameters are drawn; layers decide what they do with it. */
export interface Initialization {
  /** Standard deviation of weight matrices. */
  std: number
  generator: Generator
}

export interface LoadReport {
  missing: string[]
  unexpected: string[]
  /** `path: expected [shape], got [shape]` */
  mismatched: string[]
}

/**
 * A part of a model. Every tensor in an ordinary field is a parameter, every module (or array of modules) a child, and the
 * field names joined by dots are its path. Anything else belongs in `#private` fields.
 */
export abstract class Module {
  #training = false

  /** Whether dropout is active. */
  get training(): boolean {
    return this.#training
  }

  /** Positions that it puts in front of every row or document of a batch, and that go through all layers. */
  get positionsInFront(): number {
    return 0
  }

  /** Direct children by field name. */
  *children(): Iterable<[string, Module]> {
    for (const [name, value] of Object.entries(this)) {
      if (value instanceof Module) yield [name, value]
      else if (Array.isArray(value))
        for (let i = 0; i < value.length; i++) if (value[i] instanceof Module) yield [`${name}.${i}`, value[i]]
    }
  }

  /** This module and all below it, by path. */
  *modules(prefix = ''): Iterable<[string, Module]> {
    yield [prefix, this]
    for (const [name, child] of this.children()) yield* child.modules(prefix === '' ? name : `${prefix}.${name}`)
  }

  /** Every parameter once, by path; a tied one under the first path that reaches it. */
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

  /** Values of this module itself that are held as no parameter. */
  get heldCount(): number {
    return 0
  }

  /** Number of values in all parameters, and of those that are held otherwise. */
  get parameterCount(): number {
    let count = 0
    for (const parameter of this.parameters().values()) count += parameter.size
    for (const [, module] of this.modules()) count += module.heldCount
    return count
  }

  train(): this {
    return this.#setTraining(true)
  }

  eval(): this {
    return this.#setTraining(false)
  }

  #setTraining(training: boolean): this {
    this.#training = training
    for (const [, child] of this.children()) child.#setTraining(training)
    return this
  }

  /** Puts another tensor in the place of a parameter; ties follow. */
  replaceParameters(replace: (path: string, parameter: Tensor) => Tensor): this {
    const chosen = new Map<Tensor, Tensor>()
    for (const [path, parameter] of this.parameters()) chosen.set(parameter, replace(path, parameter))
    for (const [, module] of this.modules()) {
      const fields = module as unknown as Record<string, unknown>
      for (const [name, value] of Object.entries(fields))
        if (value instanceof Tensor) fields[name] = keep(chosen.get(value) ?? value)
    }
    return this
  }

  /** Converts parameters in place of the old ones, which are freed when nothing else holds them. */
  to(target: { dtype?: Dtype; device?: string }): this {
    return this.replaceParameters((_, parameter) => {
      const { requiresGrad } = parameter
      const moved = noGrad(() => parameter.detach().to(target))
      moved.requiresGrad = requiresGrad
      return moved
    })
  }

  /** Copies parameters that do not lie in rows, as some files hold them: what is trained or read row by row wants them so. */
  inRows(): this {
    if ([...this.parameters().values()].every((parameter) => parameter.isContiguous)) return this
    return this.replaceParameters((_, parameter) => (parameter.isContiguous ? parameter : contiguous(parameter)))
  }

  requireGrad(required: boolean): this {
    if (required) this.inRows()
    for (const parameter of this.parameters().values()) parameter.requiresGrad = required
    return this
  }

  /** Draws fresh parameters, in the order of paths, so that one seed gives one model. */
  initialize(how: Initialization): this {
    noGrad(() => {
      for (const [, module] of this.modules()) module.reset(how)
    })
    return this
  }

  /** Fills this module's own parameters, not its children's. Layers with parameters override it. */
  protected reset(_: Initialization): void {}

  /**
   * Takes tensors by path. With `copy` false they become the parameters themselves (mapped files stay mapped); otherwise values
   * are copied into the present ones, converted to their dtype.
   * @throws CheckpointError that lists all missing, unexpected and misshapen paths, unless `strict` is false.
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
          if (given !== undefined) parameter.detach().copy_(given)
        }
      })
    else this.replaceParameters((path, parameter) => usable(path, parameter) ?? parameter)
    return report
  }
}

const contiguous = (parameter: Tensor): Tensor => {
  const copy = noGrad(() => parameter.detach().contiguous())
  copy.requiresGrad = parameter.requiresGrad
  return copy
}

/** What of `own` a state lacks, what else it holds, and what has another shape. */
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

/** One report of everything wrong, a group to a line. */
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

/** Fails with both sizes named. */
export const expectLastSize = (where: string, input: Tensor, size: number): void => {
  if (input.shape.at(-1) !== size)
    throw new ShapeError(`Expected a last dimension of ${size} for \`${where}\`, got [${input.shape.join(', ')}].`)
}
