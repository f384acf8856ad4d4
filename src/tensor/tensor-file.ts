// Files of tensors, independent of their formats: mapped into memory, where pages are read when they are used and writes stay in memory; and
// written on threads of the addon, converted, quantised and hashed on the way.
import { getSystemErrorMap } from 'node:util'
import { DataError } from '../core/index.ts'
import { noGradScope } from './autograd.ts'
import { type Dtype, dtypeFacts } from './dtype.ts'
import { toTypedError, withTypedErrors } from './error-messages.ts'
import { encodeRows } from './functions.ts'
import { native } from './native.ts'
import { Tensor } from './tensor.ts'

/** A file mapped into memory. */
export interface MappedFile {
  /** Size of the file when it was mapped, in bytes. */
  readonly bytes: number
  /**
   * A tensor over the bytes from `byteOffset` on. It keeps the mapping; writing to it does not change the file.
   * @throws ShapeError where the file is too short
   */
  tensor(byteOffset: number, shape: readonly number[], dtype: Dtype): Tensor
  /**
   * Gives up the file: its pages leave memory with the last tensor over it, which would otherwise wait for the garbage collector.
   * No tensor can be made of it afterwards.
   */
  release(): void
}

/**
 * Maps a whole file. A file that is truncated while it is mapped makes operators on the missing part throw a DataError.
 * @throws DataError where the file cannot be opened
 */
export const mapFile = (path: string): MappedFile => {
  let file: { external: object; bytes: number }
  try {
    file = native.mapFile(path)
  } catch (error) {
    throw new DataError(`${(error as Error).message}. Check that the file exists and can be read.`)
  }
  return {
    bytes: file.bytes,
    tensor: (byteOffset, shape, dtype) => {
      const code = dtypeFacts(dtype).code
      return Tensor.fromHandle(
        withTypedErrors('mapFile', () => native.mapTensor(file.external, byteOffset, shape, code)),
      )
    },
    release: () => native.releaseFile(file.external),
  }
}

/** A tensor of a file. */
export interface FilePart {
  tensor: Tensor
  /** What rows of floats are written as: a format of `encodeRows` (default: the dtype of the tensor). */
  as?: string
  /** Numbers for each column or row, for formats that have some. */
  columns?: Float32Array
  /** Refuse NaN and infinity, also those that the format makes of large elements (default: false). */
  finite?: boolean
}

/** Options of `writeTensorFile`. */
export interface WriteTensorFileOptions {
  /** Compute the SHA-256 of the file (default: true). */
  hash?: boolean
  /** The error for a part with NaN or infinity (default: one without a name). */
  notFinite?(part: number): Error
  signal?: AbortSignal | undefined
}

/** An error of the operating system, as Node's file functions throw it. */
const systemError = (path: string, { errno, syscall }: { errno: number; syscall: string }): Error => {
  const [code, text] = getSystemErrorMap().get(-errno) ?? ['UNKNOWN', 'unknown error']
  return Object.assign(new Error(`${code}: ${text}, ${syscall} '${path}'`), { errno: -errno, code, syscall, path })
}

const fault = (error: unknown, path: string, { notFinite, signal }: WriteTensorFileOptions): unknown => {
  if (signal?.aborted) return signal.reason
  if (error instanceof Error && 'errno' in error) return systemError(path, error as never)
  if (error instanceof Error && 'notFinite' in error)
    return notFinite?.(Number(error.notFinite)) ?? new Error(`NaN or infinity in part ${error.notFinite} of ${path}`)
  return toTypedError('writeTensorFile', [path], error)
}

/**
 * Writes `header` and then bytes and the elements of tensors, row-major, in their order, and resolves with the SHA-256 of the
 * file in hexadecimal, or '' without `hash`. The tensors must neither change nor be freed meanwhile. The file is not flushed
 * to the disk.
 * @throws an error with `code` as of Node's file functions, such as EEXIST where the file exists, or ENOSPC
 */
export const writeTensorFile = async (
  path: string,
  header: Uint8Array,
  parts: readonly (Tensor | Uint8Array | FilePart)[],
  options: WriteTensorFileOptions = {},
): Promise<string> => {
  const { hash = true, signal } = options
  signal?.throwIfAborted()
  const made: Tensor[] = []
  const stored = (values: Uint8Array | Float32Array): Tensor => {
    const tensor = Tensor.from(values, { dtype: values instanceof Uint8Array ? 'uint8' : 'float32' })
    made.push(tensor)
    return tensor
  }
  const cancel = new Uint8Array(1)
  const stop = () => void (cancel[0] = 1)
  signal?.addEventListener('abort', stop)
  try {
    const listed = parts.map((part): [number, string, number, boolean] => {
      const {
        tensor,
        as,
        columns,
        finite = false,
      }: FilePart = part instanceof Uint8Array
        ? { tensor: stored(part) }
        : part instanceof Tensor
          ? { tensor: part }
          : part
      const format = as === tensor.dtype ? '' : (as ?? '')
      return [tensor.use(), format, columns === undefined ? 0 : stored(columns).use(), finite]
    })
    return await native.writeTensors(path, header, listed, hash, cancel)
  } catch (error) {
    throw fault(error, path, options)
  } finally {
    signal?.removeEventListener('abort', stop)
    for (const tensor of made) tensor.free()
  }
}

/** Elements that are converted at once. */
const pieceElements = 1 << 22

/** The bytes that `writeTensorFile` writes for a part, in pieces. */
export function* partBytes({ tensor, as, columns }: FilePart): Iterable<Uint8Array> {
  const width = tensor.shape.at(-1) ?? 1
  const rows = tensor.size / Math.max(1, width)
  const step = Math.max(1, Math.floor(pieceElements / Math.max(1, width)))
  for (let row = 0; row < rows; row += step) {
    const count = Math.min(step, rows - row)
    yield noGradScope(() => {
      const piece = tensor.detach().reshape([rows, width]).narrow(0, row, count)
      const byRow = columns !== undefined && columns.length === rows && as === 'int8-by-row'
      const numbers = byRow ? columns.slice(row, row + count) : columns
      const encoded = encodeRows(
        piece.to({ dtype: 'float32', device: 'cpu' }),
        as ?? tensor.dtype,
        numbers === undefined ? null : Tensor.from(numbers),
      )
      const bytes = new Uint8Array(encoded.size)
      encoded.copyInto(bytes)
      return bytes
    })
  }
}
