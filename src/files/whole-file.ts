// A whole file in memory, decompressed, with a bound on its size.
import { DataError } from '../core/index.ts'
import { type ByteStream, openBytes } from './streams/index.ts'

/** Settings of `wholeFile` and `wholeStream`. */
export interface WholeFileOptions {
  signal?: AbortSignal | undefined
  /** Largest size after decompression in bytes (default: 256 MiB). */
  maxBytes?: number
}

const defaultMaxBytes = 2 ** 28

/** The bytes of a file, which may be compressed. @throws DataError for a file that cannot be read or is too large */
export const wholeFile = (path: string, { signal, maxBytes }: WholeFileOptions = {}): Promise<Buffer> =>
  wholeStream(openBytes({ path, signal }), path, maxBytes)

/** All bytes of a stream that `path` names in errors. @throws DataError for more than `maxBytes` */
export const wholeStream = async (stream: ByteStream, path: string, maxBytes = defaultMaxBytes): Promise<Buffer> => {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of stream) {
    size += chunk.length
    if (size > maxBytes) throw new DataError(`Expected at most ${maxBytes} bytes, got more. Split the file.`, path)
    chunks.push(Uint8Array.from(chunk))
  }
  return Buffer.concat(chunks)
}
