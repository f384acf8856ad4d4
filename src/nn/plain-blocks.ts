// Matrices in the block formats of GGUF files, and of int8 by rows, as compositions of ordinary operators, for devices without a kernel for
// them: the values of `unpackBlocks` to the bit, and products with inputs in int8 as those of `blockLinear`; on a device without float64 a
// code may be one off where two are equally near. Independent of layers and of files.
import {
  cat,
  empty,
  gradEnabled,
  linear,
  noGradScope,
  scope,
  stack,
  Tensor,
  widened,
  wideTensor,
  withBackward,
} from '../tensor/index.ts'

/** Values of blocks: uint8 [N, bytes of a block] -> float32 [N, values of a block]. */
type Unpack = (blocks: Tensor) => Tensor

/** What the formats read on a device. */
interface Tables {
  /** float32 [65536]: the values of all float16 bit patterns */
  halves: Tensor
  /** uint8 [8]: 1, 2, 4 … 128 */
  powers: Tensor
  /** [256] in the widest dtype: the unit in the last place of float32 numbers by their exponent, and what their hidden bit adds in these units */
  units: Tensor
  ones: Tensor
}
const tablesByDevice = new Map<string, Tables>()

const tablesOn = (device: string): Tables => {
  const known = tablesByDevice.get(device)
  if (known !== undefined) return known
  const bits = Uint16Array.from({ length: 65536 }, (_, i) => i)
  const tables = scope(() => ({
    halves: Tensor.from(bits, { dtype: 'float16' }).to('float32').to({ device }).keep(),
    powers: Tensor.from(
      Uint8Array.from({ length: 8 }, (_, i) => 1 << i),
      { device },
    ).keep(),
    units: wideTensor(
      Float64Array.from({ length: 256 }, (_, exponent) => 2 ** (Math.max(1, exponent) - 150)),
      { device },
    ).keep(),
    ones: wideTensor(
      Float64Array.from({ length: 256 }, (_, exponent) => (exponent > 0 ? 2 ** 23 : 0)),
      { device },
    ).keep(),
  }))
  tablesByDevice.set(device, tables)
  return tables
}

const part = (blocks: Tensor, from: number, count: number): Tensor => blocks.narrow(1, from, count)

/** A float16 in two bytes: [N,1]. */
const half = (blocks: Tensor, at: number): Tensor => {
  const bits = part(blocks, at, 1)
    .to('int32')
    .add(
      part(blocks, at + 1, 1)
        .to('int32')
        .mul(256),
    )
  return tablesOn(blocks.device).halves.indexSelect(0, bits.flatten()).unsqueeze(1)
}

/** Signed bytes as float32. */
const signed = (bytes: Tensor): Tensor => bytes.bitwiseXor(128).to('float32').sub(128)

const low = (bytes: Tensor): Tensor => bytes.bitwiseAnd(15)
const high = (bytes: Tensor): Tensor => bytes.div(16, { roundingMode: 'floor' })

/** Bytes shifted to the right: divided by powers of two, with broadcasting. */
const shifted = (bytes: Tensor, powers: Tensor): Tensor => bytes.div(powers, { roundingMode: 'floor' })

/** Two codes in each of 16 bytes, [N,16] -> [N,32]. */
const nibbles = (bytes: Tensor): Tensor => cat([low(bytes), high(bytes)], 1)

/** The fifth bits of 32 codes, which lie in four bytes: [N,4] -> [N,32]. */
const fifthBits = (bytes: Tensor): Tensor => {
  const { powers } = tablesOn(bytes.device)
  return shifted(bytes.unsqueeze(2), powers).bitwiseAnd(1).mul(16).flatten(1)
}

/** Scales and minima of the eight groups of a K-block, of six bits each in twelve bytes: float32 [N,8,1]. */
const sixBits = (bytes: Tensor): { scales: Tensor; least: Tensor } => {
  const [first, second, rest] = [part(bytes, 0, 4), part(bytes, 4, 4), part(bytes, 8, 4)]
  const six = (one: Tensor) => one.bitwiseAnd(63)
  const top = (one: Tensor) => one.div(64, { roundingMode: 'floor' }).mul(16)
  const widened = (parts: Tensor[]) => cat(parts, 1).to('float32').unsqueeze(2)
  return {
    scales: widened([six(first), low(rest).add(top(first))]),
    least: widened([six(second), high(rest).add(top(second))]),
  }
}

/** Groups 2i and 2i+1 of a K-block are the low and the high halves of the same 32 bytes: [N,128] -> [N,8,32]. */
const kCodes = (bytes: Tensor): Tensor => {
  const pairs = bytes.reshape([-1, 4, 32])
  return stack([low(pairs), high(pairs)], 2).view([-1, 8, 32])
}

const kValues = (blocks: Tensor, codes: Tensor): Tensor => {
  const { scales, least } = sixBits(part(blocks, 4, 12))
  const scale = half(blocks, 0).unsqueeze(2).mul(scales)
  return codes.to('float32').mul(scale).sub(half(blocks, 2).unsqueeze(2).mul(least)).flatten(1)
}

/**
 * Formats by name: bytes and values of a block, and its values. All products are exact in float32, so there is one rounding at most, as in
 * ggml. @source https://github.com/ggml-org/ggml, struct definitions of its quantised blocks
 */
const formats = {
  Q4_0: {
    bytes: 18,
    values: 32,
    unpack: (b) =>
      nibbles(part(b, 2, 16))
        .to('float32')
        .sub(8)
        .mul(half(b, 0)),
  },
  Q4_1: {
    bytes: 20,
    values: 32,
    unpack: (b) =>
      nibbles(part(b, 4, 16))
        .to('float32')
        .mul(half(b, 0))
        .add(half(b, 2)),
  },
  Q5_0: {
    bytes: 22,
    values: 32,
    unpack: (b) =>
      nibbles(part(b, 6, 16))
        .add(fifthBits(part(b, 2, 4)))
        .to('float32')
        .sub(16)
        .mul(half(b, 0)),
  },
  Q5_1: {
    bytes: 24,
    values: 32,
    unpack: (b) =>
      nibbles(part(b, 8, 16))
        .add(fifthBits(part(b, 4, 4)))
        .to('float32')
        .mul(half(b, 0))
        .add(half(b, 2)),
  },
  Q8_0: { bytes: 34, values: 32, unpack: (b) => signed(part(b, 2, 32)).mul(half(b, 0)) },
  Q4_K: { bytes: 144, values: 256, unpack: (b) => kValues(b, kCodes(part(b, 16, 128))) },
  Q5_K: {
    bytes: 176,
    values: 256,
    unpack: (b) => {
      const powers = tablesOn(b.device).powers.view([8, 1])
      const fifth = shifted(part(b, 16, 32).unsqueeze(1), powers)
        .bitwiseAnd(1)
        .mul(16)
      return kValues(b, kCodes(part(b, 48, 128)).add(fifth))
    },
  },
  Q6_K: {
    bytes: 210,
    values: 256,
    unpack: (b) => {
      // Low four bits of 64 codes in 32 bytes twice, and the high two bits of 128 codes in 32 bytes.
      const pairs = part(b, 0, 128).reshape([-1, 2, 2, 32])
      const lower = stack([low(pairs), high(pairs)], 2).view([-1, 2, 4, 32])
      const powers = tablesOn(b.device).powers.view([4, 2]).narrow(1, 0, 1)
      const upper = shifted(part(b, 128, 64).reshape([-1, 2, 1, 32]), powers)
        .bitwiseAnd(3)
        .mul(16)
      const scales = half(b, 208)
        .mul(signed(part(b, 192, 16)))
        .unsqueeze(2)
      return lower.add(upper).view([-1, 16, 16]).to('float32').sub(32).mul(scales).flatten(1)
    },
  },
} as const satisfies Record<string, { bytes: number; values: number; unpack: Unpack }>

/** Name of a block format. */
export type BlockFormat = keyof typeof formats
/** Names of the block formats. */
export const blockFormats = Object.keys(formats) as BlockFormat[]

/** Format of a matrix that is multiplied by integers: blocks of a GGUF file, or rows of int8 and then a float32 scale. */
export type IntegerFormat = BlockFormat | 'int8'

const scaleBytes = 4

/** The float32 in the last four bytes of each row: [N,1]. */
const rowScales = (rows: Tensor): Tensor => {
  const bytes = part(rows, rows.shape[1] - scaleBytes, scaleBytes).to('int32')
  const [first, second, third, fourth] = [0, 1, 2, 3].map((i) => part(bytes, i, 1))
  const { units, ones } = tablesOn(rows.device)
  const upperBit = (one: Tensor) => one.div(128, { roundingMode: 'floor' })
  const exponent = fourth.bitwiseAnd(127).mul(2).add(upperBit(third))
  const fraction = third.bitwiseAnd(127).mul(65536).add(second.mul(256)).add(first)
  const at = (table: Tensor) => table.indexSelect(0, exponent.flatten()).unsqueeze(1)
  const size = widened(fraction).add(at(ones)).mul(at(units))
  return size.mul(widened(upperBit(fourth).mul(-2).add(1))).to('float32')
}

/** Inputs of a row of so many bytes. */
const inputsOf = (format: IntegerFormat, rowBytes: number): number =>
  format === 'int8' ? rowBytes - scaleBytes : (rowBytes / formats[format].bytes) * formats[format].values

/** Values that are unpacked at once, so that a large matrix has no copies of its own size beside it. */
const chunkValues = 1 << 22

/** Parts of a matrix of blocks along its rows. */
const chunksOf = (blocks: Tensor, format: IntegerFormat): { from: number; rows: Tensor }[] => {
  const [count, rowBytes] = blocks.shape
  const most = Math.max(1, Math.floor(chunkValues / inputsOf(format, rowBytes)))
  return Array.from({ length: Math.ceil(count / most) }, (_, i) => {
    const from = i * most
    return { from, rows: blocks.narrow(0, from, Math.min(most, count - from)) }
  })
}

const unpackRows = (blocks: Tensor, format: IntegerFormat): Tensor => {
  const [count, rowBytes] = blocks.shape
  const inputs = inputsOf(format, rowBytes)
  if (format === 'int8') return signed(part(blocks, 0, inputs)).mul(rowScales(blocks))
  const { bytes, unpack } = formats[format]
  return unpack(blocks.reshape([-1, bytes])).view([count, inputs])
}

/** The float32 matrix [rows, inputs] of uint8 `blocks` [rows, bytes of a row]. */
export const plainUnpackBlocks = (blocks: Tensor, format: IntegerFormat): Tensor =>
  noGradScope(() => {
    const chunks = chunksOf(blocks, format)
    if (chunks.length === 1) return unpackRows(blocks, format)
    const out = empty([blocks.shape[0], inputsOf(format, blocks.shape[1])], { device: blocks.device })
    for (const { from, rows } of chunks) scope(() => out.narrow(0, from, rows.shape[0]).copy_(unpackRows(rows, format)))
    return out
  })

/** Rows by id: int64 [...] -> float32 [..., inputs]. */
export const plainBlockRows = (blocks: Tensor, format: IntegerFormat, ids: Tensor): Tensor =>
  noGradScope(() => {
    const rows = plainUnpackBlocks(blocks.indexSelect(0, ids.flatten()), format)
    return rows.view([...ids.shape, rows.shape[1]])
  })

/** Values that share a scale in a quantised input. */
const groupSize = 32

/**
 * The values that an input has in int8 with a scale for each group of values, in float32, so that texts do not depend on the device. A
 * group with a value that is not finite becomes NaN.
 */
const inGroups = (input: Tensor): Tensor => {
  const groups = input.to('float32').reshape([input.size / groupSize, groupSize])
  const most = groups.abs().amax(1, { keepdim: true })
  // A group of zeros would divide by zero.
  const factors = widened(most.clamp({ min: 1e-36 }))
    .pow(-1)
    .mul(127)
    .to('float32')
  // Products of two numbers of 24 bits are exact in float64, so that codes are rounded once, as by the kernel.
  const codes = widened(groups).mul(widened(factors)).round().to('float32')
  return codes.mul(most.div(127)).view(input.shape)
}

/**
 * The values that rows of an input have in int8 with a scale and a code of zero for each row, in float32, as the kernel has them. A row
 * with a value that is not finite becomes NaN.
 */
const inRows = (input: Tensor): Tensor => {
  const width = input.shape.at(-1) as number
  const rows = input.to('float32').reshape([input.size / width, width])
  const most = rows.amax(1, { keepdim: true }).clamp({ min: 0 })
  const least = rows.amin(1, { keepdim: true }).clamp({ max: 0 })
  const steps = most.div(254).sub(least.div(254))
  const factors = widened(
    widened(steps.clamp({ min: 1e-36 }))
      .pow(-1)
      .to('float32'),
  )
  const zeros = widened(widened(least).mul(factors).neg().sub(127).to('float32').round())
  const codes = widened(rows).mul(factors).round().add(zeros).clamp({ min: -127, max: 127 })
  return codes.sub(zeros).to('float32').mul(steps).view(input.shape)
}

/** `input Mᵀ`, without gradients. */
const product = (input: Tensor, blocks: Tensor, format: IntegerFormat): Tensor => {
  const quantised = format === 'int8' ? inRows(input) : inGroups(input)
  const out = empty([...input.shape.slice(0, -1), blocks.shape[0]], { device: input.device })
  for (const { from, rows } of chunksOf(blocks, format))
    scope(() => out.narrow(-1, from, rows.shape[0]).copy_(linear(quantised, unpackRows(rows, format))))
  return out.to(input.dtype)
}

/** The gradient of the input: that of the matrix as it is stored, since quantising the input counts as no change. */
const inputGradient = (gradient: Tensor, blocks: Tensor, format: IntegerFormat): Tensor => {
  const wide = gradient.to('float32')
  const sums = chunksOf(blocks, format).map(({ from, rows }) =>
    scope(() => wide.narrow(-1, from, rows.shape[0]).matmul(unpackRows(rows, format))),
  )
  return sums.reduce((sum, one) => sum.add(one)).to(gradient.dtype)
}

/** `input Mᵀ + bias` with uint8 `blocks` [outputs, bytes of a row], which get no gradient: [..., inputs] -> [..., outputs]. */
export const plainBlockLinear = (input: Tensor, blocks: Tensor, format: IntegerFormat, bias: Tensor | null): Tensor => {
  const outputs = noGradScope(() => product(input, blocks, format))
  const [attached] =
    input.requiresGrad && gradEnabled()
      ? withBackward([outputs], [input], ([gradient]) => [
          gradient === undefined ? undefined : inputGradient(gradient, blocks, format),
        ])
      : [outputs]
  return bias === null ? attached : attached.add(bias.to(attached.dtype))
}
