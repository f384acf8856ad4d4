// Writes a GGUF file of version 3: typed metadata, then tensors, a piece at a time. Independent of models.
// @source https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
import { writeTensorFile } from '../../tensor/index.ts'
import { type NamedPart, notFinite } from '../not-finite.ts'

const types = { uint8: 0, uint32: 4, int32: 5, float32: 6, bool: 7, string: 8 } as const

/** A metadata value with its type; a list where the value is one. */
export interface GgufField {
  type: keyof typeof types
  value: string | number | boolean | readonly string[] | readonly number[] | Uint8Array
}

export const text = (value: string | readonly string[]): GgufField => ({ type: 'string', value })
export const count = (value: number): GgufField => ({ type: 'uint32', value })
export const float = (value: number): GgufField => ({ type: 'float32', value })
export const flag = (value: boolean): GgufField => ({ type: 'bool', value })
export const flags = (value: readonly boolean[]): GgufField => ({ type: 'bool', value: value.map(Number) })
export const octets = (value: Uint8Array): GgufField => ({ type: 'uint8', value })
export const floats = (value: readonly number[]): GgufField => ({ type: 'float32', value })
export const integers = (value: readonly number[]): GgufField => ({ type: 'int32', value })

/** A tensor to write. */
export interface GgufEntry {
  name: string
  /** Slowest dimension first, as in PyTorch. */
  shape: readonly number[]
  /** ggml's number of the type. */
  code: number
  bytes: number
  /** What the file has for it, one after the other: bytes, or tensors that they are made of. */
  parts: readonly (Uint8Array | NamedPart)[]
}

const alignment = 32
const padded = (length: number): number => Math.ceil(length / alignment) * alignment

const number = (bytes: number, write: (buffer: Buffer) => void): Buffer => {
  const buffer = Buffer.alloc(bytes)
  write(buffer)
  return buffer
}
const u32 = (value: number): Buffer => number(4, (buffer) => buffer.writeUInt32LE(value))
const u64 = (value: number): Buffer => number(8, (buffer) => buffer.writeBigUInt64LE(BigInt(value)))
const string = (value: string): Buffer => {
  const bytes = Buffer.from(value, 'utf8')
  return Buffer.concat([u64(bytes.length), bytes])
}

const scalars: Record<keyof typeof types, (value: string | number | boolean) => Buffer> = {
  string: (value) => string(String(value)),
  bool: (value) => Buffer.from([value ? 1 : 0]),
  uint8: (value) => Buffer.from([Number(value)]),
  uint32: (value) => u32(Number(value)),
  int32: (value) => number(4, (buffer) => buffer.writeInt32LE(Number(value))),
  float32: (value) => number(4, (buffer) => buffer.writeFloatLE(Number(value))),
}

const fieldBytes = (key: string, { type, value }: GgufField): Buffer => {
  if (typeof value !== 'object') return Buffer.concat([string(key), u32(types[type]), scalars[type](value)])
  const items = value instanceof Uint8Array ? [value] : value.map(scalars[type])
  return Buffer.concat([string(key), u32(9), u32(types[type]), u64(value.length), ...items])
}

const headerOf = (metadata: ReadonlyMap<string, GgufField>, tensors: readonly GgufEntry[]): Buffer => {
  let offset = 0
  const entries = tensors.map(({ name, shape, code, bytes }) => {
    const entry = Buffer.concat([
      string(name),
      u32(shape.length),
      ...[...shape].reverse().map(u64),
      u32(code),
      u64(offset),
    ])
    offset += padded(bytes)
    return entry
  })
  return Buffer.concat([
    Buffer.from('GGUF'),
    u32(3),
    u64(tensors.length),
    u64(metadata.size),
    ...[...metadata].map(([key, field]) => fieldBytes(key, field)),
    ...entries,
  ])
}

const zeros = (length: number): Uint8Array[] =>
  padded(length) > length ? [new Uint8Array(padded(length) - length)] : []

/** Writes a new file. @returns its SHA-256, hexadecimal @throws if it exists, or the disk is full */
export const writeGgufFile = async (
  path: string,
  metadata: ReadonlyMap<string, GgufField>,
  tensors: readonly GgufEntry[],
  signal?: AbortSignal,
): Promise<string> => {
  const header = headerOf(metadata, tensors)
  const all = tensors.flatMap(({ bytes, parts }) => [...parts, ...zeros(bytes)])
  return writeTensorFile(path, Buffer.concat([header, ...zeros(header.length)]), all, {
    signal,
    notFinite: (index) => notFinite(all[index] as NamedPart),
  })
}
