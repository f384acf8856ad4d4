// Weights of layers as fused calls take them: matrices dense or as blocks of a GGUF file, and checked once for many calls.
import { BlockMatrix, type Linear } from '../nn/index.ts'
import { keep, type Tensor } from '../tensor/index.ts'

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
