import { describe, expect, it } from 'vitest'
import { Generator, ones, rand, randn, randperm, seedDefaultGenerators, zeros } from './index.ts'

const draw = (generator: Generator, count = 5) => randn([count], { generator }).toArray()

describe('Generator', () => {
  it('gives the same samples for the same seed, and others for another seed', () => {
    expect(draw(new Generator(5))).toEqual(draw(new Generator(5)))
    expect(draw(new Generator(5))).not.toEqual(draw(new Generator(6)))
  })

  it('starts over when seeded again', () => {
    const generator = new Generator(5)
    const first = draw(generator)
    expect(draw(generator)).not.toEqual(first)
    expect(draw(generator.seed(5))).toEqual(first)
  })

  it('saves and restores its state exactly, also between the two samples of a normal pair', () => {
    const generator = new Generator(1)
    draw(generator, 3)
    const state = generator.state()
    const next = draw(generator, 7)
    expect(draw(generator, 7)).not.toEqual(next)
    generator.setState(state)
    expect(draw(generator, 7)).toEqual(next)
    expect(draw(new Generator(99).setState(state), 7)).toEqual(next)
  })

  it('takes 64-bit and negative seeds', () => {
    for (const seed of [0, -1, 2n ** 63n, 2n ** 64n - 1n])
      expect(draw(new Generator(seed))).toEqual(draw(new Generator(seed)))
  })

  it('is independent of other generators', () => {
    const [a, b] = [new Generator(3), new Generator(3)]
    const first = draw(a)
    rand([100])
    expect(draw(b)).toEqual(first)
  })

  it.each([new Uint8Array(0), new Uint8Array(10), new Uint8Array(5056).fill(255)])(
    'refuses bytes that are no state',
    (bytes) => {
      expect(() => new Generator(0).setState(bytes)).toThrow(/Expected bytes from `Generator.state\(\)`/)
    },
  )

  it.each([1.5, Number.NaN, Infinity, 'x', null])('refuses %s as a seed', (seed) => {
    expect(() => new Generator(seed as never)).toThrow(/seed/)
  })
})

describe('samples', () => {
  const generator = new Generator(2026)
  const count = 20_000
  // Bounds of five standard errors of the mean and of the share.
  it('of randn have mean 0 and deviation 1', () => {
    const values = randn([count], { generator })
    expect(Math.abs(values.mean().item())).toBeLessThan(5 / Math.sqrt(count))
    expect(Math.abs(values.std().item() - 1)).toBeLessThan(5 / Math.sqrt(2 * count))
  })
  it('of rand are in [0, 1) with mean 0.5', () => {
    const values = rand([count], { generator })
    expect(values.min().item()).toBeGreaterThanOrEqual(0)
    expect(values.max().item()).toBeLessThan(1)
    expect(Math.abs(values.mean().item() - 0.5)).toBeLessThan(5 / Math.sqrt(12 * count))
  })
  it('of bernoulli_ and bernoulli have the given probability', () => {
    for (const values of [
      zeros([count]).bernoulli_(0.3, { generator }),
      ones([count]).mul(0.3).bernoulli({ generator }),
    ])
      expect(Math.abs(values.mean().item() - 0.3)).toBeLessThan(5 * Math.sqrt(0.21 / count))
  })
  it('of multinomial follow the weights', () => {
    const picks = ones([4]).cumsum(0).multinomial(count, { replacement: true, generator })
    const shares = picks.bincount({ minlength: 4 }).div(count).toFloat32Array()
    for (const [i, share] of shares.entries()) expect(Math.abs(share - (i + 1) / 10)).toBeLessThan(0.02)
  })
  it('of randperm are a permutation', () => {
    expect([...randperm(50, { generator, dtype: 'int64' }).sort()[0].toFloat32Array()]).toEqual(
      Array.from({ length: 50 }, (_, i) => i),
    )
  })
  it('without a generator come from the default generator, which can be seeded', () => {
    seedDefaultGenerators(4)
    const first = rand([3]).toArray()
    seedDefaultGenerators(4)
    expect(rand([3]).toArray()).toEqual(first)
  })
})
