// The same seed gives the same bits: 50 steps of a small transformer with dropout, twice.
import { describe, expect, it } from 'vitest'
import { getThreads, scope, setThreads } from '../../src/tensor/index.ts'
import { createSmallTransformer, flatParameters } from './small-transformer.ts'

const train = (seed: number, steps = 50) => {
  const model = createSmallTransformer(seed)
  const losses = Array.from({ length: steps }, () => scope(() => model.step()))
  return { losses, bits: new Uint32Array(scope(() => flatParameters(model)).buffer) }
}

describe('50 training steps', () => {
  it.each([1, 2])('end in equal bits twice, on %i threads', (threads) => {
    const before = getThreads()
    setThreads(threads)
    try {
      const [first, second] = [train(1), train(1)]
      expect(second.losses).toEqual(first.losses)
      expect(second.bits).toEqual(first.bits)
      expect(first.losses[49]).toBeLessThan(first.losses[0])
      expect(train(2, 1).losses[0]).not.toBe(first.losses[0])
    } finally {
      setThreads(before)
    }
  })
})
