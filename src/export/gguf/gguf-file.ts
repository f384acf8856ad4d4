// Writes a GGUF file of version 3: typed metadata, then tensors, a piece at a time. Independent of models.
// @source https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
import { writeTensorFile } from '../../tensor/index.ts'
import { type NamedPart, notFinite } from '../save-into.ts'

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

/** Bytes that grow, little-endian: a vocabulary has 100,000 strings, and a buffer for each would take longer than its matrices. */
class GrowingBytes {
  #bytes = Buffer.alloc(1 << 16)
  #length = 0

  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length)
  }

  /** Adds `size` bytes, which `write` writes at their place. */
  put(size: number, write: (bytes: Buffer, at: number) => void): void {
    const at = this.#length
    this.#length += size
    if (this.#length > this.#bytes.length) {
      const larger = Buffer.alloc(2 * this.#length)
      this.#bytes.copy(larger)
      this.#bytes = larger
    }
    write(this.#bytes, at)
  }

  raw(values: Uint8Array): void {
    this.put(values.length, (bytes, at) => bytes.set(values, at))
  }

  u32(value: number): void {
    this.put(4, (bytes, at) => bytes.writeUInt32LE(value, at))
  }

  u64(value: number): void {
    this.put(8, (bytes, at) => bytes.writeBigUInt64LE(BigInt(value), at))
  }

  string(value: string): void {
    const length = Buffer.byteLength(value)
    this.u64(length)
    this.put(length, (bytes, at) => bytes.write(value, at))
  }
}

const scalars: Record<keyof typeof types, (out: GrowingBytes, value: string | number | boolean) => void> = {
  string: (out, value) => out.string(String(value)),
  bool: (out, value) => out.put(1, (bytes, at) => bytes.writeUInt8(value ? 1 : 0, at)),
  uint8: (out, value) => out.put(1, (bytes, at) => bytes.writeUInt8(Number(value), at)),
  uint32: (out, value) => out.u32(Number(value)),
  int32: (out, value) => out.put(4, (bytes, at) => bytes.writeInt32LE(Number(value), at)),
  float32: (out, value) => out.put(4, (bytes, at) => bytes.writeFloatLE(Number(value), at)),
}

const addField = (out: GrowingBytes, key: string, { type, value }: GgufField): void => {
  out.string(key)
  const add = scalars[type]
  if (typeof value !== 'object') {
    out.u32(types[type])
    add(out, value)
    return
  }
  out.u32(9)
  out.u32(types[type])
  out.u64(value.length)
  if (value instanceof Uint8Array) out.raw(value)
  else for (const item of value) add(out, item)
}

const headerOf = (metadata: ReadonlyMap<string, GgufField>, tensors: readonly GgufEntry[]): Buffer => {
  const out = new GrowingBytes()
  out.raw(Buffer.from('GGUF'))
  out.u32(3)
  out.u64(tensors.length)
  out.u64(metadata.size)
  for (const [key, field] of metadata) addField(out, key, field)
  let offset = 0
  for (const { name, shape, code, bytes } of tensors) {
    out.string(name)
    out.u32(shape.length)
    for (const size of [...shape].reverse()) out.u64(size)
    out.u32(code)
    out.u64(offset)
    offset += padded(bytes)
  }
  return out.bytes
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
