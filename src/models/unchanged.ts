// Whether modules are as they were when somebody looked at them, for what is made of all layers and used for each token: comparing the
// fields that were seen takes a fraction of the time of walking through the modules again.
import { Linear, type Module } from '../nn/index.ts'
import { Tensor } from '../tensor/index.ts'

interface SeenModule {
  module: Module
  names: readonly string[]
  values: readonly unknown[]
  matrix: unknown
  training: boolean
}

const hasAdapters = (module: Module): boolean => Object.hasOwn(module, 'forward')

/** Tensors by handle: one that became another tensor has another handle. */
const seenAs = (value: unknown): unknown => (value instanceof Tensor ? value.handle : value)

const matrixOf = (module: Module): unknown => (module instanceof Linear ? module.quantizedMatrix : undefined)

/** Modules without adapters, as they were seen. */
export class SeenModules {
  readonly #roots: readonly Module[]
  readonly #seen: readonly SeenModule[]

  private constructor(roots: readonly Module[], seen: readonly SeenModule[]) {
    this.#roots = roots
    this.#seen = seen
  }

  /** Looks at modules and all below them; undefined where one has adapters, which may change without a trace in its fields. */
  static of(modules: readonly Module[]): SeenModules | undefined {
    const all = modules.flatMap((module) => [...module.modules()].map(([, each]) => each))
    if (all.some(hasAdapters)) return undefined
    return new SeenModules(
      [...modules],
      all.map((module) => {
        const names = Object.keys(module)
        return {
          module,
          names,
          values: names.map((name) => seenAs(Reflect.get(module, name))),
          matrix: matrixOf(module),
          training: module.training,
        }
      }),
    )
  }

  /** Whether these are the modules that were seen, every field and their mode has its value, and none has got adapters. */
  are(modules: readonly Module[]): boolean {
    if (modules.length !== this.#roots.length || modules.some((module, i) => module !== this.#roots[i])) return false
    for (const { module, names, values, matrix, training } of this.#seen) {
      if (hasAdapters(module) || matrixOf(module) !== matrix || module.training !== training) return false
      for (let i = 0; i < names.length; i++) if (seenAs(Reflect.get(module, names[i])) !== values[i]) return false
    }
    return true
  }
}
