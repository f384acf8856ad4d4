// Writes bytes and tensors to a new file on threads of the addon, hashed on the way. Independent of file formats.
import { getSystemErrorMap } from 'node:util'
import { toTypedError } from './error-messages.ts'
import { native } from './native.ts'
import type { Tensor } from './tensor.ts'

/** An error of the operating system, as Node's file functions throw it. */
const systemError = (path: string, { errno, syscall }: { errno: number; syscall: string }): Error => {
  const [code, text] = getSystemErrorMap().get(-errno) ?? ['UNKNOWN', 'unknown error']
  return Object.assign(new Error(`${code}: ${text}, ${syscall} '${path}'`), { errno: -errno, code, syscall, path })
}

/**
 * Writes `header` and then the elements of `tensors`, row-major, in their order, and resolves with the SHA-256 of the file in
 * hexadecimal. The tensors must neither change nor be freed meanwhile. The file is not flushed to the disk.
 * @throws an error with `code` as of Node's file functions, such as EEXIST where the file exists, or ENOSPC
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
    throw toTypedError('writeTensorFile', [path], error)
  }
}
