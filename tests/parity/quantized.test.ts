// Matrices in fewer bits: the bits of bitsandbytes for the same floats (make-frozen.py), and products with them against those with the
// floats that they stand for. src/tensor/instruction-sets.test.ts runs this file with other vector code too.
import { describe, expect, it } from 'vitest'
import { openSafetensors } from '../../src/checkpoint/index.ts'
import { type MatrixFormat, QuantizedMatrix } from '../../src/nn/index.ts'
import {
  Generator,
  gradients,
  linear,
  packedLinear,
  packInt8,
  packNf4,
  packScales,
  randn,
  type Tensor,
  tensor,
  unpackMatrix,
} from '../../src/tensor/index.ts'

const golden = await openSafetensors(new URL('./golden/frozen.safetensors', import.meta.url).pathname)
const bytes = (value: Tensor) => Buffer.from(value.flatten().toTypedArray().buffer.slice(0)).toString('hex')
const expectBits = (got: Tensor, wanted: Tensor, what: string) =>
  expect(bytes(got.contiguous()) === bytes(wanted.clone()), what).toBe(true)

describe('NF4', () => {
  it.each(['whole', 'ragged', 'borders'])('of %s matrices has the bits of bitsandbytes', (name) => {
    const of = (part: string) => golden.tensor(`${name}.${part}`)
    const weight = of('weight')
    const [rows, columns] = weight.shape
    const [codes, scales] = packNf4(weight)
    expectBits(codes, of('codes'), 'codes')
    expectBits(scales, of('scales'), 'scales')
    expectBits(unpackMatrix(codes, [scales], rows, columns), of('back'), 'floats')
    const [inner, outer, offset] = packScales(scales)
    expect(offset.item()).toBeCloseTo(of('double.offset').item(), 7)
    expectBits(inner, of('double.codes'), 'codes of scales')
    expectBits(outer, of('double.outer'), 'scales of scales')
    expectBits(unpackMatrix(codes, [inner, outer, offset], rows, columns), of('double.back'), 'floats of both')
  })
})

describe('int8', () => {
  it.each(['whole', 'ragged', 'borders'])('of %s matrices has the bits of bitsandbytes', (name) => {
    const of = (part: string) => golden.tensor(`${name}.${part}`)
    const [codes, scales] = packInt8(of('weight'))
    expectBits(codes, of('int8.codes'), 'codes')
    expectBits(scales, of('int8.largest').div(127), 'scales')
  })

  it('is within half a step of each element, and exact for the largest of a row', () => {
    const weight = randn([9, 70], { generator: new Generator(1) })
    weight.select(0, 4).zero_()
    const [codes, scales] = packInt8(weight)
    const back = unpackMatrix(codes, [scales], 9, 70)
    const apart = back
      .sub(weight)
      .abs()
      .div(scales.clamp({ min: 1e-9 }).unsqueeze(1))
    expect(apart.max().item()).toBeLessThanOrEqual(0.5001)
    expect(codes.to('int64').abs().max().item()).toBe(127)
    expect(back.select(0, 4).abs().max().item()).toBe(0)
  })
})

const apart = (got: Tensor, wanted: Tensor) =>
  got.to('float32').sub(wanted.to('float32')).abs().max().item() /
  Math.max(1e-6, wanted.to('float32').abs().max().item())

describe.each(['int8', 'nf4', 'nf4-double'] as MatrixFormat[])('a product with %s', (packing) => {
  // Few rows take another way than many; ends that fit no panel; blocks that cross rows; slices of the depth.
  it.each([
    [1, 64, 128],
    [5, 33, 45],
    [16, 7, 300],
    [40, 100, 64],
    [70, 50, 45],
    [33, 200, 700],
    [300, 1600, 65],
  ])('of %i rows with [%i,%i] is that with its floats, forward and backward', (rows, outputs, inputs) => {
    const generator = new Generator(rows)
    const matrix = new QuantizedMatrix(randn([outputs, inputs], { generator }), packing)
    const weight = matrix.dequantize()
    for (const dtype of ['float32', 'bfloat16'] as const) {
      const make = () => randn([rows, inputs], { generator: new Generator(2) }).to(dtype)
      const [x, plain] = [make(), make()]
      const bias = randn([outputs], { generator })
      const own = bias.clone()
      for (const one of [x, plain, bias, own]) one.requiresGrad = true
      const y = matrix.multiply(x, own)
      const wanted = linear(plain, weight, bias)
      const limit = dtype === 'float32' ? 1e-5 : 1e-2
      expect(y.dtype).toBe(dtype)
      expect(apart(y, wanted)).toBeLessThan(limit)
      const upstream = randn([rows, outputs], { generator }).to(dtype)
      y.mul(upstream).sum().backward()
      wanted.mul(upstream).sum().backward()
      expect(apart(x.grad as Tensor, plain.grad as Tensor)).toBeLessThan(limit)
      expect(apart(own.grad as Tensor, bias.grad as Tensor)).toBeLessThan(limit)
    }
  })

  // Whole strips of the matrix and a last one that begins earlier, fewer columns than a strip, a depth that tiles do not
  // take, blocks that cross rows, and each number of rows that is multiplied in another way.
  it.each([
    [64, 64],
    [200, 96],
    [3, 2048],
    [63, 640],
    [130, 45],
    [90, 100],
  ])('[%i,%i] gives any number of rows of bfloat16 the product with its values', (outputs, inputs) => {
    const generator = new Generator(5)
    const matrix = new QuantizedMatrix(randn([outputs, inputs], { generator }), packing)
    const weight = matrix.dequantize()
    const bias = randn([outputs], { generator }).to('bfloat16')
    for (const rows of [1, 2, 3, 4, 5, 11, 12, 16, 17, 64, 65, 128, 129]) {
      const x = randn([rows, inputs], { generator }).to('bfloat16')
      const wanted = linear(x.to('float32'), weight, bias.to('float32'))
      expect(apart(matrix.multiply(x, bias), wanted), `${rows} rows`).toBeLessThan(8e-3)
    }
  })

  it.each([12, 97])('multiplies %i rows of bfloat16 with pieces of the matrix, forward and backward', (rows) => {
    // More values than are dequantised at once, in both directions.
    const [outputs, inputs] = [1030, 8201]
    const generator = new Generator(4)
    const matrix = new QuantizedMatrix(randn([outputs, inputs], { generator }), packing)
    const weight = matrix.dequantize()
    const x = randn([rows, inputs], { generator }).to('bfloat16')
    const upstream = randn([rows, outputs], { generator }).to('bfloat16')
    x.requiresGrad = true
    const y = matrix.multiply(x, null)
    y.mul(upstream).sum().backward()
    expect(apart(y, x.detach().to('float32').matmul(weight.t()))).toBeLessThan(6e-3)
    expect(apart(x.grad as Tensor, upstream.to('float32').matmul(weight))).toBeLessThan(6e-3)
  })

  it.each([
    [1, 'bfloat16'],
    [12, 'bfloat16'],
    [300, 'bfloat16'],
    [40, 'float32'],
  ] as const)('adds a low-rank change to %i rows of %s as two more layers would', (count, dtype) => {
    const generator = new Generator(count)
    const [outputs, inputs, rank, scale] = [130, 200, 16, 0.7]
    const matrix = new QuantizedMatrix(randn([outputs, inputs], { generator }), packing)
    const weight = matrix.dequantize()
    const leaf = (shape: number[], size = 1) => {
      const made = randn(shape, { generator }).mul(size).to(dtype)
      made.requiresGrad = true
      return made
    }
    const leaves = [
      leaf([2, count, inputs]),
      leaf([rank, inputs], 0.1),
      leaf([outputs, rank]),
      leaf([outputs]),
    ] as const
    const [x, a, b, bias] = leaves
    const upstream = randn([2, count, outputs], { generator })
    const run = (y: Tensor) => [y, ...(gradients([y], leaves, { gradients: [upstream.to(y.dtype)] }) as Tensor[])]
    const wide = leaves.map((one) => one.to('float32'))
    const change = linear(linear(wide[0], wide[1]).mul(scale), wide[2])
    const wanted = run(linear(wide[0], weight, wide[3]).add(change))
    const found = run(matrix.multiplyWithLowRank(x, { a, b, scale }, bias))
    for (const [i, one] of found.entries())
      expect(apart(one, wanted[i]), `${i}`).toBeLessThan(dtype === 'float32' ? 1e-5 : 1.5e-2)
    // Gradients that nobody asks for are not computed, and what is missing changes nothing.
    const frozen = matrix.multiplyWithLowRank(x.detach(), { a, b: b.detach(), scale }, null)
    const [alone] = gradients([frozen], [a], { gradients: [upstream.to(dtype)] }) as Tensor[]
    expect(apart(alone, wanted[2])).toBeLessThan(dtype === 'float32' ? 1e-5 : 1.5e-2)
  })

  it('takes inputs of any strides and number of dimensions', () => {
    const matrix = new QuantizedMatrix(randn([24, 66], { generator: new Generator(1) }), packing)
    const turned = randn([66, 35], { generator: new Generator(2) }).t()
    expect(apart(matrix.multiply(turned, null), matrix.multiply(turned.contiguous(), null))).toBe(0)
    const many = randn([66, 130], { generator: new Generator(4) })
      .to('bfloat16')
      .t()
    expect(apart(matrix.multiply(many, null), matrix.multiply(many.contiguous(), null))).toBeLessThan(8e-3)
    const deep = randn([2, 3, 66], { generator: new Generator(3) })
    expect(matrix.multiply(deep, null).shape).toEqual([2, 3, 24])
    expect(matrix.multiply(randn([0, 66]), null).shape).toEqual([0, 24])
  })
})

describe('bad input', () => {
  const [codes, scales] = packNf4(randn([4, 64]))
  it('is refused in one line', () => {
    expect(() => packNf4(tensor([[1, Number.NaN]]))).toThrow(/finite/)
    expect(() => packInt8(tensor([[1, Number.POSITIVE_INFINITY]]))).toThrow(/finite/)
    expect(() => packInt8(tensor([1, 2]))).toThrow(/matrix/)
    expect(() => unpackMatrix(codes, [scales], 4, 65)).toThrow(/codes/)
    expect(() => unpackMatrix(codes, [scales.narrow(0, 0, 2)], 4, 64)).toThrow(/scales/)
    expect(() => unpackMatrix(codes, [scales, scales], 4, 64)).toThrow(/scales/)
    expect(() => unpackMatrix(codes, [scales], -4, -64)).toThrow(/size/)
    expect(() => packedLinear(randn([3, 65]), codes, [scales], 4)).toThrow(/codes/)
    expect(() => packedLinear(randn([3, 64]), codes.to('float32'), [scales], 4)).toThrow(/int8 or uint8/)
    expect(() => packedLinear(randn([3, 64]), codes, [scales], 4, randn([5]))).toThrow(/bias/)
  })
})
