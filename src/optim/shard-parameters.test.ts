// How whole parameters are divided among processes, and what is refused.
import { describe, expect, it } from 'vitest'
import { zeros } from '../tensor/index.ts'
import { createShardedOptimizer, optimizerSchema } from './index.ts'
import { ownersOf } from './shard-parameters.ts'

const tensors = (sizes: Record<string, number[]>) =>
  new Map(Object.entries(sizes).map(([path, shape]) => [path, zeros(shape)]))
const muon = optimizerSchema.parse({ type: 'muon' })
const place = (index: number, count: number) => ({ index, count, bucketBytes: 1000 })

describe('parameters of several processes', () => {
  it('each have one owner, whose elements are about as many as those of the others', () => {
    const all = tensors({ table: [90, 8], a: [8, 8], b: [40, 8], c: [30, 8], d: [20, 8], bias: [8] })
    const owners = ownersOf(all, 3)
    expect([...owners.keys()].sort()).toEqual([...all.keys()].sort())
    const sums = [0, 0, 0]
    for (const [path, owner] of owners) sums[owner] += all.get(path)?.size ?? 0
    // The table alone is more than a third.
    expect(sums).toEqual([720, 392, 400])
  })

  it('have the state of their own parameters only', () => {
    const all = tensors({ 'layers.0.a.weight': [16, 8], 'layers.0.b.weight': [8, 16], 'embedTokens.weight': [32, 8] })
    const keys = [0, 1].map((index) => [
      ...createShardedOptimizer(muon, all, {}, place(index, 2)).state().tensors.keys(),
    ])
    expect(keys).toEqual([
      ['embedTokens.weight/first_moment', 'embedTokens.weight/second_moment'],
      ['layers.0.a.weight/momentum', 'layers.0.b.weight/momentum'],
    ])
  })

  it('must be as many as the processes', () => {
    expect(() => createShardedOptimizer(muon, tensors({ 'layers.0.a.weight': [16, 8] }), {}, place(0, 2))).toThrow(
      'Expected at least 2 trained tensors for `shard` with muon in 2 processes, got 1. Choose adamw, or set `shard` to none.',
    )
  })
})
