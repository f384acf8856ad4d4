// Matrices may lie by rows or by columns, as files hold them: layers give the same bits, and training gets rows. Models can be built as
// shapes without memory.
import { describe, expect, it } from 'vitest'
import { Generator, memoryStatistics, randn, type Tensor } from '../tensor/index.ts'
import { buildShapes, LayerNorm, Linear, Module, materialize } from './index.ts'

// MKL, which computes float32 on Intel's processors, adds the values of one row in another order for each layout.
process.env.TUNESMITH_GEMM = 'own'

class Pair extends Module {
  first = new Linear(48, 40)
  norm = new LayerNorm(40)
}

const generator = new Generator(3)

describe('a matrix whose columns lie together', () => {
  it.each(['float32', 'bfloat16'] as const)('gives the bits of one that lies in rows, %s', (dtype) => {
    const layer = new Linear(100, 77)
    layer.initialize({ std: 0.1, generator })
    layer.to({ dtype })
    const rows = layer.weight
    const wide = randn([100, 90], { generator }).to(dtype)
    wide.narrow(1, 5, 77).copy_(rows.t())
    for (const count of [1, 2, 7, 16, 17, 40]) {
      const input = randn([count, 100], { generator }).to(dtype)
      layer.weight = rows
      const want = layer.forward(input)
      for (const columns of [rows.t().contiguous().t(), wide.narrow(1, 5, 77).t()]) {
        expect(columns.isContiguous).toBe(false)
        layer.weight = columns
        expect(layer.forward(input).equal(want), `${count} rows`).toBe(true)
      }
    }
  })

  it('is copied into rows when it is to be trained, ties and gradients kept', () => {
    const pair = new Pair()
    pair.initialize({ std: 0.1, generator })
    const values = pair.first.weight.clone()
    pair.first.weight = values.t().contiguous().t().keep()
    const tied = new Linear(48, 40, { tied: pair.first.weight })
    const both = Object.assign(new (class extends Module {})(), { pair, tied }) as Module & { pair: Pair; tied: Linear }
    both.requireGrad(true)
    expect(pair.first.weight.isContiguous).toBe(true)
    expect(pair.first.weight.requiresGrad).toBe(true)
    expect(pair.first.weight.equal(values)).toBe(true)
    expect(tied.weight).toBe(pair.first.weight)
  })
})

describe('shapes without memory', () => {
  it('take none, say what they are, and get memory when asked', () => {
    const before = memoryStatistics().inUse
    const built = buildShapes(() => new Linear(4000, 3000))
    expect(memoryStatistics().inUse - before).toBeLessThan(10_000)
    expect(built.weight.shape).toEqual([3000, 4000])
    expect(built.weight.device).toBe('meta')
    built.replaceParameters((_: string, parameter: Tensor) => materialize(parameter))
    built.initialize({ std: 0.1, generator })
    expect(built.weight.device).toBe('cpu')
    expect(memoryStatistics().inUse - before).toBeGreaterThanOrEqual(4000 * 3000 * 4)
  })

  it('end with the building, also where that fails', () => {
    expect(() => buildShapes(() => new Linear(1, -1))).toThrow()
    expect(new Linear(2, 2).weight.device).toBe('cpu')
  })
})
