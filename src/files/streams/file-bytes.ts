// Opens a file as a stream of decompressed bytes.
import type { Stats } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import { DataError } from '../../core/index.ts'
import { type ByteStream, type DecompressOptions, decompress, detectCompression } from './compression.ts'

const chunkBytes = 1 << 18

/**
 * Streams the bytes of a file, decompressed by its magic bytes.
 * @throws DataError when the path is no readable regular file, or the compression is damaged
 */
export async function* openBytes(options: DecompressOptions): AsyncGenerator<Uint8Array> {
  if (!openPipe.test(options.path)) await requireRegularFile(options.path)
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

// Faults of the given path. Others (a failing disk, too many open files) are faults of the machine and are not
// reworded.
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

/**
 * Pipes that the shell has opened for this process, as in `--data <(command)`: these end, and opening them cannot
 * block.
 */
const openPipe = /^\/(?:dev\/(?:stdin|fd\/\d+)|proc\/self\/fd\/\d+)$/

const kindOf = (info: Stats): string => {
  if (info.isDirectory()) return 'a folder'
  if (info.isFIFO()) return 'a named pipe'
  return info.isSocket() ? 'a socket' : 'a device'
}

/**
 * The facts of a regular file. A device may never end, and opening a named pipe blocks until another process writes to
 * it.
 * @throws DataError for a path that is anything else or does not exist
 */
export const requireRegularFile = async (path: string): Promise<Stats> => {
  const info = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw explain(error, path)
  })
  if (info.isFile()) return info
  throw new DataError(
    `Expected a regular file, got ${kindOf(info)}. ${info.isDirectory() ? 'Name a file.' : 'Write its content to a file first.'}`,
    path,
  )
}
