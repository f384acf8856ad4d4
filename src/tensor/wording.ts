// Words what the addon throws: one line that names the operator and the shapes it was given.
import { NativeError, OutOfMemoryError, ShapeError } from '../core/index.ts'
import type { Tensor } from './tensor.ts'

const looksLikeTensor = (value: unknown): value is Tensor =>
  typeof value === 'object' && value !== null && 'handle' in value && 'guard' in value

const shownParts = 6
const shownLetters = 60

/** A value as an error message shows it, always in one line: tensors by shape and dtype. */
export const describe = (value: unknown, depth = 0): string => {
  if (looksLikeTensor(value)) {
    if (value.handle === 0) return 'freed tensor'
    if (Array.isArray(value.shape)) return `[${value.shape.join(', ')}] ${value.dtype}`
  }
  if (Array.isArray(value)) {
    if (depth > 3) return '[…]'
    const parts = value.slice(0, shownParts).map((part) => describe(part, depth + 1))
    return `[${parts.join(', ')}${value.length > shownParts ? ', …' : ''}]`
  }
  if (typeof value === 'object' && value !== null) {
    if ('external' in value) return 'generator'
    return `{${Object.keys(value).slice(0, shownParts).map(shorten).join(', ')}}`
  }
  if (typeof value === 'string') return `'${shorten(value)}'`
  return typeof value === 'function' ? 'a function' : String(value)
}

const shorten = (text: string) => oneLine(text.length > shownLetters ? `${text.slice(0, shownLetters)}…` : text)

/** Without line breaks, whatever a user's string or libtorch put in. */
export const oneLine = (text: string) => text.replace(/\s*[\n\r\u2028\u2029]\s*/g, ' ')

/** libtorch's broken assertions name its source files; only what was asserted can help. */
const withoutSources = (text: string) =>
  text
    .replace(/ ?INTERNAL ASSERT FAILED at "[^"]*":\d+, please report a bug to PyTorch\.? ?/g, ' does not hold. ')
    .trim()

const shapeWords =
  /size|shape|dimension|\bdim\b|dtype|scalar type|type|index|out of range|device|broadcast|must be|expected|divisible|rank|batch|channels|contiguous|negative/i

/** Turns what the addon threw into one of our classes, in one line that names the operator and its arguments. */
export const wordError = (name: string, values: readonly unknown[], error: unknown): Error => {
  if (!(error instanceof Error) || !('code' in error)) return error instanceof Error ? error : new Error(String(error))
  const given = values.filter((value) => value !== undefined).map((value) => describe(value))
  const text = oneLine(`${name}(${given.join(', ')}): ${withoutSources(error.message)}`)
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
