// The same seed gives the same bits: 50 steps of a small transformer with dropout, twice in one process and in two processes.
import { describe, expect, it } from 'vitest'
import { getThreads, scope, setThreads } from '../../src/tensor/index.ts'
import { runChild } from './run-child.ts'
import { createSmallTransformer, flatParameters } from './small-transformer.ts'

const train = (seed: number, steps = 50) => {
  const model = createSmallTransformer(seed)
  const losses = Array.from({ length: steps }, () => scope(() => model.step()))
  return { losses, bits: new Uint32Array(scope(() => flatParameters(model)).buffer) }
}

describe('50 training steps', () => {
  it('end in equal bits twice', () => {
    const before = getThreads()
    setThreads(1)
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

  it('end in equal bits in two processes of two threads', async () => {
    const run = async () => {
      const { result, exitCode } = await runChild<{ losses: number[]; weights: string }>('./training-child.ts', [
        'scope-sync',
        '50',
        '2',
      ])
      expect(exitCode).toBe(0)
      return { losses: result?.losses, weights: result?.weights }
    }
    const [first, second] = [await run(), await run()]
    expect(first.weights).toMatch(/^[0-9a-f]{64}$/)
    expect(second).toEqual(first)
  })
})
