// The safetensors format: a length, a JSON header, raw values. Headers are checked against hard bounds, tensors are
// memory-mapped. Independent of models. @source https://github.com/huggingface/safetensors, format section of its
// README
import { type FileHandle, open } from 'node:fs/promises'
import { z } from 'zod'
import { CheckpointError, parseConfig } from '../core/index.ts'
import {
  type Dtype,
  dtypeFacts,
  type MappedFile,
  mapFile,
  noGrad,
  type Tensor,
  writeTensorFile,
} from '../tensor/index.ts'

/** Maximum size of a header, as in the reference implementation. */
const maxHeaderBytes = 100_000_000
const maxDimensions = 32

const dtypeOfName: Record<string, Dtype> = {
  F64: 'float64',
  F32: 'float32',
  F16: 'float16',
  BF16: 'bfloat16',
  I64: 'int64',
  I32: 'int32',
  I16: 'int16',
  I8: 'int8',
  U8: 'uint8',
  U16: 'uint16',
  U32: 'uint32',
  U64: 'uint64',
  BOOL: 'bool',
}
const nameOfDtype = Object.fromEntries(Object.entries(dtypeOfName).map(([name, dtype]) => [dtype, name])) as Record<
  Dtype,
  string
>

const whole = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER)
const entrySchema = z.strictObject({
  dtype: z.string(),
  shape: z.array(whole).max(maxDimensions),
  data_offsets: z.tuple([whole, whole]),
})

/** dtype, shape and position of a tensor in a file. */
export interface TensorEntry {
  dtype: Dtype
  shape: number[]
  /** From the start of the file. */
  byteOffset: number
  bytes: number
}

/** A parsed header. */
export interface SafetensorsHeader {
  tensors: Map<string, TensorEntry>
  metadata: Record<string, string>
}

/** End of the string that begins at `start` of a valid JSON text. */
const endOfString = (text: string, start: number): number => {
  for (let end = text.indexOf('"', start + 1); ; end = text.indexOf('"', end + 1)) {
    let slashes = 0
    while (text[end - 1 - slashes] === '\\') slashes++
    if (slashes % 2 === 0) return end
  }
}

/** A duplicate key of some object in a valid JSON text; JSON.parse would silently keep the last. */
const repeatedKey = (text: string): string | undefined => {
  const open: (Set<string> | undefined)[] = []
  for (let at = 0; at < text.length; at++) {
    const character = text[at]
    if (character === '{') open.push(new Set())
    else if (character === '[') open.push(undefined)
    else if (character === '}' || character === ']') open.pop()
    else if (character === '"') {
      const start = at
      at = endOfString(text, start)
      let next = at + 1
      while (' \t\n\r'.includes(text[next])) next++
      if (text[next] !== ':') continue
      const key = JSON.parse(text.slice(start, at + 1)) as string
      if (open.at(-1)?.has(key)) return key
      open.at(-1)?.add(key)
    }
  }
  return undefined
}

/**
 * Parses a header and checks it against the size of the file, without allocating what it claims.
 * @throws CheckpointError for an invalid header
 */
export const parseSafetensorsHeader = (header: Uint8Array, fileBytes: number, path: string): SafetensorsHeader => {
  const fault = (what: string) => new CheckpointError(`${path}: ${what} The file is damaged or not a safetensors file.`)
  let parsed: unknown
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(header)
    parsed = JSON.parse(text)
  } catch {
    throw fault('Expected a JSON header, got something else.')
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    throw fault('Expected a JSON object as header.')
  const repeated = repeatedKey(text)
  if (repeated !== undefined)
    throw fault(`Expected each key of the header once, got ${JSON.stringify(repeated.slice(0, 200))} twice.`)
  const start = 8 + header.length
  const tensors = new Map<string, TensorEntry>()
  let metadata: Record<string, string> = {}
  for (const [name, value] of Object.entries(parsed)) {
    if (name === '__metadata__') {
      metadata = parseConfig(z.record(z.string(), z.string()), value, `${path}: __metadata__`)
      continue
    }
    const checked = entrySchema.safeParse(value)
    if (!checked.success) throw fault(`Expected dtype, shape and data_offsets for tensor \`${name.slice(0, 200)}\`.`)
    const { dtype: dtypeName, shape, data_offsets } = checked.data
    const dtype = Object.hasOwn(dtypeOfName, dtypeName) ? dtypeOfName[dtypeName] : undefined
    if (dtype === undefined)
      throw new CheckpointError(
        `${path}: Expected a known dtype for tensor \`${name.slice(0, 200)}\`, got ${dtypeName.slice(0, 40)}. Convert it to one of ${Object.keys(dtypeOfName).join(', ')}.`,
      )
    let bytes = dtypeFacts(dtype).bytes
    for (const size of shape) {
      bytes *= size
      if (bytes > Number.MAX_SAFE_INTEGER)
        throw fault(`Expected a shape that fits in memory for tensor \`${name.slice(0, 200)}\`.`)
    }
    const [from, to] = data_offsets
    if (to < from || to - from !== bytes || start + to > fileBytes)
      throw fault(
        `Expected ${bytes} bytes within the file for tensor \`${name.slice(0, 200)}\`, got offsets ${from} to ${to} of ${fileBytes - start}.`,
      )
    tensors.set(name, { dtype, shape, byteOffset: start + from, bytes })
  }
  const spans = [...tensors].filter(([, entry]) => entry.bytes > 0).sort(([, a], [, b]) => a.byteOffset - b.byteOffset)
  let end = start
  for (const [name, { byteOffset, bytes }] of spans) {
    if (byteOffset < end)
      throw fault(`Expected tensors that do not overlap, but \`${name.slice(0, 200)}\` begins inside another.`)
    if (byteOffset > end)
      throw fault(
        `Expected tensors without holes between them, but ${byteOffset - end} bytes before \`${name.slice(0, 200)}\` belong to none.`,
      )
    end = byteOffset + bytes
  }
  if (end !== fileBytes) throw fault(`Expected the file to end with its last tensor at ${end}, got ${fileBytes} bytes.`)
  return { tensors, metadata }
}

const readExactly = async (file: FileHandle, length: number, position: number, path: string) => {
  const bytes = new Uint8Array(length)
  let filled = 0
  while (filled < length) {
    const { bytesRead } = await file.read(bytes, filled, length - filled, position + filled)
    if (bytesRead === 0)
      throw new CheckpointError(
        `${path}: Expected ${length} bytes at ${position}, got ${filled}. The file is truncated.`,
      )
    filled += bytesRead
  }
  return bytes
}

/** Reads the header of a file. @throws CheckpointError for a missing or damaged file */
export const readSafetensorsHeader = async (path: string): Promise<SafetensorsHeader> => {
  const file = await open(path).catch((error: Error) => {
    throw new CheckpointError(`${path}: Expected a readable file (${error.message}).`)
  })
  try {
    const { size } = await file.stat()
    if (size < 8)
      throw new CheckpointError(`${path}: Expected a safetensors file, got ${size} bytes. The file is truncated.`)
    const length = new DataView((await readExactly(file, 8, 0, path)).buffer).getBigUint64(0, true)
    if (length > BigInt(maxHeaderBytes) || Number(length) + 8 > size)
      throw new CheckpointError(
        `${path}: Expected a header of at most ${Math.min(maxHeaderBytes, size - 8)} bytes, got ${length}. The file is damaged or not a safetensors file.`,
      )
    return parseSafetensorsHeader(await readExactly(file, Number(length), 8, path), size, path)
  } finally {
    await file.close()
  }
}

/** An open file. */
export interface SafetensorsFile extends SafetensorsHeader {
  /**
   * Maps a tensor from the file; writing to it does not change the file.
   * @throws CheckpointError for an unknown name
   */
  tensor(name: string): Tensor
}

/**
 * Opens a file whose tensors are mapped from disk when they are asked for.
 * @param options.mapEachTensor gives each tensor its own mapping, whose pages leave memory when that tensor is freed;
 * with one mapping for the file they stay until its last tensor is freed
 * @throws CheckpointError for a damaged file
 */
export const openSafetensors = async (
  path: string,
  options: { mapEachTensor?: boolean } = {},
): Promise<SafetensorsFile> => {
  const header = await readSafetensorsHeader(path)
  const whole: MappedFile | undefined = options.mapEachTensor ? undefined : mapFile(path)
  return {
    ...header,
    tensor: (name) => {
      const entry = header.tensors.get(name)
      if (entry === undefined)
        throw new CheckpointError(`${path}: Expected a tensor \`${name}\`, found none.`, { missing: [name] })
      const own = whole ?? mapFile(path)
      try {
        return own.tensor(entry.byteOffset, entry.shape, entry.dtype)
      } finally {
        if (own !== whole) own.release()
      }
    },
  }
}

/** Options of `saveSafetensors`. */
export interface SaveSafetensorsOptions {
  /** dtype that floats are written in (default: that of each tensor). */
  dtype?: Dtype
  /** Compute the hash of the file (default: true). */
  hash?: boolean
}

/** dtypes that the addon converts to each other while it writes. */
const converted = new Set<Dtype>(['float32', 'float16', 'bfloat16'])

const writtenDtype = ({ dtype }: Tensor, { dtype: wanted }: SaveSafetensorsOptions): Dtype =>
  wanted !== undefined && dtypeFacts(dtype).floating ? wanted : dtype

const bytesOf = (tensor: Tensor, options: SaveSafetensorsOptions): number =>
  tensor.size * dtypeFacts(writtenDtype(tensor, options)).bytes

/** Length and header of a file, padded so that the values are aligned. */
export const makeSafetensorsHeader = (
  tensors: ReadonlyMap<string, Tensor>,
  metadata: Record<string, string> = {},
  options: SaveSafetensorsOptions = {},
): Uint8Array => {
  const header: Record<string, unknown> = Object.keys(metadata).length > 0 ? { __metadata__: metadata } : {}
  let at = 0
  for (const [name, tensor] of tensors) {
    const bytes = bytesOf(tensor, options)
    header[name] = {
      dtype: nameOfDtype[writtenDtype(tensor, options)],
      shape: tensor.shape,
      data_offsets: [at, at + bytes],
    }
    at += bytes
  }
  const json = new TextEncoder().encode(JSON.stringify(header))
  const padded = Math.ceil((json.length + 8) / 64) * 64 - 8
  const out = new Uint8Array(8 + padded).fill(0x20)
  new DataView(out.buffer).setBigUint64(0, BigInt(padded), true)
  out.set(json, 8)
  return out
}

/** Size and hash of a written file. */
export interface WrittenFile {
  bytes: number
  /** SHA-256 of the file, hexadecimal; empty where it was not wanted. */
  sha256: string
}

/**
 * Writes a new file of tensors in the given order and hashes it, for folders that `writeFolderAtomic` syncs. The
 * tensors must not change until it resolves.
 * @throws if the file exists
 */
export const saveSafetensors = async (
  path: string,
  tensors: ReadonlyMap<string, Tensor>,
  metadata?: Record<string, string>,
  options: SaveSafetensorsOptions = {},
): Promise<WrittenFile> => {
  const header = makeSafetensorsHeader(tensors, metadata, options)
  const parts = [...tensors.values()].map((tensor) => {
    const as = writtenDtype(tensor, options)
    return as === tensor.dtype || (converted.has(as) && converted.has(tensor.dtype))
      ? { tensor, as }
      : { tensor: noGrad(() => tensor.to(as)) }
  })
  const sha256 = await writeTensorFile(path, header, parts, { hash: options.hash })
  return { bytes: [...tensors.values()].reduce((sum, one) => sum + bytesOf(one, options), header.length), sha256 }
}
