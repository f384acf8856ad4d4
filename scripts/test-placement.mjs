// In the project `strict` of vitest, a file that computes nothing on the strict device fails, as it would say nothing about placement.
import { afterAll, expect } from 'vitest'

if (process.env.TUNESMITH_STRICT_OPERATORS === 'expected') {
  const { strictDeviceCounts } = await import('../src/tensor/index.ts')
  afterAll(() => {
    if (strictDeviceCounts().operators > 0) return
    throw new Error(`${expect.getState().testPath} computed nothing on the strict device: place its models there.`)
  })
}
