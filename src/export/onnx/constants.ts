// Constants of a graph from tensors: converted, transposed and quantised piece by piece while the file is written.
import { CheckpointError } from '../../core/index.ts'
import { noGrad, scope, Tensor } from '../../tensor/index.ts'
import type { Streamed } from './protobuf.ts'
import type { Constant } from './schema.ts'

/** Elements that are converted at once. */
const pieceElements = 1 << 22

const bytesOf = (array: { buffer: ArrayBufferLike; byteOffset: number; byteLength: number }): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength)

const expectFiniteElements = (values: Float32Array, name: string, type: string): void => {
  for (let i = 0; i < values.length; i++)
    if (!Number.isFinite(values[i]))
      throw new CheckpointError(
        `Expected finite weights to export, got ${values[i]} in \`${name}\`${type}. ${type === '' ? 'The training diverged or the file is damaged: use an earlier checkpoint.' : 'The weight is too large for this dtype: export to another one.'}`,
      )
}

/** Number of rows that are converted at once. */
const rowsAtOnce = (shape: readonly number[]): number =>
  Math.max(
    1,
    Math.floor(
      pieceElements /
        Math.max(
          1,
          shape.slice(1).reduce((product, size) => product * size, 1),
        ),
    ),
  )

/** Refuses NaN and infinity. The sum shows them in one pass without a copy; where it overflows, each element is read. */
const expectFinitePiece = (piece: Tensor, name: string, type: string): void => {
  if (Number.isFinite(piece.sum(undefined, { dtype: 'float32' }).item())) return
  expectFiniteElements(piece.to('float32').toFloat32Array(), name, type)
}

/** What `read` makes of the tensor's rows in float32, in pieces. @throws CheckpointError for NaN and infinity */
function* piecesOf<Piece>(tensor: Tensor, name: string, read: (rows: Tensor) => Piece): Iterable<Piece> {
  const step = rowsAtOnce(tensor.shape)
  for (let row = 0; row < tensor.shape[0]; row += step) {
    const count = Math.min(step, tensor.shape[0] - row)
    yield noGrad(() =>
      scope(() => {
        const rows = tensor.detach().narrow(0, row, count).contiguous()
        expectFinitePiece(rows, name, '')
        return read(rows)
      }),
    )
  }
}

/** The tensor's rows in float32, in pieces. @throws CheckpointError for NaN and infinity */
export const floatRows = (tensor: Tensor, name: string): Iterable<Float32Array> =>
  piecesOf(tensor, name, (rows) => rows.toFloat32Array())

/** The bytes of a tensor in a dtype, in pieces. */
const convertedRows = (tensor: Tensor, name: string, dtype: 'float32' | 'float16'): Iterable<Uint8Array> =>
  piecesOf(tensor, name, (rows) => {
    const converted = rows.to(dtype)
    if (dtype === 'float16') expectFinitePiece(converted, name, ' as float16')
    const bytes = new Uint8Array(rows.size * (dtype === 'float32' ? 4 : 2))
    converted.copyInto(bytes)
    return bytes
  })

/** Numbers in half precision. @throws CheckpointError for those that are too large */
const halfPrecision = (values: Float32Array, name: string): Uint16Array => {
  const half = new Uint16Array(values.length)
  noGrad(() =>
    scope(() => {
      const converted = Tensor.from(values, { dtype: 'float16' })
      expectFinitePiece(converted, name, ' as float16')
      converted.copyInto(half)
    }),
  )
  return half
}

/** A tensor as a constant. */
export const floatConstant = (name: string, tensor: Tensor, dtype: 'float32' | 'float16'): Constant => ({
  name,
  type: dtype,
  shape: tensor.shape,
  data: {
    bytes: tensor.size * (dtype === 'float32' ? 4 : 2),
    chunks: () => convertedRows(tensor, name, dtype),
  },
})

/** Columns of a matrix [N,K] as rows of its transpose, a view. */
const transposed = (matrix: Tensor): Tensor => noGrad(() => matrix.detach().transpose(0, 1))

/** The transpose [K,N] of a matrix [N,K] as a constant. */
export const transposedConstant = (name: string, matrix: Tensor, dtype: 'float32' | 'float16'): Constant =>
  floatConstant(name, transposed(matrix), dtype)

/** Small constants from JavaScript's numbers. */
export const valuesConstant = (
  name: string,
  type: 'int64' | 'float32' | 'int8' | 'int32',
  shape: readonly number[],
  values: ArrayLike<number>,
): Constant => {
  const array =
    type === 'int64'
      ? BigInt64Array.from(Array.from(values), BigInt)
      : type === 'float32'
        ? Float32Array.from(values)
        : type === 'int32'
          ? Int32Array.from(values)
          : Int8Array.from(values)
  const bytes = bytesOf(array)
  return { name, type, shape, data: { bytes: bytes.length, chunks: () => [bytes] } }
}

/** Rounds halves to even, as numpy and onnxruntime do. */
const roundToEven = (value: number): number => {
  const floor = Math.floor(value)
  const rest = value - floor
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1
  return floor % 2 === 0 ? floor : floor + 1
}

/** Largest magnitude of the tensor; of each row, with `byRow`. */
const largestOf = (tensor: Tensor, name: string, byRow: boolean): Float64Array => {
  const rows = tensor.shape[0]
  const width = tensor.size / rows
  const found = new Float64Array(byRow ? rows : 1)
  let at = 0
  for (const values of floatRows(tensor, name))
    for (let i = 0; i < values.length; i++, at++) {
      const slot = byRow ? Math.floor(at / width) : 0
      const magnitude = Math.abs(values[i])
      if (magnitude > found[slot]) found[slot] = magnitude
    }
  return found
}

/** A tensor of 8-bit integers with its scale, or a scale for each row. */
export interface Int8Constants {
  values: Constant
  scales: Float32Array
}

/**
 * Symmetric 8-bit integers from -127 to 127, with one scale, or one for each row of `tensor`. With `transpose` the values
 * are written as [K,N].
 * @source onnxruntime.quantization.quant_utils, compute_scale_zp
 */
export const int8Constants = (
  name: string,
  tensor: Tensor,
  { byRow, transpose }: { byRow: boolean; transpose: boolean },
): Int8Constants => {
  const scales = Float32Array.from(largestOf(tensor, name, byRow), (largest) =>
    largest === 0 ? 1 : Math.fround((2 * Math.fround(largest)) / 254),
  )
  const written = transpose ? transposed(tensor) : tensor
  const width = written.size / written.shape[0]
  function* chunks(): Iterable<Uint8Array> {
    let at = 0
    for (const values of floatRows(written, name)) {
      const bytes = new Int8Array(values.length)
      for (let i = 0; i < values.length; i++, at++) {
        const scale = scales[!byRow ? 0 : transpose ? at % width : Math.floor(at / width)]
        bytes[i] = Math.max(-127, Math.min(127, roundToEven(Math.fround(values[i] / scale))))
      }
      yield bytesOf(bytes)
    }
  }
  return {
    values: { name: `${name}_quantized`, type: 'int8', shape: written.shape, data: { bytes: tensor.size, chunks } },
    scales,
  }
}

/** Number of elements of a row that share a scale. */
export const int4Block = 32

/** The scale of a block: its element of largest magnitude becomes -8. */
const blockScale = (values: Float32Array, from: number, to: number): number => {
  let [least, most] = [0, 0]
  for (let i = from; i < to; i++) {
    if (values[i] < least) least = values[i]
    if (values[i] > most) most = values[i]
  }
  return Math.fround((Math.abs(most) > Math.abs(least) ? most : least) / -8)
}

/** The scales of some rows, block after block. */
const int4Scales = (values: Float32Array, width: number): Float32Array => {
  const blocks = Math.ceil(width / int4Block)
  const scales = new Float32Array((values.length / width) * blocks)
  for (let at = 0; at < scales.length; at++) {
    const row = Math.floor(at / blocks) * width
    const from = row + (at % blocks) * int4Block
    scales[at] = blockScale(values, from, Math.min(from + int4Block, row + width))
  }
  return scales
}

/** The elements of some rows, two a byte, the first in the low bits. Blocks are filled up with zeros, which 8 stands for. */
const int4Codes = (values: Float32Array, width: number): Uint8Array => {
  const blocks = Math.ceil(width / int4Block)
  const scales = int4Scales(values, width)
  const codes = new Uint8Array((scales.length * int4Block) / 2)
  scales.forEach((scale, at) => {
    const row = Math.floor(at / blocks) * width
    const from = row + (at % blocks) * int4Block
    const inverse = scale === 0 ? 0 : Math.fround(1 / scale)
    for (let j = 0; j < int4Block; j++) {
      const scaled = from + j < row + width ? Math.fround(Math.fround(values[from + j] * inverse) + 8) : 8
      const code = Math.max(0, Math.min(15, Math.floor(scaled + 0.5)))
      codes[(at * int4Block + j) >> 1] |= j % 2 === 0 ? code : code << 4
    }
  })
  return codes
}

/**
 * A matrix [N,K] of 4-bit integers, two a byte, with a scale for each 32 elements of a row; the zero point is 8.
 * @source onnxruntime contrib operator MatMulNBits; MlasQuantizeBlockwise for the scales
 */
export const int4Constants = (
  name: string,
  matrix: Tensor,
  dtype: 'float32' | 'float16',
): { codes: Constant; scales: Constant } => {
  const [rows, width] = matrix.shape
  const blocks = Math.ceil(width / int4Block)
  const streamed = (bytes: number, chunks: () => Iterable<Uint8Array>): Streamed => ({ bytes, chunks })
  function* codes(): Iterable<Uint8Array> {
    for (const values of floatRows(matrix, name)) yield int4Codes(values, width)
  }
  function* scales(): Iterable<Uint8Array> {
    for (const values of floatRows(matrix, name)) {
      const found = int4Scales(values, width)
      yield bytesOf(dtype === 'float32' ? found : halfPrecision(found, name))
    }
  }
  return {
    codes: {
      name: `${name}_q4`,
      type: 'uint8',
      shape: [rows, blocks, int4Block / 2],
      data: streamed((rows * blocks * int4Block) / 2, codes),
    },
    scales: {
      name: `${name}_scales`,
      type: dtype,
      shape: [rows, blocks],
      data: streamed(rows * blocks * (dtype === 'float32' ? 4 : 2), scales),
    },
  }
}
