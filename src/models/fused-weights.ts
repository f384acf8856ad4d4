// Matrices of layers as fused calls take them: dense, or as blocks of a GGUF file.
import { BlockMatrix, type Linear } from '../nn/index.ts'
import type { Tensor } from '../tensor/index.ts'

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
