// Weights of layers as fused calls take them: matrices dense or as blocks of a GGUF file, and checked once for many calls. Whether the layers
// are as they were then is told by the fields that were seen, which takes a fraction of the time of walking through the modules again.
import { BlockMatrix, Linear, type Module } from '../nn/index.ts'
import { keep, Tensor } from '../tensor/index.ts'

/** Weights of all layers. */
export interface FusedWeights {
  parts: readonly (Tensor | null)[]
  formats: string
  orders: readonly (Tensor | null)[]
}

/** The blocks of a layer whose matrix lies as in a GGUF file. */
export const blocksOf = ({ quantizedMatrix: matrix }: Linear): BlockMatrix | undefined =>
  matrix instanceof BlockMatrix ? matrix : undefined

/** Its matrix and its bias in a call's `parts`. */
export const linearParts = (layer: Linear): (Tensor | null)[] => [
  blocksOf(layer)?.codes ?? layer.weight,
  layer.bias ?? null,
]

/** A call's `formats` and `orders` for the matrices of all layers. */
export const blockFormats = (layers: readonly Linear[]): { formats: string; orders: (Tensor | null)[] } => {
  const blocks = layers.map(blocksOf)
  if (blocks.every((matrix) => matrix === undefined)) return { formats: '', orders: [] }
  return {
    formats: blocks.map((matrix) => matrix?.format ?? '').join(),
    orders: blocks.map((matrix) => matrix?.order ?? null),
  }
}

const handlesOf = (tensors: readonly (Tensor | null)[]): number[] => tensors.map((tensor) => tensor?.handle ?? -1)

const haveHandles = (tensors: readonly (Tensor | null)[], handles: readonly number[]): boolean => {
  if (tensors.length !== handles.length) return false
  for (let i = 0; i < handles.length; i++) if ((tensors[i]?.handle ?? -1) !== handles[i]) return false
  return true
}

/** What was prepared, by its first weight. */
const preparedBy = new WeakMap<Tensor, PreparedWeights>()

/** Frees what was prepared of weights that are freed. */
export const freePrepared = (weights: Iterable<Tensor>): void => {
  for (const weight of weights) preparedBy.get(weight)?.free()
}

/**
 * Weights that the addon has checked for a fused call, as long as they are these tensors. Changes in place are noticed by the
 * addon, other tensors here.
 */
export class PreparedWeights {
  readonly #prepare: (weights: FusedWeights) => Tensor
  #known: { parts: readonly number[]; formats: string; orders: readonly number[]; layers: Tensor } | undefined

  /** @param prepare the operator that checks them */
  constructor(prepare: (weights: FusedWeights) => Tensor) {
    this.#prepare = prepare
  }

  /** The call's `layers`. @throws ShapeError for a tensor that was freed, and for shapes that do not fit each other */
  layersOf(weights: FusedWeights): Tensor {
    const { parts, formats, orders } = weights
    const known = this.#known
    if (known?.formats === formats && haveHandles(parts, known.parts) && haveHandles(orders, known.orders))
      return known.layers
    this.free()
    const layers = keep(this.#prepare({ parts, formats, orders }))
    this.#known = { parts: handlesOf(parts), formats, orders: handlesOf(orders), layers }
    if (parts[0] !== null) preparedBy.set(parts[0], this)
    return layers
  }

  /** Forgets what was checked. */
  free(): void {
    this.#known?.layers.free()
    this.#known = undefined
  }
}

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
