// Creates the parameters of layers: without memory while a model is built that is loaded from files.
import { empty, keep, type Tensor } from '../tensor/index.ts'

let withoutMemory = false

/** A parameter with undefined elements. */
export const parameter = (shape: readonly number[]): Tensor =>
  keep(withoutMemory ? empty(shape, { device: 'meta' }) : empty(shape))

/** Builds modules whose parameters have no memory: each must be replaced or passed to `materialize` before use. */
export const buildShapes = <Built>(build: () => Built): Built => {
  const outer = withoutMemory
  withoutMemory = true
  try {
    return build()
  } finally {
    withoutMemory = outer
  }
}

/** The parameter, or one with memory of the same shape where it has none. */
export const materialize = (given: Tensor): Tensor =>
  given.device === 'meta' ? empty(given.shape, { dtype: given.dtype }) : given
