import { describe, expect, it } from 'vitest'
import {
  backward,
  clearGrads,
  enableGrad,
  gradEnabled,
  gradients,
  inferenceMode,
  liveTensors,
  noGrad,
  ones,
  scope,
  Tensor,
  withBackward,
  zeros,
} from './index.ts'

const leaf = (values: number[]) => {
  const tensor = Tensor.from(values)
  tensor.requiresGrad = true
  return tensor
}

describe('gradient modes', () => {
  it('record by default, not in noGrad, again in enableGrad, and are restored after an error', () => {
    const x = leaf([1])
    expect(gradEnabled()).toBe(true)
    expect(x.mul(2).requiresGrad).toBe(true)
    noGrad(() => {
      expect(x.mul(2).requiresGrad).toBe(false)
      enableGrad(() => expect(x.mul(2).requiresGrad).toBe(true))
      expect(gradEnabled()).toBe(false)
    })
    expect(() =>
      noGrad(() => {
        throw new Error('mine')
      }),
    ).toThrow('mine')
    expect(gradEnabled()).toBe(true)
  })

  it('refuse a promise', async () => {
    expect(() => noGrad(async () => 1)).toThrow(/synchronous/)
    expect(() => inferenceMode(async () => 1)).toThrow(/synchronous/)
    expect(gradEnabled()).toBe(true)
  })

  it('inference mode creates tensors that autograd refuses, and does not affect later training', () => {
    const x = leaf([2])
    const made = inferenceMode(() => x.mul(3))
    expect(made.toArray()).toEqual([6])
    expect(() => {
      made.requiresGrad = true
    }).toThrow(/inference/i)
    const loss = x.square().sum()
    loss.backward()
    expect(x.grad?.toArray()).toEqual([4])
    expect(() => inferenceMode(() => ones([2]).matmul(ones([3])))).toThrow(/matmul/)
    expect(x.mul(1).requiresGrad).toBe(true)
  })
})

describe('backward', () => {
  it('adds to the leaves, until the gradients are cleared', () => {
    const x = leaf([3])
    x.square().sum().backward()
    x.square().sum().backward()
    expect(x.grad?.toArray()).toEqual([12])
    clearGrads([x])
    expect(x.grad).toBeUndefined()
  })

  it('needs a gradient for a root that is not a scalar', () => {
    const x = leaf([1, 2])
    x.mul(3).backward({ gradient: Tensor.from([1, 10]) })
    expect(x.grad?.toArray()).toEqual([3, 30])
    expect(() => x.mul(3).backward()).toThrow(/scalar/)
    expect(() => x.mul(3).backward({ gradient: ones([3]) })).toThrow(/backward/)
  })

  it('runs over many roots at once', () => {
    const x = leaf([2])
    backward([x.mul(2).sum(), x.square().sum()])
    expect(x.grad?.toArray()).toEqual([6])
    expect(() => backward([])).not.toThrow()
  })

  it('works once, unless the graph is retained', () => {
    const x = leaf([2])
    const once = x.square().sum()
    once.backward()
    expect(() => once.backward()).toThrow(/second time/)
    const twice = x.square().sum()
    twice.backward({ retainGraph: true })
    twice.backward()
    expect(x.grad?.toArray()).toEqual([12])
  })

  it('detects a saved tensor that was changed in place', () => {
    const x = leaf([2])
    const y = x.mul(1)
    const loss = y.square().sum()
    y.add_(1)
    expect(() => loss.backward()).toThrow(/modified by an inplace operation/)
  })

  it('refuses a root without history', () => {
    expect(() => ones([1]).sum().backward()).toThrow(/does not require grad/)
  })

  it('computes retained gradients and stops at detach', () => {
    const x = leaf([2])
    const y = x.mul(3).retainGrad()
    const z = y.detach()
    y.mul(z).sum().backward()
    expect(y.grad?.toArray()).toEqual([6])
    expect(x.grad?.toArray()).toEqual([18])
    expect([x.isLeaf, y.isLeaf, z.requiresGrad, z.sharesStorageWith(y)]).toEqual([true, false, false, true])
  })

  it('leaks no tensors', () => {
    const x = leaf([1, 2, 3])
    const before = liveTensors()
    for (let i = 0; i < 10; i++) scope(() => x.exp().sum().backward())
    expect(liveTensors()).toBeLessThanOrEqual(before)
    clearGrads([x])
  })
})

describe('the gradient of a leaf', () => {
  it('can be set, with the shape and dtype of the leaf', () => {
    const x = leaf([1, 2])
    x.grad = Tensor.from([5, 6])
    expect(x.grad?.toArray()).toEqual([5, 6])
    x.grad = undefined
    expect(x.grad).toBeUndefined()
    expect(() => {
      x.grad = ones([3])
    }).toThrow(/expected a gradient of shape/)
    expect(() => {
      x.grad = ones([2], { dtype: 'float64' })
    }).toThrow(/expected a gradient of type/)
  })

  it('is refused for integers', () => {
    expect(() => {
      zeros([1], { dtype: 'int64' }).requiresGrad = true
    }).toThrow(/floating-point/)
    const y = leaf([1]).mul(2)
    expect(() => {
      y.requiresGrad = false
    }).toThrow(/leaf/)
  })
})

describe('gradients()', () => {
  it('leaves `grad` of the leaves unchanged, and is undefined for an input that no root depends on', () => {
    const [x, y] = [leaf([3]), leaf([1])]
    const [gx, gy] = gradients([x.square().sum()], [x, y])
    expect(gx?.toArray()).toEqual([6])
    expect([gy, x.grad]).toEqual([undefined, undefined])
  })

  it('makes higher derivatives with createGraph', () => {
    const x = leaf([2])
    const [first] = gradients([x.pow(3).sum()], [x], { createGraph: true }) as [Tensor]
    const [second] = gradients([first.sum()], [x], { createGraph: true }) as [Tensor]
    const [third] = gradients([second.sum()], [x]) as [Tensor]
    expect([first.item(), second.item(), third.item()]).toEqual([12, 12, 6])
  })
})

describe('withBackward', () => {
  it('calls `derive` with gradients and uses the gradients that it returns', () => {
    const x = leaf([1, 2])
    const [y] = withBackward([noGrad(() => x.mul(2))], [x], ([gradient]) => [gradient?.mul(100)])
    y.mul(3).sum().backward()
    expect(x.grad?.toArray()).toEqual([300, 300])
  })

  it('gives undefined for an output that got no gradient, and takes undefined for an input', () => {
    const [a, b] = [leaf([1]), leaf([1])]
    const seen: boolean[] = []
    const [y] = withBackward([ones([1]), ones([1])], [a, b], (received) => {
      seen.push(...received.map((gradient) => gradient !== undefined))
      return [received[0], undefined]
    })
    y.sum().backward()
    expect(seen).toEqual([true, false])
    expect([a.grad?.toArray(), b.grad]).toEqual([[1], undefined])
  })

  it('throws the error of a callback unchanged, and autograd continues to work', () => {
    const x = leaf([1])
    const error = new Error('mine')
    const [y] = withBackward([ones([1])], [x], () => {
      throw error
    })
    expect(() => y.sum().backward()).toThrow(error)
    x.square().sum().backward()
    expect(x.grad?.toArray()).toEqual([2])
  })

  it.each<[string, (received: (Tensor | undefined)[]) => unknown]>([
    ['too few gradients', () => []],
    ['too many gradients', ([gradient]) => [gradient, gradient]],
    ['a gradient of a wrong shape', () => [ones([5])]],
  ])('refuses %s', (_, derive) => {
    const x = leaf([1, 2])
    const before = liveTensors({ allThreads: true })
    scope(() => {
      const [y] = withBackward([ones([2])], [x], derive as never)
      expect(() => y.sum().backward()).toThrow(/^backward/)
    })
    expect(liveTensors({ allThreads: true })).toBeLessThanOrEqual(before)
  })

  it('refuses a second derivative', () => {
    const x = leaf([1])
    const [y] = withBackward([ones([1])], [x], ([gradient]) => [gradient])
    expect(() => gradients([y.sum()], [x], { createGraph: true })).toThrow(/first derivative only/)
  })
})
