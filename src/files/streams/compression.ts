// Decompression of byte streams in bounded memory: gzip, bzip2 and zstd, also with several members or frames. A
// truncated stream yields all bytes before the truncation, then the error. Before other damage, the output of the last
// 16 kB of gzip input or of the last block of bzip2 or zstd may be missing.
import { type ChildProcess, spawn } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { Decompress } from 'fzstd'
import unbzip2 from 'unbzip2-stream'
import { DataError } from '../../core/index.ts'

/** How a byte stream is compressed. */
export type Compression = 'none' | 'gzip' | 'bzip2' | 'zstd'
/** Chunks of bytes in order; a producer may reuse the memory of a chunk after the next one is requested. */
export type ByteStream = AsyncIterable<Uint8Array>

/** Settings of decompression. */
export interface DecompressOptions {
  /** Path for error messages. */
  path: string
  signal?: AbortSignal | undefined
  /** Use the installed lbzip2, bzip2 or zstd, 3 to 6 times faster than JavaScript (default: true). */
  systemTools?: boolean
}

/** The compression of a stream by its first 10 bytes. */
export const detectCompression = (head: Uint8Array): Compression => {
  const [a, b, c, d] = head
  if (a === 0x1f && b === 0x8b) return 'gzip'
  if (a === 0x42 && b === 0x5a && c === 0x68 && d >= 0x31 && d <= 0x39) {
    // A block (pi) or the end of an empty stream (square root of pi) follows; plain text may well start with BZh9.
    if ((head[4] === 0x31 && head[5] === 0x41) || (head[4] === 0x17 && head[5] === 0x72)) return 'bzip2'
  }
  if (a === 0x28 && b === 0xb5 && c === 0x2f && d === 0xfd) return 'zstd'
  if (a >= 0x50 && a <= 0x5f && b === 0x2a && c === 0x4d && d === 0x18) return 'zstd'
  return 'none'
}

const systemTools = { bzip2: ['lbzip2', 'bzip2'], zstd: ['zstd'] } as const
const found = new Map<string, string | undefined>()

const findTool = (format: keyof typeof systemTools): string | undefined => {
  if (!found.has(format)) {
    const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '')
    const candidates = systemTools[format].flatMap((name) => folders.map((folder) => join(folder, name)))
    found.set(format, candidates.find(isExecutable))
  }
  return found.get(format)
}

const isExecutable = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** Decompresses a stream; the input is pulled only as the output is consumed. */
export const decompress = (input: ByteStream, compression: Compression, options: DecompressOptions): ByteStream => {
  if (compression === 'none') return input
  if (compression === 'gzip') return gunzip(input, options)
  const tool = options.systemTools === false ? undefined : findTool(compression)
  if (tool !== undefined) return throughProcess(tool, input, compression, options)
  return compression === 'bzip2' ? bunzip2(input, options) : unzstd(input, options)
}

const damaged = (compression: Compression, options: DecompressOptions, cause: unknown): DataError => {
  const detail = cause instanceof Error ? cause.message : String(cause)
  return new DataError(
    `Expected an intact ${compression} stream, got damage or an early end (${detail}). Fetch the file again.`,
    options.path,
  )
}

/** Splits chunks so that one step of a decompressor has bounded output. */
async function* inSlices(input: ByteStream, size: number): AsyncGenerator<Uint8Array> {
  for await (const chunk of input) {
    for (let start = 0; start < chunk.length; start += size) yield chunk.subarray(start, start + size)
  }
}

async function* gunzip(input: ByteStream, options: DecompressOptions): AsyncGenerator<Uint8Array> {
  const stream = createGunzip({ chunkSize: 1 << 18 })
  const ready: Uint8Array[] = []
  let failure: Error | undefined
  let wake = () => {}
  // Unlike iterating, listening for data keeps what was inflated before an error.
  stream.on('data', (chunk: Uint8Array) => ready.push(chunk))
  stream.on('error', (error) => {
    failure = error
    wake()
  })
  try {
    for await (const chunk of inSlices(input, 1 << 14)) {
      await new Promise<void>((resolve) => {
        wake = resolve
        stream.write(chunk, () => resolve())
      })
      yield* ready.splice(0)
      if (failure !== undefined) break
    }
    if (failure === undefined) {
      await new Promise<void>((resolve) => {
        wake = resolve
        stream.on('end', resolve)
        stream.end()
      })
      yield* ready.splice(0)
    }
    if (failure !== undefined) throw damaged('gzip', options, failure)
  } finally {
    stream.destroy()
  }
}

async function* throughProcess(
  tool: string,
  input: ByteStream,
  compression: Compression,
  options: DecompressOptions,
): AsyncGenerator<Uint8Array> {
  const child = spawn(tool, ['-dcq'], { stdio: ['pipe', 'pipe', 'pipe'] })
  const exit = whenClosed(child)
  let inputError: unknown
  let errorText = ''
  child.stderr.on('data', (text: Buffer) => {
    if (errorText.length < 2000) errorText += text.toString()
  })
  const source = Readable.from(input, { objectMode: false, highWaterMark: 1 << 18 })
  source.on('error', (error) => {
    inputError = error
    child.stdin.end()
  })
  child.stdin.on('error', () => source.destroy()) // the tool stopped early; its exit status has the reason
  source.pipe(child.stdin)
  let finished = false
  try {
    for await (const chunk of child.stdout) yield chunk as Uint8Array
    finished = true
    const status = await exit
    if (inputError !== undefined) throw inputError
    if (status instanceof Error) throw status
    if (status !== 0) throw damaged(compression, options, errorText.trim().split('\n')[0] || `exit status ${status}`)
  } finally {
    source.destroy()
    if (!finished) child.kill('SIGKILL')
  }
}

/** The exit status of a process; an error when it could not start or was killed, which is no fault of the data. */
const whenClosed = (child: ChildProcess): Promise<number | Error> =>
  new Promise((resolve) => {
    child.on('error', resolve)
    child.on('close', (code, signal) => {
      const ended = () => Object.assign(new Error(`The decompressor was killed by ${signal}.`), { code: 'ENOMEM' })
      resolve(code ?? ended())
    })
  })

async function* bunzip2(input: ByteStream, options: DecompressOptions): AsyncGenerator<Uint8Array> {
  const stream = unbzip2()
  const ready: Uint8Array[] = []
  let failure: unknown
  let ended = false
  stream.on('data', (chunk: Uint8Array) => ready.push(chunk))
  stream.on('error', (error: unknown) => {
    failure ??= error
  })
  stream.on('end', () => {
    ended = true
  })
  for await (const chunk of inSlices(input, 1 << 16)) {
    stream.write(Buffer.from(chunk)) // decodes synchronously
    yield* ready.splice(0)
    if (failure !== undefined || ended) break
  }
  if (failure === undefined && !ended) {
    stream.end()
    yield* ready.splice(0)
  }
  if (failure !== undefined) throw damaged('bzip2', options, failure)
}

async function* unzstd(input: ByteStream, options: DecompressOptions): AsyncGenerator<Uint8Array> {
  const ready: Uint8Array[] = []
  const decoder = new Decompress((chunk) => ready.push(chunk))
  let failure: unknown
  try {
    for await (const chunk of inSlices(input, 1 << 10)) {
      decoder.push(chunk)
      yield* ready.splice(0)
    }
    decoder.push(new Uint8Array(0), true)
  } catch (error) {
    if (error instanceof DataError) throw error
    failure = error
  }
  yield* ready.splice(0)
  if (failure !== undefined) throw damaged('zstd', options, failure)
}
