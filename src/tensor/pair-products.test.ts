// Products of bf16 by pairs of values (native/kernels/pair-product.cpp) against the composition in float64, in all forms
// and at the ends of every block. instruction-sets.test.ts runs this file again with emulated pairs, and with TUNESMITH_GEMM=own, which
// gives small shapes to them too. Where products are a library's, it tests those.
import { describe, expect, it } from 'vitest'
import { compare, type Fused, generator, leaf } from '../../tests/parity/compare-fused.ts'
import {
  gradients,
  linear,
  linearCrossEntropy,
  lowRankLinear,
  noGrad,
  randint,
  roundedLinear,
  scope,
  setBatchInvariant,
  type Tensor,
} from './index.ts'
import { callable } from './operator.ts'
import { entry } from './operator-entry.ts'

const usesPairs = callable('usesPairs', entry<(form: number) => boolean>('tunesmith::uses_pair_products(form)')) as (
  form: number,
) => boolean

const composed = (x: Tensor, w: Tensor, b?: Tensor): Tensor => {
  const y = x.matmul(w.t())
  return b === undefined ? y : y.add(b)
}

describe('bf16 products of many rows', () => {
  it.each([
    ['one tile', 16, 32, 16],
    ['ends that fill no tile, and an odd depth', 37, 47, 61],
    ['one column more than a tile', 33, 64, 49],
    ['two vectors of columns', 40, 96, 80],
    ['several blocks of columns and of rows, three slices of the depth', 203, 2100, 211],
    ['three slices of all forms', 130, 2085, 201],
    ['a depth that is packed in two parts', 20, 1536, 2600],
  ])('%s', (_, rows, depth, columns) => {
    const x = leaf([rows, depth], 'bfloat16')
    const w = leaf([columns, depth], 'bfloat16', depth ** -0.5)
    compare([x, w], (a, b) => linear(a, b), composed, 2)
    compare([x, w, leaf([columns], 'bfloat16')], linear, composed, 2)
    compare([x, w, leaf([columns], 'float32')], linear, composed, 2)
  })

  it('weight gradients over more rows than a slice, and than wait in the cache', () => {
    compare([leaf([1111, 50], 'bfloat16'), leaf([70, 50], 'bfloat16', 0.1)], (x, w) => linear(x, w), composed, 3)
    compare([leaf([2222, 50], 'bfloat16'), leaf([70, 50], 'bfloat16', 0.1)], (x, w) => linear(x, w), composed, 3)
  })

  it('views that begin anywhere, with gaps between rows, and transposed operands', () => {
    const within: Fused = (x, w) => linear(x.narrow(1, 3, 90), w.narrow(1, 1, 90))
    const reference: Fused = (x, w) => composed(x.narrow(1, 3, 90), w.narrow(1, 1, 90))
    compare([leaf([70, 101], 'bfloat16'), leaf([65, 99], 'bfloat16', 0.1)], within, reference, 2)
    const turned: Fused = (x, w) => linear(x.t(), w.t())
    compare([leaf([70, 41], 'bfloat16'), leaf([70, 53], 'bfloat16', 0.1)], turned, (x, w) => composed(x.t(), w.t()), 2)
  })

  it.each([
    ['a rank below a vector', 37, 96, 80, 4, true],
    ['an odd rank and odd sizes', 130, 203, 211, 5, false],
    ['fewer rows than a tile', 3, 64, 48, 16, true],
    ['a rank above a vector, and more rows than wait in the cache', 2222, 48, 70, 40, false],
    ['three slices of the depth', 33, 2100, 2085, 16, true],
    ['no rows', 0, 64, 48, 8, true],
  ])('with a low-rank change: %s', (_, rows, depth, columns, rank, biased) => {
    const x = leaf([rows, depth], 'bfloat16')
    const w = leaf([columns, depth], 'bfloat16', depth ** -0.5)
    const [a, b] = [leaf([rank, depth], 'bfloat16', depth ** -0.5), leaf([columns, rank], 'bfloat16', rank ** -0.5)]
    const bias = leaf([columns], 'bfloat16')
    const inputs = biased ? [x, w, a, b, bias] : [x, w, a, b]
    const fused: Fused = (...[input, weight, down, up, added]) =>
      lowRankLinear(input, weight, down, up, 1.7, added ?? null)
    const reference: Fused = (...[input, weight, down, up, added]) =>
      composed(input, weight, added).add(composed(composed(input, down).mul(1.7), up))
    compare(inputs, fused, reference, 2)
  })

  it('with a low-rank change, gradients of what is trained only, and of transposed inputs', () => {
    const frozen = (shape: number[]) => leaf(shape, 'bfloat16', 0.2).detach()
    const [w, a, b] = [frozen([48, 40]), leaf([8, 40], 'bfloat16', 0.2), leaf([48, 8], 'bfloat16', 0.2)]
    const own = (scale: number, x: Tensor, down: Tensor, up: Tensor) => lowRankLinear(x.t(), w, down, up, scale)
    const reference = (scale: number, x: Tensor, down: Tensor, up: Tensor) => {
      const [input, weight] = [x.to('float64').t(), w.to('float64')]
      return composed(input, weight).add(composed(composed(input, down.to('float64')).mul(scale), up.to('float64')))
    }
    const x = leaf([40, 70], 'bfloat16')
    compare(
      [x, a, b],
      (...all) => own(-0.5, all[0], all[1], all[2]),
      (...all) => reference(-0.5, all[0], all[1], all[2]),
      2,
    )
    const still = frozen([40, 70])
    compare(
      [a, b],
      (down, up) => own(2, still, down, up),
      (down, up) => reference(2, still, down, up),
      2,
    )
    const [down, up] = [frozen([8, 40]), frozen([48, 8])]
    compare(
      [x],
      (input) => own(2, input, down, up),
      (input) => reference(2, input, down, up),
      2,
    )
  })

  it('without rows', () => compare([leaf([0, 64], 'bfloat16'), leaf([80, 64], 'bfloat16')], linear as Fused, composed))

  it('the output layer with its loss, in chunks whose weight gradients are added', () => {
    const targets = randint(0, 131, [96], { generator, dtype: 'int64' })
    const loss: Fused = (hidden, weight) =>
      linearCrossEntropy(hidden, weight, null, targets, { chunkSize: 32 })[0].div(96)
    const reference: Fused = (hidden, weight) =>
      composed(hidden, weight).logSoftmax(-1).gather(1, targets.unsqueeze(1)).neg().sum().div(96)
    compare([leaf([96, 41], 'bfloat16'), leaf([131, 41], 'bfloat16', 0.2)], loss, reference, 2)
  })

  it('give equal bits twice', () => {
    const [x, w] = [leaf([203, 2100], 'bfloat16'), leaf([101, 2100], 'bfloat16', 0.02)]
    const once = () => {
      const y = linear(x, w)
      return [y, ...gradients([y.sum()], [x, w])] as Tensor[]
    }
    const [first, second] = [once(), once()]
    for (const [i, tensor] of first.entries()) expect(tensor.equal(second[i])).toBe(true)
  })

  it('few rows, which are read in place', () => {
    for (const [rows, depth, columns] of [
      [1, 32, 8],
      [2, 47, 5],
      [3, 100, 61],
      [5, 160, 33],
      [7, 31, 300],
      [64, 96, 70],
    ]) {
      const x = leaf([rows, depth], 'bfloat16')
      const w = leaf([columns, depth], 'bfloat16', depth ** -0.5)
      compare([x, w], (a, b) => linear(a, b), composed)
      compare([x, w, leaf([columns], 'float32')], linear, composed)
    }
    const within: Fused = (x, w) => linear(x.narrow(1, 3, 90), w.narrow(1, 1, 90))
    const reference: Fused = (x, w) => composed(x.narrow(1, 3, 90), w.narrow(1, 1, 90))
    compare([leaf([9, 101], 'bfloat16'), leaf([65, 99], 'bfloat16', 0.1)], within, reference)
  })

  it.skipIf(!usesPairs(0)).each([
    [64, [1, 2, 3, 4, 5, 6, 7, 9, 10, 13, 33, 64]],
    [400, [130, 147, 256]],
  ])('of %d rows have the same bits beside fewer (products of pairs only)', (rows, counts) =>
    noGrad(() =>
      scope(() => {
        const [x, w] = [leaf([rows, 1100], 'bfloat16'), leaf([200, 1100], 'bfloat16', 0.03)]
        const all = linear(x, w)
        for (const count of counts)
          for (const first of [0, Math.floor((rows - count) / 2), rows - count])
            expect(linear(x.narrow(0, first, count), w).equal(all.narrow(0, first, count))).toBe(true)
      }),
    ),
  )

  // Inputs that have bfloat16's values: rounding changes nothing, so only the order of the sums may differ from float64.
  it.each([1, 4, 5, 6, 7, 13, 64, 65])('%d float32 rows and a bf16 weight: sums and results stay float32', (rows) =>
    noGrad(() =>
      scope(() => {
        const [x, w] = [leaf([rows, 203], 'bfloat16').to('float32'), leaf([131, 203], 'bfloat16', 0.07)]
        for (const bias of [null, leaf([131], 'bfloat16'), leaf([131], 'float32')]) {
          const expected = composed(x.to('float64'), w.to('float64'), bias?.to('float64'))
          const found = roundedLinear(x, w, bias)
          expect(found.dtype).toBe('float32')
          expect(found.to('float64').sub(expected).abs().max().item()).toBeLessThan(2e-5)
        }
      }),
    ),
  )

  it.skipIf(!usesPairs(0))('float32 rows are rounded from five on, and not in batch-invariant products', () =>
    noGrad(() =>
      scope(() => {
        const [x, w] = [leaf([64, 203], 'float32'), leaf([131, 203], 'bfloat16', 0.07)]
        const rounded = roundedLinear(x, w)
        expect(rounded.equal(roundedLinear(x.to('bfloat16').to('float32'), w))).toBe(true)
        expect(rounded.to('bfloat16').equal(linear(x.to('bfloat16'), w))).toBe(true)
        for (const count of [5, 11, 63])
          expect(roundedLinear(x.narrow(0, 1, count), w).equal(rounded.narrow(0, 1, count))).toBe(true)
        const few = x.narrow(0, 0, 4)
        expect(roundedLinear(few, w).equal(linear(few, w))).toBe(true)
        const before = setBatchInvariant(true)
        try {
          expect(roundedLinear(x, w).equal(linear(x, w))).toBe(true)
        } finally {
          setBatchInvariant(before)
        }
      }),
    ),
  )
})
