// The form of an entry in methods.ts and functions.ts, which operator.ts turns into a function, and types of operands and options.
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

/** Any function type. */
// biome-ignore lint/suspicious/noExplicitAny: parameters of any signature are assignable to it
export type AnySignature = (...values: any[]) => unknown

/** An entry: the overloads that it may call, and the TypeScript signature of the call. */
export interface OperatorEntry<Signature extends AnySignature> {
  readonly overloads: readonly string[]
  /** Never set: it carries the type. */
  readonly signature?: Signature
}

/** The TypeScript signatures of a table of entries, with the entries' docstrings. */
export type SignaturesOf<Table> = {
  [Name in keyof Table]: Table[Name] extends OperatorEntry<infer Signature> ? Signature : never
}

/**
 * Creates an entry. An overload is written `namespace::name.overload(arg, *option, -unused)` with every argument of the schema
 * in its order: plain ones are positional, `*` ones are keys of the options object, `-` ones keep the schema's default.
 */
export const entry = <Signature extends AnySignature>(...overloads: string[]): OperatorEntry<Signature> => ({
  overloads,
})
