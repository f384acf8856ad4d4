// Makes the tensors of layers. While a model is built only to be filled from files, they have shapes but no memory.
import { empty, keep, type Tensor } from '../tensor/index.ts'

let withoutMemory = false

/** A parameter whose values are not yet set. */
export const parameter = (shape: readonly number[]): Tensor =>
  keep(withoutMemory ? empty(shape, { device: 'meta' }) : empty(shape))

/** Builds modules whose parameters have no memory: each must be replaced, or given memory by `materialize`, before use. */
export const buildShapes = <Built>(build: () => Built): Built => {
  const outer = withoutMemory
  withoutMemory = true
  try {
    return build()
  } finally {
    withoutMemory = outer
  }
}

/** The parameter itself, or, where it has no memory, one of its shape that has. */
export const materialize = (given: Tensor): Tensor =>
  given.device === 'meta' ? empty(given.shape, { dtype: given.dtype }) : given
