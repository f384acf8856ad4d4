// The quantised matrices of ONNX files as floats again, so that onnxruntime is compared with the same weights: what remains is
// the arithmetic, and a wrong layout, scale or zero point shows.
import { buildModel, LanguageHead, type Model } from '../../models/index.ts'
import { Embedding } from '../../nn/index.ts'
import { Tensor } from '../../tensor/index.ts'
import { int4Block } from './constants.ts'
import type { ModelGraph } from './layers.ts'
import type { Streamed } from './protobuf.ts'
import type { Constant } from './schema.ts'

const read = ({ bytes, chunks }: Streamed): Uint8Array => {
  const all = new Uint8Array(bytes)
  let at = 0
  for (const chunk of chunks()) {
    all.set(chunk, at)
    at += chunk.length
  }
  return all
}

const floats = ({ type, data, shape }: Constant): Float32Array => {
  const { buffer } = read(data)
  if (type === 'float32') return new Float32Array(buffer)
  const half = Tensor.from(new Uint16Array(buffer), { shape: [...shape], dtype: 'float16' })
  const wide = half.to('float32').toFloat32Array()
  half.free()
  return wide
}

/** @param transposed the integers are [K,N], the parameter is [N,K] */
const fromInt8 = (codes: Int8Array, scales: Float32Array, [rows, width]: readonly number[], transposed: boolean) =>
  Float32Array.from({ length: codes.length }, (_, i) => {
    const row = Math.floor(i / width)
    const scale = scales[scales.length === 1 ? 0 : row]
    return scale * codes[transposed ? (i % width) * rows + row : i]
  })

/** Codes 0 to 15, of which 8 is zero, two a byte. */
const fromInt4 = (codes: Uint8Array, scales: Float32Array, [rows, width]: readonly number[]): Float32Array => {
  const blocks = Math.ceil(width / int4Block)
  return Float32Array.from({ length: rows * width }, (_, i) => {
    const [row, column] = [Math.floor(i / width), i % width]
    const at = row * blocks * int4Block + column
    const pair = codes[at >> 1]
    const block = row * blocks + Math.floor(column / int4Block)
    return scales[block] * ((at % 2 === 0 ? pair & 15 : pair >> 4) - 8)
  })
}

/** The elements of a parameter as the graph has them; undefined where they are not quantised. @param table of embeddings */
const storedElements = (
  constants: ReadonlyMap<string, Constant>,
  name: string,
  { shape, table }: { shape: readonly number[]; table: boolean },
): Float32Array | undefined => {
  const [int8, int4] = [constants.get(`${name}_quantized`), constants.get(`${name}_q4`)]
  const scales = constants.get(int8 === undefined ? `${name}_scales` : `${name}_scale`)
  if (scales === undefined) return undefined
  if (int8 !== undefined) {
    const codes = new Int8Array(read(int8.data).buffer)
    return fromInt8(codes, floats(scales), shape, !table)
  }
  return int4 === undefined ? undefined : fromInt4(read(int4.data), floats(scales), shape)
}

/**
 * The model with the quantised matrices of its graphs; the other parameters are those of the model itself.
 * @returns undefined for graphs without quantised matrices
 */
export const storedModel = (model: Model, graphs: readonly ModelGraph[]): Model | undefined => {
  const constants = new Map(graphs.flatMap((graph) => graph.constants.map((one) => [one.name, one] as const)))
  const parameters = model.parameters()
  // Tables are stored as they are, the matrices of layers transposed.
  const tables = new Set([...model.modules()].flatMap(([, one]) => (one instanceof Embedding ? [one.weight] : [])))
  const stored = new Map(
    [...parameters].flatMap(([name, parameter]) => {
      const values = storedElements(constants, name, { shape: parameter.shape, table: tables.has(parameter) })
      return values === undefined ? [] : [[name, Tensor.from(values, { shape: [...parameter.shape] })] as const]
    }),
  )
  if (stored.size === 0) return undefined
  // In 4 bits a table that is the output matrix too is stored twice: in float for the embeddings, which are not quantised.
  const { embedTokens } = model.body
  const table = [...parameters].find(([, parameter]) => parameter === embedTokens.weight)?.[0] ?? ''
  const output = constants.has(`${table}_q4`) ? stored.get(table) : undefined
  if (output !== undefined) stored.delete(table)
  const other = buildModel(model.definition, model.config, model.headType, model.headOptions)
  other.loadState(new Map([...parameters].map(([name, parameter]) => [name, stored.get(name) ?? parameter])), {
    copy: false,
  })
  if (output !== undefined && other.head instanceof LanguageHead) other.head.lmHead.weight = output
  return other.eval()
}

/** Frees the matrices that `storedModel` made. */
export const freeStored = (model: Model, other: Model): void => {
  const kept = new Set(model.parameters().values())
  for (const tensor of other.parameters().values()) if (!kept.has(tensor)) tensor.free()
}
