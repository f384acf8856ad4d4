// Words what the addon throws: one line that names the operator and the shapes it was given.
import { NativeError, OutOfMemoryError, ShapeError } from '../core/index.ts'
import type { Tensor } from './tensor.ts'

const looksLikeTensor = (value: unknown): value is Tensor =>
  typeof value === 'object' && value !== null && 'handle' in value && 'guard' in value

/** A value as an error message shows it: tensors by shape and dtype. */
export const describe = (value: unknown): string => {
  if (looksLikeTensor(value)) return value.handle === 0 ? 'freed tensor' : `[${value.shape.join(', ')}] ${value.dtype}`
  if (Array.isArray(value)) {
    const parts = value.slice(0, 6).map(describe)
    return `[${parts.join(', ')}${value.length > 6 ? ', …' : ''}]`
  }
  if (typeof value === 'object' && value !== null && 'external' in value) return 'generator'
  if (typeof value === 'object' && value !== null) return `{${Object.keys(value).join(', ')}}`
  return typeof value === 'string' ? `'${value}'` : String(value)
}

const shapeWords =
  /size|shape|dimension|\bdim\b|dtype|scalar type|type|index|out of range|device|broadcast|must be|expected|divisible|rank|batch|channels|contiguous|negative/i

/** Turns what the addon threw into one of our classes, in one line that names the operator and its arguments. */
export const wordError = (name: string, values: readonly unknown[], error: unknown): Error => {
  if (!(error instanceof Error) || !('code' in error)) return error instanceof Error ? error : new Error(String(error))
  const text = `${name}(${values
    .filter((value) => value !== undefined)
    .map(describe)
    .join(', ')}): ${error.message}`
  if (error.code === 'OUT_OF_MEMORY') return new OutOfMemoryError(text)
  if (error.code === 'ARGUMENT' || error.code === 'INDEX' || shapeWords.test(error.message)) return new ShapeError(text)
  return new NativeError(text)
}

/** Runs an addon call outside the operator table and words its error. */
export const attempt = <Result>(name: string, call: () => Result): Result => {
  try {
    return call()
  } catch (error) {
    throw wordError(name, [], error)
  }
}
