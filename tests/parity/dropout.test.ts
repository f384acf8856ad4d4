// The fused dropout draws from a stream of its own, so it is held to what dropout is, not to PyTorch's mask: zeros and scaled
// values, the right share of each, one mask for forward and backward, and the same mask for the same generator.
import { describe, expect, it } from 'vitest'
import { dropout, Generator, gradients, ones, Tensor } from '../../src/tensor/index.ts'

const draw = (p: number, seed: number, count = 10_000) => dropout(ones([count]), p, { generator: new Generator(seed) })

describe('dropout', () => {
  it.each([0.1, 0.5, 0.9])('drops about %d of the elements and scales the others', (p) => {
    const values = draw(p, 1).toFloat32Array()
    const kept = values.filter((value) => value !== 0)
    expect(new Set(kept.map((value) => Math.fround(value)))).toEqual(new Set([Math.fround(1 / (1 - p))]))
    // Four standard deviations of a binomial share.
    expect(Math.abs(1 - kept.length / values.length - p)).toBeLessThan(4 * Math.sqrt((p * (1 - p)) / values.length))
  })

  it('keeps everything at 0', () => {
    expect(draw(0, 1, 7).toArray()).toEqual([1, 1, 1, 1, 1, 1, 1])
  })

  it('gives the gradient the same mask', () => {
    const x = ones([501])
    x.requiresGrad = true
    const y = dropout(x, 0.4, { generator: new Generator(3) })
    const [gradient] = gradients([y.sum()], [x])
    expect(gradient?.toFloat32Array()).toEqual(y.toFloat32Array())
  })

  it('repeats with the seed, and advances the generator', () => {
    expect(draw(0.5, 9).equal(draw(0.5, 9))).toBe(true)
    expect(draw(0.5, 9).equal(draw(0.5, 10))).toBe(false)
    const generator = new Generator(9)
    const [first, second] = [0, 1].map(() => dropout(ones([1000]), 0.5, { generator }))
    expect(first.equal(second)).toBe(false)
  })

  it('works in bfloat16 and on empty and strided tensors', () => {
    expect(dropout(ones([0, 3]), 0.5).shape).toEqual([0, 3])
    const wide = dropout(ones([40, 3], { dtype: 'bfloat16' }).t(), 0.5, { generator: new Generator(1) })
    expect(wide.dtype).toBe('bfloat16')
    expect([...new Set(wide.toFloat32Array())].sort()).toEqual([0, 2])
  })

  it.each([1, 1.5, -0.1, Number.NaN])('refuses p = %d', (p) => {
    expect(() => dropout(Tensor.from([1, 2]), p)).toThrow(/dropout/)
  })
})
