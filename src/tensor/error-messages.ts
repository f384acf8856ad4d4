// Turns the addon's errors into ours: one line with the operator and the shapes of its arguments.
import { DataError, formatBytes, NativeError, OutOfMemoryError, ShapeError } from '../core/index.ts'
import { native } from './native.ts'
import type { Tensor } from './tensor.ts'

const looksLikeTensor = (value: unknown): value is Tensor =>
  typeof value === 'object' && value !== null && 'handle' in value && 'guard' in value

const maxParts = 6
const maxLetters = 60

/** A value for an error message, in one line: tensors by shape and dtype. */
export const describeValue = (value: unknown, depth = 0): string => {
  if (looksLikeTensor(value)) {
    if (value.handle === 0) return 'freed tensor'
    if (Array.isArray(value.shape)) return `[${value.shape.join(', ')}] ${value.dtype}`
  }
  if (Array.isArray(value)) {
    if (depth > 3) return '[…]'
    const parts = value.slice(0, maxParts).map((part) => describeValue(part, depth + 1))
    return `[${parts.join(', ')}${value.length > maxParts ? ', …' : ''}]`
  }
  if (typeof value === 'object' && value !== null) {
    if ('external' in value) return 'generator'
    return `{${Object.keys(value).slice(0, maxParts).map(truncate).join(', ')}}`
  }
  if (typeof value === 'string') return `'${truncate(value)}'`
  return typeof value === 'function' ? 'a function' : String(value)
}

const truncate = (text: string) => toOneLine(text.length > maxLetters ? `${text.slice(0, maxLetters)}…` : text)

/** Replaces line breaks, which strings of users and of libtorch may contain. */
export const toOneLine = (text: string) => text.replace(/\s*[\n\r\u2028\u2029]\s*/g, ' ')

/** Removes the source file from libtorch's assertion errors and leaves the assertion. */
const withoutSources = (text: string) =>
  text
    .replace(/ ?INTERNAL ASSERT FAILED at "[^"]*":\d+, please report a bug to PyTorch\.? ?/g, ' does not hold. ')
    .trim()

/** Replaces the kernels' names of operators and arguments by those of this package. */
const withPublicNames = (text: string) =>
  text
    .replace(/ (of|in|for) tunesmith::\w+/g, '')
    .replace(/`[a-z0-9]+(_[a-z0-9]+)+`/g, (name) => name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase()))

const shapeErrorPattern =
  /size|shape|dimension|\bdim\b|dtype|scalar type|type|index|out of range|device|broadcast|must be|expected|divisible|rank|batch|channels|contiguous|negative/i

/** Errors of GPUs and their libraries for want of memory that libtorch passes on as any other error. */
const fullCardPattern = /CUDA error: out of memory|CU\w+_STATUS_ALLOC_FAILED|MPS backend out of memory/

/** An accelerator's error for want of memory, in one sentence with what its memory is used for; others as they are. */
const describeFullMemory = (text: string): string => {
  // The CPU's allocator, which words its errors so, is no accelerator's.
  const memory = text.startsWith('not enough memory') ? undefined : native.deviceMemory?.()
  if (memory === undefined) return text
  const { device, inUse, cached, free, total } = memory
  const wanted = /Tried to allocate ([\d.]+ \w+)/
    .exec(text)?.[1]
    .replace(/^(\d+) bytes$/, (_, n) => formatBytes(Number(n)))
  const others = Math.max(0, total - free - inUse - cached)
  const parts = [
    `tensors of this process have ${formatBytes(inUse)}`,
    `${formatBytes(cached)} are kept for reuse`,
    `the driver and other programs have ${formatBytes(others)}`,
    `${formatBytes(free)} are free`,
  ]
  return `not enough memory on ${device}${wanted === undefined ? '' : `: tried to allocate ${wanted}`}. Of its ${formatBytes(total)}, ${parts.join(', ')}`
}

/** Converts an error of the addon to one of our classes, in one line with the operator and its arguments. */
export const toTypedError = (name: string, values: readonly unknown[], error: unknown): Error => {
  if (!(error instanceof Error) || !('code' in error)) return error instanceof Error ? error : new Error(String(error))
  const given = values.filter((value) => value !== undefined).map((value) => describeValue(value))
  const isFull = error.code === 'OUT_OF_MEMORY' || fullCardPattern.test(error.message)
  const message = isFull ? describeFullMemory(error.message) : withPublicNames(withoutSources(error.message))
  const text = toOneLine(`${name}(${given.join(', ')}): ${message}`)
  if (error.code === 'FILE') return new DataError(`${text}. Do not change files that are in use: open it again.`)
  if (isFull) return new OutOfMemoryError(text)
  if (error.code === 'ARGUMENT' || error.code === 'INDEX' || shapeErrorPattern.test(error.message))
    return new ShapeError(text)
  return new NativeError(text)
}

/** Runs a call of the addon that is no operator, and converts its error. */
export const withTypedErrors = <Result>(name: string, call: () => Result): Result => {
  try {
    return call()
  } catch (error) {
    throw toTypedError(name, [], error)
  }
}
