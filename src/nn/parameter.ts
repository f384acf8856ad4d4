// Parameters of layers: how they are created, without memory while a model is built that is loaded from files, and their names in
// Hugging Face checkpoints.
import { empty, keep, type Tensor } from '../tensor/index.ts'
import { Ambient } from './ambient.ts'

const withoutMemory = new Ambient(false)

/** A parameter with undefined elements. */
export const parameter = (shape: readonly number[]): Tensor =>
  keep(withoutMemory.value ? empty(shape, { device: 'meta' }) : empty(shape))

/** Builds modules whose parameters have no memory: each must be replaced or passed to `materialize` before use. */
export const buildShapes = <Built>(build: () => Built): Built => withoutMemory.during(true, build)

/** The parameter, or one with memory of the same shape where it has none. */
export const materialize = (given: Tensor): Tensor =>
  given.device === 'meta' ? empty(given.shape, { dtype: given.dtype }) : given

/**
 * A module's path here and its name in the checkpoint; `.weight` and `.bias` follow both. `{i}` is a layer's number. Where
 * `ours` is a list, the checkpoint has those matrices stacked along the first dimension.
 */
export interface KeyRule {
  ours: string | readonly string[]
  theirs: string
  /** The checkpoint stores the matrix transposed (GPT-2's Conv1D). */
  transposed?: boolean
  /** Rows of each matrix of the list (default: equal numbers). */
  rows?: readonly number[]
  /** Number of heads, where the checkpoint has the list's matrices head after head (GPT-NeoX), not one after the other. */
  heads?: number
  /**
   * The checkpoint has the list's matrices in one tensor with a further first dimension, such as that of experts. Such tensors are
   * read where they are; files are written by the other rules of the matrices.
   */
  stacked?: boolean
  /** Both names are complete, without `.weight` or `.bias` after them. */
  exact?: boolean
  /** Name of the module in transformers, which files of adapters use, where that of checkpoints is another. */
  module?: string
  /** Other names that checkpoints use instead. */
  alsoReads?: readonly string[]
  /** Writes the tensor under those names too, where the class in transformers has several parameters for it. */
  writesAll?: boolean
}
