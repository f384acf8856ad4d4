// What is compared with the CPU before a GPU is used, on the strict device with and without float64, and what is said where results differ.
import { afterEach, expect, it } from 'vitest'
import { checkGpu, compareWithCpu, type DeviceCase, deviceCases } from './device-check.ts'
import { enableStrictDevice, limitStrictDevice, strictDeviceCounts } from './index.ts'

enableStrictDevice()
afterEach(() => limitStrictDevice())

it('finds the results of the CPU on another device', () => {
  const before = strictDeviceCounts()?.operators as number
  compareWithCpu('strict')
  expect(strictDeviceCounts()?.operators).toBeGreaterThan(before + 100)
})

it('finds them on a device without float64', () => {
  limitStrictDevice({ float64: false })
  compareWithCpu('strict')
})

it.each(deviceCases.map((one) => [one.name, one] as const))('names %s where they differ', (name, one) => {
  for (const [change, said] of [
    [1.02, 'a relative difference of .+'],
    [Number.NaN, 'values that are no numbers'],
  ] as const) {
    let calls = 0
    const wrong: DeviceCase = {
      ...one,
      compute(inputs) {
        const results = one.compute(inputs)
        // The CPU computes first.
        return calls++ === 0 ? results : results.map((result) => result.mul(change))
      },
    }
    expect(() => compareWithCpu('strict', [wrong])).toThrow(
      new RegExp(
        `^Expected the results of the CPU on strict, got ${said} for ${name}\\. Its driver or libtorch computes wrongly`,
      ),
    )
  }
})

it('computes nothing for devices that are no GPU', () => {
  const before = strictDeviceCounts()?.operators
  checkGpu('cpu')
  checkGpu('strict')
  expect(strictDeviceCounts()?.operators).toBe(before)
})
