// Whether modules are as they were when somebody looked at them, for what is made of all layers and used for each token: comparing the
// fields that were seen takes a fraction of the time of walking through the modules again.
import { Linear, type Module } from '../nn/index.ts'
import { Tensor } from '../tensor/index.ts'

interface SeenModule {
  module: Module
  names: readonly string[]
  values: readonly unknown[]
  training: boolean
}

/** A linear layer that has no other fields than its parameters: most modules are such layers. */
interface SeenLinear {
  layer: Linear
  /** Handles; undefined where there is no such parameter. */
  weight: number | undefined
  bias: number | undefined
  matrix: unknown
  training: boolean
}

const hasAdapters = (module: Module): boolean => Object.hasOwn(module, 'forward')

/** Tensors by handle: one that became another tensor has another handle. */
const seenAs = (value: unknown): unknown => (value instanceof Tensor ? value.handle : value)

const parameterNames: ReadonlySet<string> = new Set(['weight', 'bias'])

const isPlainLinear = (module: Module): module is Linear =>
  module instanceof Linear && Object.keys(module).every((name) => parameterNames.has(name))

const seeLinear = (layer: Linear): SeenLinear => {
  const { bias, quantizedMatrix: matrix, training } = layer
  // The weight of a quantised layer is no field: reading it would dequantise the matrix.
  const weight = Object.hasOwn(layer, 'weight') && matrix === undefined ? layer.weight.handle : undefined
  return { layer, weight, bias: bias?.handle, matrix, training }
}

// Fields by their names take a fraction of the time of fields by any name.
const isUnchanged = ({ layer, weight, bias, matrix, training }: SeenLinear): boolean =>
  layer.quantizedMatrix === matrix &&
  layer.bias?.handle === bias &&
  (weight === undefined || layer.weight.handle === weight) &&
  layer.training === training &&
  !hasAdapters(layer)

/** Modules without adapters, as they were seen. */
export class SeenModules {
  readonly #roots: readonly Module[]
  readonly #seen: readonly SeenModule[]
  readonly #linear: readonly SeenLinear[]

  private constructor(roots: readonly Module[], all: readonly Module[]) {
    this.#roots = roots
    this.#linear = all.filter(isPlainLinear).map(seeLinear)
    this.#seen = all
      .filter((module) => !isPlainLinear(module))
      .map((module) => {
        const names = Object.keys(module)
        const values = names.map((name) => seenAs(Reflect.get(module, name)))
        return { module, names, values, training: module.training }
      })
  }

  /** Looks at modules and all below them; undefined where one has adapters, which may change without a trace in its fields. */
  static of(modules: readonly Module[]): SeenModules | undefined {
    const all = modules.flatMap((module) => [...module.modules()].map(([, each]) => each))
    if (all.some(hasAdapters)) return undefined
    return new SeenModules([...modules], all)
  }

  /** Whether these are the modules that were seen, every field and their mode has its value, and none has got adapters. */
  are(modules: readonly Module[]): boolean {
    if (modules.length !== this.#roots.length || modules.some((module, i) => module !== this.#roots[i])) return false
    for (const layer of this.#linear) if (!isUnchanged(layer)) return false
    for (const { module, names, values, training } of this.#seen) {
      if (hasAdapters(module) || module.training !== training) return false
      for (let i = 0; i < names.length; i++) if (seenAs(Reflect.get(module, names[i])) !== values[i]) return false
    }
    return true
  }
}
