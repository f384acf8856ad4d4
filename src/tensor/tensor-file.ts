// A new file of bytes and tensors, hashed while it is written, on threads of the addon. Knows no format.
import { getSystemErrorMap } from 'node:util'
import { native } from './native.ts'
import type { Tensor } from './tensor.ts'
import { wordError } from './wording.ts'

/** As Node words what the system refuses. */
const systemError = (path: string, { errno, syscall }: { errno: number; syscall: string }): Error => {
  const [code, text] = getSystemErrorMap().get(-errno) ?? ['UNKNOWN', 'unknown error']
  return Object.assign(new Error(`${code}: ${text}, ${syscall} '${path}'`), { errno: -errno, code, syscall, path })
}

/**
 * Writes `header` and then the values of `tensors`, row-major, in their order; resolves with the SHA-256 of the whole file in
 * hexadecimal. Tensors must neither change nor be freed meanwhile. The file's last bytes may still be on their way to the disk.
 * @throws an error with `code` as Node's own file functions, such as EEXIST where the file is there already, or ENOSPC
 */
export const writeTensorFile = async (
  path: string,
  header: Uint8Array,
  tensors: readonly Tensor[],
): Promise<string> => {
  try {
    return await native.writeTensors(
      path,
      header,
      tensors.map((tensor) => tensor.use()),
    )
  } catch (error) {
    if (error instanceof Error && 'errno' in error) throw systemError(path, error as never)
    throw wordError('writeTensorFile', [path], error)
  }
}
