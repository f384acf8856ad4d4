// Makes the operator table callable: methods onto the tensor's prototype, functions as exports.
import type { AnySignature, OperatorEntry, SignaturesOf } from './entry.ts'
import { callable, parseDeclaration } from './operator.ts'
import { functions, methods, type TensorOptions } from './ops.ts'
import { Tensor } from './tensor.ts'

for (const [name, entry] of Object.entries(methods)) {
  const call = callable(name, entry as OperatorEntry<AnySignature>)
  const positional = parseDeclaration(entry.overloads[0]).parameters.filter(({ passed }) => passed === 'positional')
  // The tensor goes where the schema has `self`, which is not always first.
  const place = Math.max(
    0,
    positional.findIndex((parameter) => parameter.name === 'self'),
  )
  const method =
    place === 0
      ? function (this: Tensor, ...values: unknown[]) {
          return call(this, ...values)
        }
      : function (this: Tensor, ...values: unknown[]) {
          return call(...values.slice(0, place), this, ...values.slice(place))
        }
  Object.defineProperty(Tensor.prototype, name, { value: method, writable: true, configurable: true })
}

const made = Object.fromEntries(
  Object.entries(functions).map(([name, entry]) => [name, callable(name, entry as OperatorEntry<AnySignature>)]),
) as SignaturesOf<typeof functions>

export const {
  adamw_,
  addLayerNorm,
  addRmsNorm,
  arange,
  attention,
  cat,
  clipGradNorm_,
  decoderLayer,
  dropout,
  einsum,
  embedding,
  empty,
  emptyLike,
  eye,
  fullLike,
  fusedGelu,
  gradNorm,
  linear,
  linearCrossEntropy,
  linspace,
  ones,
  onesLike,
  packedLinear,
  packInt8,
  packNf4,
  packScales,
  padSequence,
  rand,
  randint,
  randn,
  randperm,
  rotary,
  scaledDotProductAttention,
  stack,
  swiglu,
  unpackMatrix,
  useLargePages,
  zeros,
  zerosLike,
} = made

/** A tensor with every element `value`; float32 unless `dtype` says otherwise. */
export const full = (shape: readonly number[], value: number, options?: TensorOptions): Tensor =>
  made.empty(shape, options).fill_(value)

/** Copies values in: see `Tensor.from`. */
export const tensor = Tensor.from
