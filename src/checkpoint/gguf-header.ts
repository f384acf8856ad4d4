// The header of a GGUF file: version, metadata, tensor descriptions. Every count, length, type and offset is checked
// against the size of the file before memory is allocated for it. Independent of models.
// @source https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
import { fstatSync, readSync } from 'node:fs'
import { CheckpointError } from '../core/index.ts'
import type { TypedArray } from '../tensor/index.ts'
import { type GgufType, ggufTypes } from './gguf-types.ts'

/**
 * Strings, numbers (bigint only where a number would round), booleans, and lists; lists of numbers are typed arrays.
 */
export type GgufValue = string | number | bigint | boolean | readonly string[] | TypedArray

/** Type, shape and position of a tensor in a file. */
export interface GgufEntry {
  /** Slowest dimension first, as in PyTorch. */
  shape: number[]
  type: GgufType
  /** From the start of the file. */
  byteOffset: number
  bytes: number
}

/** A parsed GGUF header. */
export interface GgufHeader {
  version: number
  metadata: Map<string, GgufValue>
  tensors: Map<string, GgufEntry>
}

// Real headers have about ten megabytes at most, nearly all of it vocabulary.
const maxHeaderBytes = 128 * 1024 * 1024
const maxNameBytes = 65535
const maxDimensions = 4
const maxAlignment = 1 << 20
const defaultAlignment = 32
const windowBytes = 1 << 18

interface ScalarType {
  name: string
  bytes: number
  read(view: DataView, at: number): number | bigint | boolean
  list(bytes: ArrayBuffer): TypedArray
}

const asNumber = (value: bigint): number | bigint =>
  value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value

// By type code; 8 is a string, 9 a list.
const scalarTypes: readonly (ScalarType | undefined)[] = [
  { name: 'uint8', bytes: 1, read: (view, at) => view.getUint8(at), list: (bytes) => new Uint8Array(bytes) },
  { name: 'int8', bytes: 1, read: (view, at) => view.getInt8(at), list: (bytes) => new Int8Array(bytes) },
  { name: 'uint16', bytes: 2, read: (view, at) => view.getUint16(at, true), list: (bytes) => new Uint16Array(bytes) },
  { name: 'int16', bytes: 2, read: (view, at) => view.getInt16(at, true), list: (bytes) => new Int16Array(bytes) },
  { name: 'uint32', bytes: 4, read: (view, at) => view.getUint32(at, true), list: (bytes) => new Uint32Array(bytes) },
  { name: 'int32', bytes: 4, read: (view, at) => view.getInt32(at, true), list: (bytes) => new Int32Array(bytes) },
  {
    name: 'float32',
    bytes: 4,
    read: (view, at) => view.getFloat32(at, true),
    list: (bytes) => new Float32Array(bytes),
  },
  { name: 'bool', bytes: 1, read: (view, at) => view.getUint8(at) !== 0, list: (bytes) => new Uint8Array(bytes) },
  undefined,
  undefined,
  {
    name: 'uint64',
    bytes: 8,
    read: (view, at) => asNumber(view.getBigUint64(at, true)),
    list: (bytes) => new BigUint64Array(bytes),
  },
  {
    name: 'int64',
    bytes: 8,
    read: (view, at) => asNumber(view.getBigInt64(at, true)),
    list: (bytes) => new BigInt64Array(bytes),
  },
  {
    name: 'float64',
    bytes: 8,
    read: (view, at) => view.getFloat64(at, true),
    list: (bytes) => new Float64Array(bytes),
  },
]
const stringType = 8
const listType = 9

const brief = (name: string): string => JSON.stringify(name.length > 100 ? `${name.slice(0, 100)}…` : name)

/** Reads a file forward through a buffer, and never beyond its end. */
class Cursor {
  readonly size: number
  #window = Buffer.alloc(0)
  #view = new DataView(new ArrayBuffer(0))
  /** Position of the buffer in the file. */
  #start = 0
  #at = 0
  readonly #decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

  readonly #file: number
  readonly #path: string

  constructor(file: number, path: string) {
    this.#file = file
    this.#path = path
    this.size = fstatSync(file).size
  }

  get position(): number {
    return this.#start + this.#at
  }

  /** Remaining bytes of the file, or of the maximum size of a header. */
  get left(): number {
    return Math.min(this.size, maxHeaderBytes) - this.position
  }

  fault(what: string): CheckpointError {
    return new CheckpointError(
      `${this.#path}: ${what} The file is cut short, damaged or not a GGUF file: download or export it again.`,
    )
  }

  /** Makes the next `length` bytes available. @returns their position in the buffer */
  #take(length: number, what: string): number {
    if (length > this.left)
      throw this.fault(`Expected ${length} bytes for ${what} at ${this.position}, got ${Math.max(this.left, 0)}.`)
    if (this.#at + length > this.#window.length) this.#fill(length)
    const at = this.#at
    this.#at += length
    return at
  }

  #fill(length: number): void {
    this.#start += this.#at
    this.#at = 0
    // A new buffer each time, since lists share the old one.
    const window = Buffer.allocUnsafeSlow(Math.min(Math.max(length, windowBytes), this.size - this.#start))
    let filled = 0
    while (filled < window.length) {
      const got = readSync(this.#file, window, filled, window.length - filled, this.#start + filled)
      if (got === 0) throw this.fault(`Expected ${this.size} bytes, but the file has become shorter.`)
      filled += got
    }
    this.#window = window
    this.#view = new DataView(window.buffer, window.byteOffset, window.length)
  }

  uint32(what: string): number {
    const at = this.#take(4, what)
    return this.#view.getUint32(at, true)
  }

  /** A count, length or offset. */
  size64(what: string): number {
    const at = this.#take(8, what)
    const value = this.#view.getUint32(at + 4, true) * 2 ** 32 + this.#view.getUint32(at, true)
    if (value > Number.MAX_SAFE_INTEGER) throw this.fault(`Expected a valid ${what}, got ${value}.`)
    return value
  }

  scalar(type: ScalarType, what: string): number | bigint | boolean {
    const at = this.#take(type.bytes, what)
    return type.read(this.#view, at)
  }

  /** A copy of the next bytes. */
  bytes(length: number, what: string): ArrayBuffer {
    const at = this.#take(length, what)
    const { buffer, byteOffset } = this.#window
    return buffer.slice(byteOffset + at, byteOffset + at + length) as ArrayBuffer
  }

  string(what: string, most = maxHeaderBytes): string {
    const length = this.size64(`the length of ${what}`)
    if (length > most) throw this.fault(`Expected at most ${most} bytes for ${what}, got ${length}.`)
    const at = this.#take(length, what)
    const window = this.#window
    const end = at + length
    let ascii = true
    for (let i = at; i < end && ascii; i++) ascii = window[i] < 128
    if (ascii) return window.toString('latin1', at, end)
    try {
      return this.#decoder.decode(window.subarray(at, end))
    } catch {
      throw this.fault(`Expected UTF-8 for ${what}, got other bytes.`)
    }
  }
}

const readList = (cursor: Cursor, what: string): GgufValue => {
  const code = cursor.uint32(`the type of ${what}`)
  const count = cursor.size64(`length of ${what}`)
  if (code === stringType) {
    if (count * 8 > cursor.left) throw cursor.fault(`Expected a list that the file can hold for ${what}, got ${count}.`)
    const list: string[] = []
    for (let i = 0; i < count; i++) list.push(cursor.string(what))
    return list
  }
  const type = scalarTypes[code]
  if (type === undefined)
    throw cursor.fault(`Expected a list of numbers, booleans or strings for ${what}, got type ${code}.`)
  return type.list(cursor.bytes(count * type.bytes, what))
}

const readValue = (cursor: Cursor, what: string): GgufValue => {
  const code = cursor.uint32(`the type of ${what}`)
  if (code === stringType) return cursor.string(what)
  if (code === listType) return readList(cursor, what)
  const type = scalarTypes[code]
  if (type === undefined) throw cursor.fault(`Expected a known type for ${what}, got ${code}.`)
  return cursor.scalar(type, what)
}

const readPreamble = (cursor: Cursor, path: string) => {
  if (cursor.size < 24) throw cursor.fault(`Expected a GGUF file, got ${cursor.size} bytes.`)
  const magic = cursor.uint32('the magic')
  if (magic !== 0x46554747)
    throw cursor.fault(`Expected "GGUF" at the start, got 0x${magic.toString(16).padStart(8, '0')}.`)
  const version = cursor.uint32('the version')
  if (version === 0x02000000 || version === 0x03000000)
    throw new CheckpointError(`${path}: Expected a little-endian GGUF file, got a big-endian one. Convert it again.`)
  if (version !== 2 && version !== 3)
    throw new CheckpointError(
      `${path}: Expected GGUF version 2 or 3, got ${version}. Convert the model again with a current llama.cpp.`,
    )
  return { version, tensorCount: cursor.size64('number of tensors'), valueCount: cursor.size64('number of values') }
}

const readMetadata = (cursor: Cursor, count: number): Map<string, GgufValue> => {
  // The length of a key, a type and a value have at least 13 bytes.
  if (count * 13 > cursor.left) throw cursor.fault(`Expected as many values as the file can hold, got ${count}.`)
  const metadata = new Map<string, GgufValue>()
  for (let i = 0; i < count; i++) {
    const key = cursor.string('a key', maxNameBytes)
    if (metadata.has(key)) throw cursor.fault(`Expected each key once, got ${brief(key)} twice.`)
    metadata.set(key, readValue(cursor, brief(key)))
  }
  return metadata
}

const readEntry = (cursor: Cursor, name: string, path: string): GgufEntry => {
  const what = `tensor ${brief(name)}`
  const dimensions = cursor.uint32(`the dimensions of ${what}`)
  if (dimensions > maxDimensions)
    throw cursor.fault(`Expected at most ${maxDimensions} dimensions for ${what}, got ${dimensions}.`)
  const shape: number[] = []
  for (let i = 0; i < dimensions; i++) shape.unshift(cursor.size64(`size of ${what}`))
  const code = cursor.uint32(`the type of ${what}`)
  const type = ggufTypes.get(code)
  if (type === undefined)
    throw new CheckpointError(
      `${path}: Expected a known type for ${what}, got ggml's number ${code}. Convert the file to F16 or Q8_0.`,
    )
  const row = shape.at(-1) ?? 1
  if (row % type.blockSize !== 0)
    throw cursor.fault(`Expected rows of whole blocks of ${type.blockSize} for ${what} (${type.name}), got ${row}.`)
  let bytes = (row / type.blockSize) * type.blockBytes
  for (const size of shape.slice(0, -1)) {
    bytes *= size
    if (bytes > Number.MAX_SAFE_INTEGER) break
  }
  if (bytes > cursor.size) throw cursor.fault(`Expected ${what} to fit in the file, got [${shape.join(', ')}].`)
  return { shape, type, byteOffset: cursor.size64(`offset of ${what}`), bytes }
}

const readEntries = (cursor: Cursor, count: number, path: string): Map<string, GgufEntry> => {
  // The length of a name, the number of dimensions, a type and an offset have 24 bytes.
  if (count * 24 > cursor.left) throw cursor.fault(`Expected as many tensors as the file can hold, got ${count}.`)
  const tensors = new Map<string, GgufEntry>()
  for (let i = 0; i < count; i++) {
    const name = cursor.string('the name of a tensor', maxNameBytes)
    if (tensors.has(name)) throw cursor.fault(`Expected each tensor once, got ${brief(name)} twice.`)
    tensors.set(name, readEntry(cursor, name, path))
  }
  return tensors
}

const readAlignment = (cursor: Cursor, metadata: ReadonlyMap<string, GgufValue>): number => {
  const value = metadata.get('general.alignment') ?? defaultAlignment
  if (typeof value !== 'number' || !Number.isInteger(Math.log2(value)) || value < 1 || value > maxAlignment)
    throw cursor.fault(`Expected a power of two for \`general.alignment\`, got ${String(value).slice(0, 40)}.`)
  return value
}

/** Converts offsets to positions in the file, and checks that tensors are inside it and do not overlap. */
const placeEntries = (cursor: Cursor, tensors: ReadonlyMap<string, GgufEntry>, alignment: number): void => {
  const start = Math.ceil(cursor.position / alignment) * alignment
  for (const [name, entry] of tensors) {
    const { byteOffset: offset, bytes } = entry
    if (offset % alignment !== 0)
      throw cursor.fault(`Expected an offset that ${alignment} divides for tensor ${brief(name)}, got ${offset}.`)
    if (bytes > 0 && start + offset + bytes > cursor.size)
      throw cursor.fault(
        `Expected ${bytes} bytes within the file for tensor ${brief(name)}, got offset ${offset} of ${Math.max(0, cursor.size - start)}.`,
      )
    entry.byteOffset = start + offset
  }
  const spans = [...tensors].filter(([, { bytes }]) => bytes > 0).sort(([, a], [, b]) => a.byteOffset - b.byteOffset)
  let end = start
  for (const [name, { byteOffset, bytes }] of spans) {
    if (byteOffset < end)
      throw cursor.fault(`Expected tensors that do not overlap, but ${brief(name)} begins inside another.`)
    end = byteOffset + bytes
  }
}

/** Reads the header of an open file. @throws CheckpointError for an invalid GGUF file */
export const readGgufHeader = (file: number, path: string): GgufHeader => {
  const cursor = new Cursor(file, path)
  const { version, tensorCount, valueCount } = readPreamble(cursor, path)
  const metadata = readMetadata(cursor, valueCount)
  const tensors = readEntries(cursor, tensorCount, path)
  placeEntries(cursor, tensors, readAlignment(cursor, metadata))
  return { version, metadata, tensors }
}
