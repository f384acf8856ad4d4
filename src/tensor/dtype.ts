// Element types (dtypes) by PyTorch's names, with the typed array that holds each in JavaScript.
import { ConfigError, didYouMean, ShapeError, show } from '../core/index.ts'

/** Typed arrays that tensors are copied from and to. */
export type TypedArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array

interface DtypeFacts {
  /** libtorch's ScalarType number. */
  code: number
  bytes: number
  floating: boolean
  /** Typed array whose elements have the same bits; bfloat16 and float16 are raw 16-bit patterns in a Uint16Array. */
  array: new (
    length: number,
  ) => TypedArray
}

const factsByName = {
  float32: { code: 6, bytes: 4, floating: true, array: Float32Array },
  bfloat16: { code: 15, bytes: 2, floating: true, array: Uint16Array },
  float16: { code: 5, bytes: 2, floating: true, array: Uint16Array },
  float64: { code: 7, bytes: 8, floating: true, array: Float64Array },
  int64: { code: 4, bytes: 8, floating: false, array: BigInt64Array },
  int32: { code: 3, bytes: 4, floating: false, array: Int32Array },
  int16: { code: 2, bytes: 2, floating: false, array: Int16Array },
  int8: { code: 1, bytes: 1, floating: false, array: Int8Array },
  uint8: { code: 0, bytes: 1, floating: false, array: Uint8Array },
  bool: { code: 11, bytes: 1, floating: false, array: Uint8Array },
  uint16: { code: 27, bytes: 2, floating: false, array: Uint16Array },
  uint32: { code: 28, bytes: 4, floating: false, array: Uint32Array },
  uint64: { code: 29, bytes: 8, floating: false, array: BigUint64Array },
} as const satisfies Record<string, DtypeFacts>

/** Name of an element type, as in PyTorch. */
export type Dtype = keyof typeof factsByName

/** All dtypes that tensors can have. */
export const dtypes = Object.keys(factsByName) as Dtype[]

/** Whether a name is that of a dtype. */
export const isDtype = (name: string): name is Dtype => Object.hasOwn(factsByName, name)

/** The dtype itself; none where none is given. @throws ConfigError for an unknown name */
export const expectDtype = (dtype: unknown): Dtype | undefined => {
  if (dtype === undefined || (typeof dtype === 'string' && isDtype(dtype))) return dtype
  const hint = typeof dtype === 'string' ? didYouMean(dtype, dtypes) : ''
  throw new ConfigError(`Expected one of ${dtypes.join(', ')} for \`dtype\`, got ${show(dtype)}.${hint}`)
}

/** Size and kind of a dtype. @throws ConfigError for an unknown name */
export const dtypeFacts = (dtype: Dtype): DtypeFacts => {
  expectDtype(dtype)
  return factsByName[dtype]
}

/** What the elements of a tensor are. */
export interface Elements {
  /** Number of elements. */
  size: number
  dtype: Dtype
}

/** Bytes of a tensor's elements. */
export const bytesOf = ({ size, dtype }: Elements): number => size * dtypeFacts(dtype).bytes

/** Bytes of the elements of tensors. */
export const totalBytes = (tensors: Iterable<Elements>): number => {
  let bytes = 0
  for (const tensor of tensors) bytes += bytesOf(tensor)
  return bytes
}

const byCode = new Map(dtypes.map((name) => [factsByName[name].code as number, name]))

/** The dtype of libtorch's ScalarType number. */
export const dtypeFromCode = (code: number): Dtype => {
  const name = byCode.get(code)
  if (name === undefined) throw new ShapeError(`Expected a supported dtype, got libtorch's number ${code}.`)
  return name
}

/** The dtype of a typed array's own elements. @throws ShapeError for an array that is none of `TypedArray` */
export const dtypeOfArray = (array: TypedArray): Dtype => {
  const name = dtypes.find(
    (dtype) => dtype !== 'bfloat16' && dtype !== 'float16' && array instanceof factsByName[dtype].array,
  )
  if (name === undefined)
    throw new ShapeError('Expected a Float32Array or another number array, got one of an unsupported element type.')
  return name
}
