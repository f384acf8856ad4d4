// Opens a file as a stream of decompressed bytes. Knows no record format.
import { open } from 'node:fs/promises'
import { DataError } from '../../core/index.ts'
import { type ByteStream, type DecompressOptions, decompress, detectCompression } from './compression.ts'

const chunkBytes = 1 << 18

/** Streams a file's bytes, decompressed by its magic bytes. Throws DataError when it is missing, unreadable or damaged. */
export async function* openBytes(options: DecompressOptions): AsyncGenerator<Uint8Array> {
  yield* decompressed(readFileChunks(options), options)
}

/** Decompresses any byte stream by its magic bytes. */
export async function* decompressed(input: ByteStream, options: DecompressOptions): AsyncGenerator<Uint8Array> {
  const iterator = input[Symbol.asyncIterator]()
  const head: Uint8Array[] = []
  let length = 0
  while (length < 10) {
    const next = await iterator.next()
    if (next.done) break
    head.push(next.value)
    length += next.value.length
  }
  const first = head.length === 1 ? head[0] : Buffer.concat(head)
  const compression = detectCompression(first)
  async function* whole(): AsyncGenerator<Uint8Array> {
    try {
      if (first.length > 0) yield first
      for (;;) {
        options.signal?.throwIfAborted()
        const next = await iterator.next()
        if (next.done) return
        yield next.value
      }
    } finally {
      await iterator.return?.(undefined)
    }
  }
  yield* decompress(whole(), compression, options)
}

// Faults of the path that was given. Others (a failing disk, too many open files) are the machine's and stay as they are.
const pathFaults = new Set(['ENOENT', 'EACCES', 'EPERM', 'EISDIR', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG', 'EINVAL'])

const explain = (error: NodeJS.ErrnoException, path: string): Error => {
  if (error.code === undefined || !pathFaults.has(error.code)) return error
  return new DataError(`Expected a readable file, got ${error.code}. Check the path.`, path)
}

async function* readFileChunks({ path }: DecompressOptions): AsyncGenerator<Uint8Array> {
  const file = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    throw explain(error, path)
  })
  try {
    for (;;) {
      const { bytesRead, buffer } = await file
        .read({ buffer: Buffer.allocUnsafe(chunkBytes) })
        .catch((error: NodeJS.ErrnoException) => {
          throw explain(error, path)
        })
      if (bytesRead === 0) return
      yield buffer.subarray(0, bytesRead)
    }
  } finally {
    await file.close()
  }
}
