// Matrices in the block formats of GGUF files, and in int8 by rows: dequantised values and products against a plain reference in doubles,
// with odd shapes, views and rows. instruction-sets.test.ts runs this file with other vector code too.
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createRandom, DataError, type Random } from '../core/index.ts'
import {
  blockEmbedding,
  blockLinear,
  cat,
  type Dtype,
  dropPacked,
  finiteBlocks,
  Generator,
  keepPackedBlocks,
  mapFile,
  noGrad,
  randn,
  scope,
  Tensor,
  unpackBlocks,
  zeros,
} from './index.ts'

interface Format {
  values: number
  bytes: number
  /** Offsets of float16 numbers. */
  halves: number[]
  /** Value i of a block. */
  value(block: Uint8Array, i: number): number
}

/** Codes of a row, and then its float32 scale. */
const byRow = 'int8'
const rowScale = (row: Uint8Array) => new DataView(row.buffer, row.byteOffset + row.length - 4, 4).getFloat32(0, true)

const half = (block: Uint8Array, at: number): number => {
  const bits = block[at] | (block[at + 1] << 8)
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023]
  const size = exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25)
  return bits & 0x8000 ? -size : size
}
const signed = (byte: number) => (byte << 24) >> 24
const nibble = (block: Uint8Array, at: number, i: number) => (block[at + (i % 16)] >> (i < 16 ? 0 : 4)) & 15
const fifth = (block: Uint8Array, at: number, i: number) => ((block[at + (i >> 3)] >> (i & 7)) & 1) << 4
const six = (block: Uint8Array, g: number): [scale: number, least: number] =>
  g < 4
    ? [block[4 + g] & 63, block[8 + g] & 63]
    : [(block[8 + g] & 15) | ((block[g] >> 6) << 4), (block[8 + g] >> 4) | ((block[4 + g] >> 6) << 4)]
const large = (block: Uint8Array, i: number, level: number): number => {
  const [scale, least] = six(block, i >> 5)
  return half(block, 0) * scale * level - half(block, 2) * least
}
const halfByte = (block: Uint8Array, at: number, i: number) =>
  (block[at + 32 * (i >> 6) + (i & 31)] >> ((i >> 3) & 4)) & 15

// @source https://github.com/ggml-org/ggml, struct definitions of its quantised blocks
const formats: Record<string, Format> = {
  Q4_0: { values: 32, bytes: 18, halves: [0], value: (b, i) => half(b, 0) * (nibble(b, 2, i) - 8) },
  Q4_1: { values: 32, bytes: 20, halves: [0, 2], value: (b, i) => half(b, 0) * nibble(b, 4, i) + half(b, 2) },
  Q5_0: {
    values: 32,
    bytes: 22,
    halves: [0],
    value: (b, i) => half(b, 0) * ((nibble(b, 6, i) | fifth(b, 2, i)) - 16),
  },
  Q5_1: {
    values: 32,
    bytes: 24,
    halves: [0, 2],
    value: (b, i) => half(b, 0) * (nibble(b, 8, i) | fifth(b, 4, i)) + half(b, 2),
  },
  Q8_0: { values: 32, bytes: 34, halves: [0], value: (b, i) => half(b, 0) * signed(b[2 + i]) },
  Q4_K: { values: 256, bytes: 144, halves: [0, 2], value: (b, i) => large(b, i, halfByte(b, 16, i)) },
  Q5_K: {
    values: 256,
    bytes: 176,
    halves: [0, 2],
    value: (b, i) => large(b, i, halfByte(b, 48, i) | (((b[16 + (i & 31)] >> (i >> 5)) & 1) << 4)),
  },
  Q6_K: {
    values: 256,
    bytes: 210,
    halves: [208],
    value: (b, i) => {
      const [part, quarter, k] = [i >> 7, (i >> 5) & 3, i & 31]
      const low = (b[64 * part + 32 * (quarter & 1) + k] >> (quarter < 2 ? 0 : 4)) & 15
      const high = (b[128 + 32 * part + k] >> (2 * quarter)) & 3
      return half(b, 208) * signed(b[192 + (i >> 4)]) * ((low | (high << 4)) - 32)
    },
  },
}
const names = [...Object.keys(formats), byRow]
/** Columns that lie together. */
const unitOf = (name: string) => formats[name]?.values ?? 32
const rowBytes = (name: string, columns: number) =>
  name === byRow ? columns + 4 : (columns / formats[name].values) * formats[name].bytes

/** Random blocks with scales of both signs, subnormal ones included. */
const randomBlocks = (name: string, rows: number, columns: number, random: Random): Uint8Array => {
  const width = rowBytes(name, columns)
  const blocks = Uint8Array.from({ length: rows * width }, () => Math.floor(random.float() * 256))
  if (name === byRow) {
    const view = new DataView(blocks.buffer)
    for (let row = 0; row < rows; row++) view.setFloat32((row + 1) * width - 4, (random.float() - 0.5) / 100, true)
    return blocks
  }
  const { bytes, halves } = formats[name]
  for (let at = 0; at < blocks.length; at += bytes)
    for (const offset of halves) {
      const bits = Math.floor(random.float() * (random.float() < 0.1 ? 0x400 : 0x2400))
      blocks[at + offset] = bits & 255
      blocks[at + offset + 1] = (bits >> 8) | (random.float() < 0.5 ? 0x80 : 0)
    }
  return blocks
}

const valuesOf = (name: string, blocks: Uint8Array, rows: number): Float64Array => {
  if (name === byRow) {
    const width = blocks.length / rows
    const row = (i: number) => blocks.subarray(i * width, (i + 1) * width)
    return Float64Array.from({ length: rows * (width - 4) }, (_, i) => {
      const own = row(Math.floor(i / (width - 4)))
      return signed(own[i % (width - 4)]) * rowScale(own)
    })
  }
  const { values, bytes, value } = formats[name]
  return Float64Array.from({ length: (blocks.length / bytes) * values }, (_, i) => {
    const at = Math.floor(i / values) * bytes
    return value(blocks.subarray(at, at + bytes), i % values)
  })
}

const evenRound = (x: number) => {
  const below = Math.floor(x)
  const rest = x - below
  return rest > 0.5 || (rest === 0.5 && below % 2 !== 0) ? below + 1 : below
}

/** A row of the input as products with a scale for each row see it: int8 with a code for zero. */
const quantisedRow = (row: Float32Array): Float64Array => {
  const [least, most] = [Math.min(0, ...row), Math.max(0, ...row)]
  const step = Math.fround(Math.fround(most / 254) - Math.fround(least / 254))
  const factor = Math.fround(1 / step)
  // The product is exact in float64, as in a fused multiplication and addition.
  const zero = step === 0 ? 0 : evenRound(Math.fround(-least * factor - 127))
  return Float64Array.from(row, (value) => {
    const code = step === 0 ? 0 : evenRound(Math.fround(value * factor)) + zero
    return (Math.max(-127, Math.min(127, code)) - zero) * step
  })
}

/** The input as the product sees it: int8 in groups. */
const quantised = (x: Float32Array, size: number): Float64Array => {
  const out = new Float64Array(x.length)
  for (let at = 0; at < x.length; at += size) {
    const group = x.subarray(at, at + size)
    const most = group.reduce((size, value) => Math.max(size, Math.abs(value)), 0)
    const factor = Math.fround(127 / most)
    for (let i = 0; i < size; i++)
      out[at + i] = most === 0 ? 0 : evenRound(Math.fround(group[i] * factor)) * Math.fround(most / 127)
  }
  return out
}

interface Case {
  rows: number
  outputs: number
  inputs: number
  dtype?: Dtype
}

const make = (name: string, { rows, outputs, inputs, dtype = 'float32' }: Case) => {
  const random = createRandom(rows * 1000 + outputs)
  const bytes = randomBlocks(name, outputs, inputs, random)
  const blocks = Tensor.from(bytes, { shape: [outputs, bytes.length / outputs] })
  const input = randn([rows, inputs], { generator: new Generator(7) }).to(dtype)
  return { bytes, blocks, input }
}

/** Largest difference to the reference, over the sum of the sizes of its terms. */
const errorOf = (
  name: string,
  output: Tensor,
  input: Tensor,
  values: Float64Array,
  order?: readonly number[],
  bias?: Float32Array,
) => {
  const [rows, inputs] = input.shape
  const outputs = output.shape[1]
  const got = output.to('float32').toFloat32Array()
  const given = input.to('float32').toFloat32Array()
  const x =
    name === byRow
      ? Float64Array.from(
          Array.from({ length: rows }, (_, r) => [
            ...quantisedRow(given.subarray(r * inputs, (r + 1) * inputs)),
          ]).flat(),
        )
      : quantised(given, 32)
  let worst = 0
  for (let r = 0; r < rows; r++)
    for (let n = 0; n < outputs; n++) {
      let [sum, sizes] = [bias?.[n] ?? 0, Math.abs(bias?.[n] ?? 0)]
      const from = (order?.[n] ?? n) * inputs
      for (let k = 0; k < inputs; k++) {
        const term = values[from + k] * x[r * inputs + k]
        sum += term
        sizes += Math.abs(term)
      }
      worst = Math.max(worst, Math.abs(got[r * outputs + n] - sum) / sizes)
    }
  return worst
}

const bits = (x: Tensor) => Buffer.from(x.contiguous().to('float32').toFloat32Array().buffer).toString('base64')
const int64 = (values: readonly number[]) => Tensor.from(BigInt64Array.from(values, BigInt))

describe.each(names)('%s', (name) => {
  const unit = unitOf(name)

  it('is dequantised to the nearest float32, also by row and in another order', () => {
    scope(() => {
      const { bytes, blocks } = make(name, { rows: 1, outputs: 5, inputs: 3 * unit })
      const wanted = Float32Array.from(valuesOf(name, bytes, 5))
      const rows = [4, 0, 4, 2]
      const picked = rows.flatMap((row) => [...wanted.subarray(row * 3 * unit, (row + 1) * 3 * unit)])
      expect(bits(unpackBlocks(blocks, name))).toBe(Buffer.from(wanted.buffer).toString('base64'))
      expect(unpackBlocks(blocks, name, int64(rows)).toFloat32Array()).toEqual(Float32Array.from(picked))
      const embedded = blockEmbedding(blocks, name, int64(rows).view([2, 2]))
      expect(embedded.shape).toEqual([2, 2, 3 * unit])
      expect(embedded.flatten().toFloat32Array()).toEqual(Float32Array.from(picked))
      expect(() => blockEmbedding(blocks, name, int64([5]))).toThrow(/Expected rows from 0 to 4 .*got 5/)
    })
  })

  it.each<Case>([
    { rows: 1, outputs: 1, inputs: unit },
    { rows: 3, outputs: 37, inputs: unit },
    { rows: 6, outputs: 16, inputs: 5 * unit },
    // More groups than are laid out at a time.
    { rows: 2, outputs: 9, inputs: Math.ceil(1056 / unit) * unit },
    { rows: 7, outputs: 24, inputs: 2 * unit, dtype: 'bfloat16' },
  ])('is multiplied as the reference does it: %j', (shape) => {
    scope(() => {
      const { bytes, blocks, input } = make(name, shape)
      const values = valuesOf(name, bytes, shape.outputs)
      const limit = shape.dtype === 'bfloat16' ? 4e-3 : 1e-6
      expect(errorOf(name, blockLinear(input, blocks, name), input, values)).toBeLessThan(limit)
      const bias = randn([shape.outputs], { generator: new Generator(3) })
      const order = Array.from({ length: shape.outputs }, (_, n) => shape.outputs - 1 - n)
      const ordered = blockLinear(input, blocks, name, int64(order), bias)
      expect(errorOf(name, ordered, input, values, order, bias.toFloat32Array())).toBeLessThan(limit)
      expect(bits(blockLinear(input, blocks, name, int64(order), bias))).toBe(bits(ordered))
    })
  })

  it('gives a row the same bits beside any number of rows, and views the bits of copies', () => {
    scope(() => {
      const [outputs, inputs] = [19, Math.ceil(1056 / unit) * unit]
      const { blocks, input } = make(name, { rows: 170, outputs, inputs })
      const all = blockLinear(input, blocks, name)
      for (const [from, count] of [
        [0, 1],
        [1, 2],
        [2, 3],
        [164, 6],
        [169, 1],
      ])
        expect(bits(blockLinear(input.narrow(0, from, count), blocks, name))).toBe(bits(all.narrow(0, from, count)))
      const width = blocks.shape[1]
      const wide = cat([zeros([outputs, 1], { dtype: 'uint8' }), blocks, zeros([outputs, 2], { dtype: 'uint8' })], 1)
      const turned = input.t().contiguous().t()
      expect(bits(blockLinear(turned.narrow(0, 0, 5), wide.narrow(1, 1, width), name))).toBe(bits(all.narrow(0, 0, 5)))
      expect(blockLinear(input.narrow(0, 0, 0), blocks, name).shape).toEqual([0, outputs])
      expect(blockLinear(input.view([10, 17, inputs]), blocks, name).shape).toEqual([10, 17, outputs])
    })
  })

  it('has the same bits in the layout of its products, also after a change in place, until it is dropped', () => {
    scope(() => {
      const [outputs, inputs] = [37, Math.ceil(1056 / unit) * unit]
      const { blocks, input, bytes } = make(name, { rows: 21, outputs, inputs })
      const bias = randn([outputs], { generator: new Generator(3) })
      const order = int64(Array.from({ length: outputs }, (_, n) => (n * 5) % outputs))
      const counts = [21, 8, 7, 4, 3, 2, 1]
      const results = (stored: Tensor, rows: Tensor | null) =>
        counts.map((count) => bits(blockLinear(input.narrow(0, 21 - count, count), stored, name, rows, bias)))
      for (const rows of [null, order]) {
        const kept = blocks.clone()
        const wanted = results(blocks, rows)
        expect(keepPackedBlocks(kept, name, rows)).toBeGreaterThanOrEqual(bytes.length)
        expect(results(kept, rows)).toEqual(wanted)
        // Kept for one order: another one reads the blocks.
        expect(results(kept, rows === null ? order : null)).toEqual(results(blocks, rows === null ? order : null))
        kept.narrow(0, 3, 1).copy_(blocks.narrow(0, 4, 1))
        const changed = blocks.clone()
        changed.narrow(0, 3, 1).copy_(blocks.narrow(0, 4, 1))
        expect(results(kept, rows)).toEqual(results(changed, rows))
        expect(results(kept, rows)).not.toEqual(wanted)
        dropPacked([kept])
        expect(results(kept, rows)).toEqual(results(changed, rows))
      }
    })
  })

  it('gives many rows of bfloat16 the gradients of the dequantised matrix', () => {
    scope(() => {
      const { blocks, input } = make(name, { rows: 100, outputs: 33, inputs: 3 * unit, dtype: 'bfloat16' })
      const order = int64([...Array(33).keys()].reverse())
      input.requiresGrad = true
      const weights = randn([100, 33], { generator: new Generator(5) }).to('bfloat16')
      blockLinear(input, blocks, name, order).mul(weights).sum().backward()
      const wanted = weights.to('float32').matmul(unpackBlocks(blocks, name, order))
      const apart = input.grad!.to('float32').sub(wanted).abs().max().item() / wanted.abs().max().item()
      expect(apart).toBeLessThan(6e-3)
    })
  })

  it('gives input and bias the gradients of the dequantised matrix', () => {
    scope(() => {
      const { blocks, input } = make(name, { rows: 5, outputs: 11, inputs: 2 * unit })
      const order = int64([...Array(11).keys()].reverse())
      const matrix = unpackBlocks(blocks, name, order)
      const bias = zeros([11])
      for (const leaf of [input, bias]) leaf.requiresGrad = true
      const weights = randn([5, 11], { generator: new Generator(5) })
      blockLinear(input, blocks, name, order, bias).mul(weights).sum().backward()
      const wanted = weights.matmul(matrix)
      const apart = input.grad!.sub(wanted).abs().max().item() / wanted.abs().max().item()
      expect(apart).toBeLessThan(1e-5)
      expect(bias.grad!.sub(weights.sum(0)).abs().max().item()).toBeLessThan(1e-5)
    })
  })

  it('knows whether its scales are finite', () => {
    const stored = randomBlocks(name, 3, unit * 2, createRandom(5))
    const width = stored.length / 3
    const finite = (changed: Uint8Array) => finiteBlocks(Tensor.from(changed, { shape: [3, width] }), name)
    expect(finite(stored)).toBe(true)
    if (name === byRow)
      for (const value of [Number.NaN, Number.NEGATIVE_INFINITY]) {
        const changed = stored.slice()
        new DataView(changed.buffer).setFloat32(3 * width - 4, value, true)
        expect(finite(changed)).toBe(false)
      }
    const { bytes, halves } = formats[name] ?? { bytes: 0, halves: [] }
    for (const at of halves)
      for (const high of [0x7c, 0x7e]) {
        const changed = stored.slice()
        // Factors of 0 would hide an infinite scale of a group, but not of all.
        changed[5 * bytes + at] = 0
        changed[5 * bytes + at + 1] = high
        expect(finite(changed)).toBe(false)
      }
  })
})

describe('products with blocks', () => {
  it.each(['Q4_K', byRow])('pass on infinity and NaN of the input, in its row only, and take zeros: %s', (name) => {
    const { blocks } = make(name, { rows: 1, outputs: 4, inputs: 256 })
    const input = zeros([4, 256])
    input.select(0, 1).fill_(Number.POSITIVE_INFINITY)
    input.select(0, 2).narrow(0, 3, 1).fill_(Number.NaN)
    const rows = blockLinear(input, blocks, name, null, Tensor.from(Float32Array.of(1, 2, 3, 4))).toFloat32Array()
    expect([...rows.subarray(0, 4), ...rows.subarray(12)]).toEqual([1, 2, 3, 4, 1, 2, 3, 4])
    expect(rows.subarray(4, 12).every(Number.isNaN)).toBe(true)
  })

  it('refuse types, shapes and orders that do not fit, by name', () => {
    const { blocks, input } = make('Q8_0', { rows: 2, outputs: 3, inputs: 64 })
    expect(() => blockLinear(input, blocks, 'Q2_K')).toThrow(/Expected one of Q4_0, .*Q6_K, int8 as `format`.*got Q2_K/)
    expect(() => blockLinear(input, blocks.narrow(1, 0, 40), 'Q8_0')).toThrow(/whole blocks of 34 bytes \(Q8_0\)/)
    expect(() => blockLinear(input, blocks.to('int64'), 'Q8_0')).toThrow(/uint8/)
    const long = zeros([1, 65_536 + 32 + 4], { dtype: 'uint8' })
    expect(() => blockLinear(zeros([1, 65_568]), long, byRow)).toThrow(/at most 65536 columns of int8 .*got 65568/)
    expect(() => blockLinear(input.narrow(1, 0, 32), blocks, 'Q8_0')).toThrow(/Expected shape \[\.\.\.,64\]/)
    expect(() => blockLinear(input.to('float64'), blocks, 'Q8_0')).toThrow(/float32 or bfloat16/)
    expect(() => blockLinear(input, blocks, 'Q8_0', int64([0, 3, 1]))).toThrow(/rows from 0 to 2 .*got 3 at position 1/)
    expect(() => blockLinear(input, blocks, 'Q8_0', null, zeros([4]))).toThrow(/`bias`/)
  })

  it('do not keep the layout of a file that is truncated while it is mapped', () => {
    const folder = mkdtempSync(join(tmpdir(), 'tunesmith-blocks-'))
    try {
      const path = join(folder, 'matrix')
      writeFileSync(path, randomBlocks('Q8_0', 2048, 256, createRandom(1)))
      const blocks = mapFile(path).tensor(0, [2048, (256 / 32) * 34], 'uint8')
      const input = randn([1, 256], { generator: new Generator(1) })
      keepPackedBlocks(blocks, 'Q8_0')
      truncateSync(path, 8192)
      for (let i = 0; i < 2; i++) expect(() => blockLinear(input, blocks, 'Q8_0')).toThrow(/was truncated/)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it('turn a file that is truncated while it is mapped into an error', () => {
    const folder = mkdtempSync(join(tmpdir(), 'tunesmith-blocks-'))
    try {
      const path = join(folder, 'matrix')
      const [outputs, inputs] = [2048, 256]
      writeFileSync(path, randomBlocks('Q8_0', outputs, inputs, createRandom(1)))
      const blocks = mapFile(path).tensor(0, [outputs, (inputs / 32) * 34], 'uint8')
      const input = randn([1, inputs], { generator: new Generator(1) })
      noGrad(() => blockLinear(input, blocks, 'Q8_0'))
      truncateSync(path, 8192)
      for (let i = 0; i < 2; i++) {
        expect(() => blockLinear(input, blocks, 'Q8_0')).toThrow(DataError)
        expect(() => blockEmbedding(blocks, 'Q8_0', int64([2000]))).toThrow(/was truncated/)
      }
      expect(blockEmbedding(blocks, 'Q8_0', int64([1])).shape).toEqual([1, inputs])
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

describe('inputs of products with a scale for each row', () => {
  const size = 64
  /** The identity: 127 codes of 1/127. */
  const identity = () => {
    const bytes = new Uint8Array(size * (size + 4))
    for (let i = 0; i < size; i++) {
      bytes[i * (size + 4) + i] = 127
      new DataView(bytes.buffer).setFloat32(i * (size + 4) + size, 1 / 127, true)
    }
    return Tensor.from(bytes, { shape: [size, size + 4] })
  }
  const signed64 = (sign: number) => (i: number) => sign * ((i * 37) % size)

  it.each([
    ['positive', signed64(1)],
    ['negative', signed64(-1)],
    ['of both signs', (i: number) => (i % 2 === 0 ? 1 : -1) * i],
    ['hardly ever negative', (i: number) => (i === 0 ? -3 : i)],
  ])('use all codes for their range and keep zero: %s', (_, valueAt) => {
    scope(() => {
      const row = Float32Array.from({ length: size }, (__, i) => valueAt(i))
      const seen = blockLinear(Tensor.from(row, { shape: [1, size] }), identity(), byRow).toFloat32Array()
      const range = Math.max(0, ...row) - Math.min(0, ...row)
      for (const [i, value] of row.entries()) {
        // Half a step, and as much again for the end that the code of zero rounds.
        expect(Math.abs(seen[i] - value)).toBeLessThanOrEqual((range / 254) * 1.001)
        if (value === 0) expect(seen[i]).toBe(0)
      }
      const errors = row.map((value, i) => Math.abs(seen[i] - value))
      expect(errors.reduce((sum, error) => sum + error, 0) / size).toBeLessThan(range / 254 / 3)
    })
  })

  it('of zeros, tiny and infinite values give zeros, themselves and no number', () => {
    scope(() => {
      const product = (value: number) =>
        blockLinear(Tensor.from(new Float32Array(size).fill(value), { shape: [1, size] }), identity(), byRow)
      expect([...product(0).toFloat32Array()]).toEqual(new Array(size).fill(0))
      expect(product(3e38).toFloat32Array()[5] / 3e38).toBeCloseTo(1, 5)
      expect(product(-3e38).toFloat32Array()[5] / -3e38).toBeCloseTo(1, 5)
      expect(product(Number.POSITIVE_INFINITY).toFloat32Array().every(Number.isNaN)).toBe(true)
      expect(product(Number.NaN).toFloat32Array().every(Number.isNaN)).toBe(true)
    })
  })
})
