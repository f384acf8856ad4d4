// Files mapped into memory, and tensors over parts of them: pages are read when they are used, and writes stay in memory.
import { DataError } from '../core/index.ts'
import { type Dtype, dtypeFacts } from './dtype.ts'
import { withTypedErrors } from './error-messages.ts'
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
