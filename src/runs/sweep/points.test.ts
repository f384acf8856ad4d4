import { describe, expect, it } from 'vitest'
import { recipeAt, sweepPoints } from './points.ts'

describe('sweepPoints', () => {
  it('makes every combination, named by what differs', () => {
    const points = sweepPoints({ learningRate: [1e-4, 5e-4], variant: ['full', 'lora'] })
    expect(points.map(({ name }) => name)).toEqual([
      'learningRate=0.0001,variant=full',
      'learningRate=0.0001,variant=lora',
      'learningRate=0.0005,variant=full',
      'learningRate=0.0005,variant=lora',
    ])
    expect(points[1].over).toEqual({ learningRate: 1e-4, variant: 'lora' })
  })

  it('keeps names apart where the last words are alike, and safe where values are not', () => {
    const [point] = sweepPoints({ 'adapter.rank': [4], 'model.rank': [8] })
    expect(point.name).toBe('adapter.rank=4,model.rank=8')
    const odd = sweepPoints({ data: ['a/b c', 'a/b/c', '../..', 'x'.repeat(200), 'x'.repeat(201)] })
    const names = odd.map(({ name }) => name)
    expect(new Set(names).size).toBe(5)
    for (const name of names) {
      expect(name).toMatch(/^[\w.,=+-]+$/)
      expect(name.length).toBeLessThanOrEqual(120)
    }
  })

  it('puts values at their places and leaves the rest', () => {
    const recipe = { batch: { sequences: 8, microTokens: 64 }, seed: 1 }
    const at = recipeAt(recipe, { name: '', over: { 'batch.sequences': 16, 'adapter.rank': 2 } })
    expect(at).toEqual({ batch: { sequences: 16, microTokens: 64 }, seed: 1, adapter: { rank: 2 } })
    expect(recipe.batch.sequences).toBe(8)
  })

  it('names what cannot vary', () => {
    expect(() => sweepPoints({})).toThrow(/A sweep needs values to vary/)
    expect(() => sweepPoints({ seed: [] })).toThrow(/over\.seed/)
    expect(() => sweepPoints({ seed: [0, 1, 0] })).toThrow(/once/)
    expect(() => sweepPoints({ out: ['a', 'b'] })).toThrow(/each run has its own folder/)
    expect(() => sweepPoints({ 'a..b': [1] })).toThrow(/key of the recipe/)
    expect(() => sweepPoints({ '__proto__.x': [1] })).toThrow(/key of the recipe/)
    const many = Array.from({ length: 200 }, (_, i) => i)
    expect(() => sweepPoints({ a: many, b: many })).toThrow(/40000/)
  })
})
