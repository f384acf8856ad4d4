// On the strict device, a file that computes nothing there says nothing about placement: it is named, and fails in the project `strict` of
// vitest, whose files were chosen for what they compute.
import { afterAll, expect } from 'vitest'

if (process.env.TUNESMITH_TEST_DEVICE === 'strict') {
  const { strictDeviceCounts } = await import('../src/tensor/index.ts')
  afterAll(() => {
    if (strictDeviceCounts().operators > 0) return
    const message = `${expect.getState().testPath} computed nothing on the strict device.`
    if (process.env.TUNESMITH_STRICT_OPERATORS === 'expected') throw new Error(`${message} Place its models there.`)
    process.stdout.write(`${message}\n`)
  })
}
