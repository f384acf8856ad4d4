// Constants of a graph from tensors: converted, transposed and quantised by the addon, a piece at a time, while the file is
// written.
import { CheckpointError } from '../../core/index.ts'
import { noGrad, partBytes, scope, Tensor } from '../../tensor/index.ts'
import { type NamedPart, notFinite } from '../save-into.ts'
import type { Streamed } from './protobuf.ts'
import type { Constant } from './schema.ts'

const bytesOf = (array: { buffer: ArrayBufferLike; byteOffset: number; byteLength: number }): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength)

const streamed = (part: NamedPart, bytes: number): Streamed => ({ bytes, part, chunks: () => partBytes(part) })

/** A tensor as a constant. Refuses NaN and infinity when it is written. */
export const floatConstant = (name: string, tensor: Tensor, dtype: 'float32' | 'float16'): Constant => ({
  name,
  type: dtype,
  shape: tensor.shape,
  data: streamed(
    { name, tensor: tensor.detach(), as: dtype, finite: true },
    tensor.size * (dtype === 'float32' ? 4 : 2),
  ),
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

/** Elements whose magnitudes are in memory at once. */
const pieceElements = 1 << 22

/** Largest magnitude of each row. @throws CheckpointError for NaN and infinity */
const largestOfRows = (tensor: Tensor, name: string): Float32Array => {
  const rows = tensor.shape[0]
  const found = new Float32Array(rows)
  const step = Math.max(1, Math.floor(pieceElements / Math.max(1, tensor.size / rows)))
  for (let row = 0; row < rows; row += step) {
    const count = Math.min(step, rows - row)
    noGrad(() =>
      scope(() => {
        const piece = tensor.detach().narrow(0, row, count).to('float32')
        found.set(piece.abs().reshape([count, -1]).amax(1).toFloat32Array(), row)
      }),
    )
  }
  // The largest of a row with NaN is NaN.
  if (!found.every(Number.isFinite)) throw notFinite({ name, tensor })
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
  const byRows = largestOfRows(tensor, name)
  const largest = byRow ? byRows : Float32Array.of(byRows.reduce((most, one) => Math.max(most, one), 0))
  const scales = largest.map((one) => (one === 0 ? 1 : Math.fround((2 * one) / 254)))
  const written = transpose ? transposed(tensor) : tensor.detach()
  const as = byRow && transpose ? 'int8-by-column' : 'int8-by-row'
  return {
    values: {
      name: `${name}_quantized`,
      type: 'int8',
      shape: written.shape,
      data: streamed({ name, tensor: written, as, columns: scales }, tensor.size),
    },
    scales,
  }
}

/** Number of elements of a row that share a scale. */
export const int4Block = 32

/** Scales as float16. @throws CheckpointError for those that are too large */
const halfScales = (part: NamedPart, bytes: number): Streamed => {
  function* chunks(): Iterable<Uint8Array> {
    for (const piece of partBytes(part)) {
      const scales = new Float32Array(piece.buffer, piece.byteOffset, piece.byteLength / 4)
      const half = new Uint16Array(scales.length)
      noGrad(() => scope(() => Tensor.from(scales).to('float16').copyInto(half)))
      // All bits of the exponent.
      if (half.some((bits) => (bits & 0x7c00) === 0x7c00))
        throw new CheckpointError(
          `Expected finite weights to export, got an infinite scale in \`${part.name}\` as float16. The weight is too large for this dtype: export to another one.`,
        )
      yield bytesOf(half)
    }
  }
  return { bytes, chunks }
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
  const tensor = matrix.detach()
  const scales: NamedPart = { name, tensor, as: 'int4-scales', finite: true }
  return {
    codes: {
      name: `${name}_q4`,
      type: 'uint8',
      shape: [rows, blocks, int4Block / 2],
      data: streamed({ name, tensor, as: 'int4', finite: true }, (rows * blocks * int4Block) / 2),
    },
    scales: {
      name: `${name}_scales`,
      type: dtype,
      shape: [rows, blocks],
      data: dtype === 'float32' ? streamed(scales, rows * blocks * 4) : halfScales(scales, rows * blocks * 2),
    },
  }
}
