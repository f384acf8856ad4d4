// Nested arrays as one flat typed array with a shape and a dtype. Independent of tensors.
import { ShapeError } from '../core/index.ts'
import { type Dtype, dtypeFacts, dtypeOfArray, type TypedArray } from './dtype.ts'
import { describeValue } from './error-messages.ts'

/** Elements of a tensor as nested arrays; a row of elements may be a typed array. */
export type TensorValues = number | bigint | boolean | TypedArray | readonly TensorValues[]

/** Elements of a tensor as `toArray` returns them. */
export type NestedArray = number | boolean | readonly NestedArray[]

/** Elements in row-major order. */
interface FlatValues {
  values: TypedArray
  shape: number[]
  dtype: Dtype
}

/** libtorch's own limit; it also ends an array that contains itself. */
const maxDims = 64

type Element = number | bigint | boolean

const isTyped = (value: unknown): value is TypedArray => ArrayBuffer.isView(value)

const isList = (value: unknown): value is readonly TensorValues[] | TypedArray => Array.isArray(value) || isTyped(value)

/** The sizes along the first element of every dimension; `checkRows` compares the other rows with them. */
const shapeOf = (values: TensorValues): number[] => {
  const shape: number[] = []
  for (let level = values; isList(level); level = level[0] as TensorValues) {
    if (shape.push(level.length) > maxDims)
      throw new ShapeError(`Expected at most ${maxDims} dimensions for \`Tensor.from\`, got deeper arrays.`)
    if (level.length === 0) break
  }
  return shape
}

/** What the rows hold: `number`, `bigint`, `boolean` or the dtype of a typed array. @throws ShapeError for ragged rows */
const checkRows = (values: TensorValues, shape: readonly number[]): Set<string> => {
  const kinds = new Set<string>()
  const check = (value: TensorValues, depth: number): void => {
    if (isList(value)) {
      if (depth >= shape.length)
        throw new ShapeError('Expected rows of one depth for `Tensor.from`, got arrays beside numbers.')
      if (value.length !== shape[depth])
        throw new ShapeError(
          `Expected rows of one length for \`Tensor.from\`, got ${shape[depth]} and ${value.length}. Pad them first.`,
        )
      if (!isTyped(value)) for (const part of value) check(part, depth + 1)
      else if (depth + 1 === shape.length) kinds.add(dtypeOfArray(value))
      else throw new ShapeError('Expected rows of one depth for `Tensor.from`, got numbers beside arrays.')
      return
    }
    if (typeof value !== 'number' && typeof value !== 'bigint' && typeof value !== 'boolean')
      throw new ShapeError(`Expected numbers, bigints or booleans for \`Tensor.from\`, got ${describeValue(value)}.`)
    if (depth !== shape.length)
      throw new ShapeError('Expected rows of one depth for `Tensor.from`, got numbers beside arrays.')
    kinds.add(typeof value)
  }
  check(values, 0)
  return kinds
}

const dtypeOfKind: Record<string, Dtype | undefined> = { bigint: 'int64', boolean: 'bool' }

/** Converts one element to what the dtype's typed array holds. @throws ShapeError where it would change the value */
const converterTo = (dtype: Dtype): ((value: Element) => number | bigint) => {
  const { array, bytes, floating } = dtypeFacts(dtype)
  if (floating) return Number
  if (dtype === 'bool') return (value) => (Number(value) === 0 ? 0 : 1)
  const probe = new array(1)
  return (value) => {
    const isWhole = typeof value !== 'number' || Number.isSafeInteger(value)
    const converted = isWhole && bytes === 8 ? BigInt(value) : Number(value)
    if (isWhole) probe[0] = converted as never
    if (!isWhole || probe[0] !== converted)
      throw new ShapeError(`Expected whole numbers within the range of dtype ${dtype}, got ${value}.`)
    return converted
  }
}

const fill = (values: TensorValues, put: (value: Element) => void): void => {
  if (!isList(values)) put(values)
  else for (const part of values) fill(part, put)
}

/**
 * Checks and flattens nested values. Without `dtype`: booleans become bool, bigints int64, typed arrays of one type keep that
 * type, and anything else becomes float32.
 * @throws ShapeError for ragged rows, and for values that the dtype cannot represent
 */
export const flatten = (values: TensorValues, dtype?: Dtype): FlatValues => {
  const shape = shapeOf(values)
  const kinds = checkRows(values, shape)
  const count = shape.reduce((product, size) => product * size, 1)
  const [kind] = kinds.size === 1 ? kinds : []
  const typed = kind !== undefined && !['number', 'bigint', 'boolean'].includes(kind) ? (kind as Dtype) : undefined
  if (typed !== undefined) {
    // As for one typed array: the bits are kept here, and `Tensor.from` converts them.
    const joined = new (dtypeFacts(typed).array)(count)
    let at = 0
    fill(values, (value) => {
      joined[at++] = value as never
    })
    return { values: joined, shape, dtype: dtype ?? typed }
  }
  const wanted = dtype ?? dtypeOfKind[kind ?? ''] ?? 'float32'
  const { array, floating } = dtypeFacts(wanted)
  const flat = floating && wanted !== 'float64' ? new Float32Array(count) : new array(count)
  const convert = converterTo(wanted)
  let at = 0
  fill(values, (value) => {
    flat[at++] = convert(value) as never
  })
  return { values: flat, shape, dtype: wanted }
}
