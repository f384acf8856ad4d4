// What a scope frees and what it lets live. Counts are held with "at most": the collector may take what earlier tests dropped.
import { describe, expect, it } from 'vitest'
import {
  freeTensors,
  keep,
  keepUntilFreed,
  liveTensors,
  memoryStatistics,
  ones,
  scope,
  type Tensor,
  zeros,
} from './index.ts'

const alive = (tensor: Tensor) => tensor.handle !== 0

describe('scope', () => {
  it('frees tensors created inside, intermediate ones included', () => {
    const before = liveTensors()
    const value = scope(() => ones([3]).add(1).mul(2).sum().item())
    expect(value).toBe(12)
    expect(liveTensors()).toBeLessThanOrEqual(before)
  })

  it('keeps returned tensors, in arrays, plain objects and maps', () => {
    const made: Tensor[] = []
    const result = scope(() => {
      const tensors = [ones([1]), ones([2]), ones([3]), ones([4]), ones([5])]
      made.push(...tensors)
      return { a: tensors[0], nested: [{ b: tensors[1] }], map: new Map([['c', tensors[2]]]), text: 'x', nothing: null }
    })
    expect(made.map(alive)).toEqual([true, true, true, false, false])
    expect(result.nested[0].b.shape).toEqual([2])
    freeTensors(made)
  })

  it('moves tensors that an inner scope returns to the outer scope', () => {
    let inner: Tensor | undefined
    scope(() => {
      inner = scope(() => ones([2]).add(1))
      expect(alive(inner)).toBe(true)
    })
    expect(alive(inner as Tensor)).toBe(false)
  })

  it('does not free tensors created outside, even when it returns them', () => {
    const outside = ones([2])
    expect(scope(() => outside)).toBe(outside)
    scope(() => outside.add(1))
    expect(outside.toArray()).toEqual([1, 1])
    outside.free()
  })

  it('frees everything when the body throws, and rethrows the error', () => {
    const before = liveTensors()
    const error = new Error('mine')
    expect(() =>
      scope(() => {
        ones([2])
        scope(() => {
          ones([3])
          throw error
        })
      }),
    ).toThrow(error)
    expect(liveTensors()).toBeLessThanOrEqual(before)
    const after = scope(() => ones([1]))
    expect(alive(after)).toBe(true)
    after.free()
  })

  it('frees when an operator throws inside', () => {
    const before = liveTensors()
    expect(() => scope(() => ones([2, 3]).matmul(ones([2, 3])))).toThrow(/matmul/)
    expect(liveTensors()).toBeLessThanOrEqual(before)
  })

  it('refuses a promise, and frees the tensors created so far', async () => {
    const before = liveTensors()
    expect(() => scope(async () => ones([2]))).toThrow(/Expected a synchronous function for `scope`, got a promise/)
    await Promise.resolve()
    expect(liveTensors()).toBeLessThanOrEqual(before)
  })

  it('frees a tensor of the scope that was freed by hand only once', () => {
    const before = liveTensors()
    scope(() => {
      const tensor = ones([2])
      tensor.free()
      tensor.free()
    })
    expect(liveTensors()).toBeLessThanOrEqual(before)
  })

  it('frees twenty thousand tensors at its end', () => {
    const before = liveTensors()
    scope(() => {
      for (let i = 0; i < 20_000; i++) zeros([1])
      expect(liveTensors()).toBeGreaterThan(before + 19_000)
    })
    expect(liveTensors()).toBeLessThanOrEqual(before)
  })
})

describe('keep', () => {
  it('takes tensors out of every open scope', () => {
    let kept: Tensor[] = []
    scope(() => {
      scope(() => {
        kept = keep([ones([1]), ones([2])])
        ones([3]).keep().free()
      })
    })
    expect(kept.map(alive)).toEqual([true, true])
    freeTensors(kept)
    expect(kept.map(alive)).toEqual([false, false])
  })

  it('holds where a scope around it throws', () => {
    let kept: Tensor | undefined
    const failing = () =>
      scope(() => {
        kept = scope(() => ones([2])).keep()
        throw new Error('mine')
      })
    expect(failing).toThrow('mine')
    expect((kept as Tensor).toArray()).toEqual([1, 1])
    kept?.free()
  })
})

describe('a freed tensor', () => {
  const freed = ones([2])
  freed.free()
  it.each<[string, () => unknown]>([
    ['a method', () => freed.add(1)],
    ['an argument', () => ones([2]).add(freed)],
    ['shape', () => zeros([1]).mul(freed).shape],
    ['item', () => freed.item()],
    ['grad', () => freed.grad],
    ['toArray', () => freed.toArray()],
    ['share', () => freed.share()],
    ['backward', () => freed.backward()],
    ['keep', () => freed.keep()],
  ])('is an error as %s', (_, use) => {
    expect(use).toThrow(/freed/)
  })
  it('prints as freed', () => {
    expect(String(freed)).toBe('Tensor(freed)')
  })
  it('is detected although another tensor has its slot', () => {
    const old = ones([2])
    const handle = old.handle
    old.free()
    const next = ones([2])
    old.handle = handle
    expect(() => old.add(1)).toThrow(/freed/)
    old.handle = 0
    next.free()
  })
})

describe('memory', () => {
  it('is released when tensors are freed', () => {
    const before = memoryStatistics().inUse
    const big = zeros([1 << 20])
    expect(memoryStatistics().inUse - before).toBeGreaterThanOrEqual(4 << 20)
    big.free()
    expect(memoryStatistics().inUse).toBeLessThanOrEqual(before)
  })

  it('of keepUntilFreed stays in use beyond every scope until freeTensors', () => {
    const before = memoryStatistics().inUse
    const big = scope(() => {
      const inner = zeros([1 << 20])
      keepUntilFreed([inner])
      return { inner }
    }).inner
    expect(alive(big)).toBe(true)
    expect(scope(() => big.sum().item())).toBe(0)
    freeTensors([big])
    expect(memoryStatistics().inUse).toBeLessThanOrEqual(before)
    expect(() => big.sum()).toThrow(/freed/)
  })

  it('is freed by `using` blocks', () => {
    const before = liveTensors()
    const tensor = ones([2])
    tensor[Symbol.dispose]()
    expect(liveTensors()).toBeLessThanOrEqual(before)
  })
})
