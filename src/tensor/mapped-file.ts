// A file mapped into memory, and tensors over parts of it: nothing is read until touched, and writing never reaches the file.
import { DataError } from '../core/index.ts'
import { type Dtype, dtypeFacts } from './dtype.ts'
import { native } from './native.ts'
import { Tensor } from './tensor.ts'
import { attempt } from './wording.ts'

export interface MappedFile {
  /** Size of the file when it was mapped. */
  readonly bytes: number
  /** A tensor over `shape` elements from `byteOffset` on. It keeps the mapping alive. */
  tensor(byteOffset: number, shape: readonly number[], dtype: Dtype): Tensor
}

/** Maps a whole file. Do not truncate it while tensors look at it. */
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
      return Tensor.fromHandle(attempt('mapFile', () => native.mapTensor(file.external, byteOffset, shape, code)))
    },
  }
}
