// Makes GGUF files for tests: every field is written as given, sound or not. Knows no model.
const types = { uint8: 0, int8: 1, uint32: 4, int32: 5, float32: 6, bool: 7, string: 8, list: 9, uint64: 10 } as const
type TypeName = Exclude<keyof typeof types, 'list'>
type Scalar = string | number | boolean

/** A value with its type; a list where the value is one. */
export interface Field {
  type: TypeName
  value: Scalar | readonly Scalar[] | Float32Array | Int32Array
}

export const text = (value: string | readonly string[]): Field => ({ type: 'string', value })
export const uint = (value: number): Field => ({ type: 'uint32', value })
export const float = (value: number | Float32Array): Field => ({ type: 'float32', value })
export const int = (value: number | Int32Array): Field => ({ type: 'int32', value })
export const bool = (value: boolean): Field => ({ type: 'bool', value })

export interface WrittenTensor {
  /** PyTorch's order. */
  shape: readonly number[]
  /** ggml's number. */
  type: number
  bytes: Uint8Array
}

export const float32Tensor = (shape: readonly number[], values: Float32Array): WrittenTensor => ({
  shape,
  type: 0,
  bytes: new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
})

const number = (bytes: number, write: (view: DataView) => void): Buffer => {
  const buffer = Buffer.alloc(bytes)
  write(new DataView(buffer.buffer, buffer.byteOffset, bytes))
  return buffer
}
const u32 = (value: number) => number(4, (view) => view.setUint32(0, value, true))
const u64 = (value: number) => number(8, (view) => view.setBigUint64(0, BigInt(value), true))
const string = (value: string): Buffer => {
  const bytes = Buffer.from(value, 'utf8')
  return Buffer.concat([u64(bytes.length), bytes])
}

const scalar = (type: TypeName, value: Scalar): Buffer => {
  const writers: Record<TypeName, () => Buffer> = {
    string: () => string(String(value)),
    bool: () => Buffer.from([value ? 1 : 0]),
    uint8: () => Buffer.from([Number(value)]),
    int8: () => Buffer.from([Number(value) & 255]),
    uint32: () => u32(Number(value)),
    int32: () => number(4, (view) => view.setInt32(0, Number(value), true)),
    float32: () => number(4, (view) => view.setFloat32(0, Number(value), true)),
    uint64: () => u64(Number(value)),
  }
  return writers[type]()
}

const field = (key: string, { type, value }: Field): Buffer => {
  if (typeof value !== 'object') return Buffer.concat([string(key), u32(types[type]), scalar(type, value)])
  const list = [...value].map((one) => scalar(type, one as Scalar))
  return Buffer.concat([string(key), u32(types.list), u32(types[type]), u64(list.length), ...list])
}

const padding = (length: number, alignment: number): Buffer =>
  Buffer.alloc((alignment - (length % alignment)) % alignment)

/** The bytes of a file. */
export const writeGguf = (
  metadata: Record<string, Field>,
  tensors: Record<string, WrittenTensor>,
  options: { version?: number; alignment?: number } = {},
): Buffer => {
  const { version = 3, alignment = 32 } = options
  const entries: Buffer[] = []
  const values: Buffer[] = []
  let offset = 0
  for (const [name, { shape, type, bytes }] of Object.entries(tensors)) {
    entries.push(string(name), u32(shape.length), ...[...shape].reverse().map(u64), u32(type), u64(offset))
    const padded = Buffer.concat([bytes, padding(bytes.length, alignment)])
    values.push(padded)
    offset += padded.length
  }
  const head = Buffer.concat([
    Buffer.from('GGUF'),
    u32(version),
    u64(Object.keys(tensors).length),
    u64(Object.keys(metadata).length),
    ...Object.entries(metadata).map(([key, value]) => field(key, value)),
    ...entries,
  ])
  return Buffer.concat([head, padding(head.length, alignment), ...values])
}
