// checkpoint() against the same computation without it: values, every gradient, dropout, nesting, errors.
import { describe, expect, it } from 'vitest'
import {
  backward,
  checkpoint,
  clearGrads,
  dropout,
  Generator,
  liveTensors,
  memoryStatistics,
  noGrad,
  ones,
  randn,
  resetPeakMemory,
  scope,
  type Tensor,
} from './index.ts'

const make = (shape: number[], seed: number) => {
  const tensor = randn(shape, { generator: new Generator(seed) })
  tensor.requiresGrad = true
  return tensor
}

type Run = <Outputs extends Tensor | readonly Tensor[]>(
  segment: (...inputs: Tensor[]) => Outputs,
  inputs: readonly Tensor[],
  options?: { generators?: readonly Generator[] },
) => Outputs

const plain: Run = (segment, inputs) => segment(...inputs)

const bits = (tensor: Tensor | undefined) => (tensor === undefined ? undefined : [...tensor.toFloat32Array()])

/** Loss and gradients of two layers, the second closing over its weight, run through `run`. */
const train = (run: Run) => {
  const [x, w1, w2] = [make([5, 4], 1), make([4, 6], 2), make([6, 3], 3)]
  const generator = new Generator(7)
  const draw = { generators: [generator] }
  const h = run((a, b) => dropout(a.matmul(b).gelu(), 0.3, { generator }), [x, w1], draw)
  const y = run((a) => dropout(a.matmul(w2), 0.3, { generator }), [h], draw)
  const loss = y.square().sum()
  loss.backward()
  return {
    loss: loss.item(),
    gradients: [x, w1, w2].map((one) => bits(one.grad)),
    next: bits(randn([3], { generator })),
  }
}

describe('checkpoint', () => {
  it('equals the plain computation to the bit: value, gradients of inputs and of closed-over weights, dropout', () => {
    expect(train(checkpoint)).toEqual(train(plain))
  })

  it('equals it when nested', () => {
    const run = (wrap: Run) => {
      const [x, w] = [make([3, 3], 1), make([3, 3], 2)]
      const generator = new Generator(5)
      const draw = { generators: [generator] }
      const y = wrap(
        (a) => {
          const inner = wrap((b) => dropout(b.matmul(w).tanh(), 0.5, { generator }), [a], draw)
          return wrap((b) => b.matmul(w).sin(), [inner.add(a)], draw)
        },
        [x],
        draw,
      )
      y.sum().backward()
      return [bits(y), bits(x.grad), bits(w.grad)]
    }
    expect(run(checkpoint)).toEqual(run(plain))
  })

  it('gives several outputs, of which some may go unused', () => {
    const run = (wrap: Run) => {
      const x = make([4], 1)
      const [a, b] = wrap((input) => [input.exp(), input.sin(), input.cos()] as const, [x])
      a.mul(b).sum().backward()
      return bits(x.grad)
    }
    expect(run(checkpoint)).toEqual(run(plain))
  })

  it('works with inputs that need no gradient, and under noGrad', () => {
    const w = make([3, 3], 1)
    const x = ones([2, 3])
    checkpoint((a) => a.matmul(w), [x])
      .sum()
      .backward()
    expect(bits(w.grad)).toEqual(new Array(9).fill(2))
    expect(x.grad).toBeUndefined()
    expect(noGrad(() => checkpoint((a) => a.matmul(w), [x])).requiresGrad).toBe(false)
  })

  it('runs backward again over a retained graph', () => {
    const x = make([3], 1)
    const loss = checkpoint((a) => a.square(), [x]).sum()
    loss.backward({ retainGraph: true })
    loss.backward()
    expect(bits(x.grad)).toEqual([...x.toFloat32Array()].map((value) => Math.fround(4 * value)))
    expect(() => loss.backward()).toThrow(/second time/)
  })

  it('throws an error of the recomputation, restores the generators, and autograd continues to work', () => {
    const x = make([3], 1)
    const generator = new Generator(1)
    let calls = 0
    const y = checkpoint(
      (a) => {
        if (calls++ > 0) throw new RangeError('mine')
        return a.square()
      },
      [x],
      { generators: [generator] },
    )
    randn([2], { generator })
    const state = generator.state()
    expect(() => y.sum().backward()).toThrow(new RangeError('mine'))
    expect(generator.state()).toEqual(state)
    x.square().sum().backward()
    expect(x.grad).toBeDefined()
  })

  it('throws an error of the first run and frees its tensors', () => {
    const x = make([3], 1)
    const before = liveTensors()
    scope(() => {
      expect(() => checkpoint((a) => a.matmul(ones([5, 5])), [x])).toThrow(/matmul/)
    })
    expect(liveTensors()).toBeLessThanOrEqual(before)
  })

  it('does not free an input that the segment returns', () => {
    const x = make([3], 1)
    const y = checkpoint((a) => a, [x])
    y.mul(2).sum().backward()
    expect(bits(x.grad)).toEqual([2, 2, 2])
    expect(x.toArray()).toEqual(y.toArray())
  })

  it('can be run backward after the scope of its forward', () => {
    const x = make([3], 1)
    const y = scope(() => checkpoint((a) => a.exp().mul(2), [x.mul(3)]))
    y.sum().backward()
    const expected = [...x.toFloat32Array()].map((value) => 6 * Math.exp(3 * value))
    for (const [i, value] of (bits(x.grad) ?? []).entries()) expect(value / expected[i]).toBeCloseTo(1, 5)
  })

  it('keeps only inputs and outputs between forward and backward', () => {
    const x = make([256, 256], 1)
    const segment = (a: Tensor) => {
      let value = a
      for (let i = 0; i < 20; i++) value = value.mul(1.01).sin()
      return value
    }
    const grown = (run: Run) =>
      scope(() => {
        resetPeakMemory()
        const before = memoryStatistics().inUse
        const y = run(segment, [x])
        const held = memoryStatistics().inUse - before
        backward([y.sum()])
        clearGrads([x])
        return held
      })
    const size = 256 * 256 * 4
    expect(grown(plain)).toBeGreaterThan(20 * size)
    expect(grown(checkpoint)).toBeLessThan(3 * size)
  })

  it('detects an input that was changed in place before backward', () => {
    const x = make([3], 1)
    const h = x.mul(2)
    const y = checkpoint((a) => a.exp(), [h])
    noGrad(() => h.add_(1))
    expect(() => y.sum().backward()).toThrow(/modified by an inplace operation/)
  })

  it('leaks no tensors and no memory after backward', () => {
    const x = make([64, 64], 1)
    const step = () =>
      scope(() =>
        checkpoint((a) => a.exp().sin(), [x.mul(2)])
          .sum()
          .backward(),
      )
    step()
    const before = { tensors: liveTensors(), bytes: memoryStatistics().inUse }
    for (let i = 0; i < 20; i++) step()
    expect(liveTensors()).toBeLessThanOrEqual(before.tensors)
    expect(memoryStatistics().inUse).toBeLessThanOrEqual(before.bytes)
  })
})
