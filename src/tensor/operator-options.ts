// Types of operands and options that many operators share.
import type { Dtype } from './dtype.ts'
import type { Generator } from './generator.ts'
import type { Tensor } from './tensor.ts'

/** A tensor, or a number that is broadcast to the other operand's shape. */
export type TensorOrNumber = Tensor | number

/** Sizes of the dimensions, outermost first. */
export type Shape = readonly number[]

/** One dimension or several; negative numbers count from the last. */
export type Dims = number | readonly number[]

/** How a loss combines its elements. */
export type Reduction = 'none' | 'mean' | 'sum'

/** Whether a reduced dimension stays, with size 1 (default: false). */
export interface KeepDim {
  keepdim?: boolean
}

/** The dtype that the result is computed in (default: that of the input). */
export interface DtypeOptions {
  dtype?: Dtype
}

/** The random stream that an operator samples from (default: libtorch's default stream). */
export interface RandomOptions {
  generator?: Generator
}

/** Dtype and device of a new tensor (default: float32, cpu). */
export interface TensorOptions {
  dtype?: Dtype
  device?: string
}
