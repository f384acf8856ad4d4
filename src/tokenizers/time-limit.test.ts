// Time limits of code from untrusted files: what ends, what does not, and a process that was stopped in the middle.
import { expect, it } from 'vitest'
import { isTimeout, runPureWithTimeLimit, runWithTimeLimit } from './time-limit.ts'

const forever = () => {
  for (;;);
}
const thrownBy = (work: () => unknown): unknown => {
  try {
    work()
  } catch (error) {
    return error
  }
  return undefined
}

it('ends what takes too long, and returns what does not', () => {
  expect(runWithTimeLimit(() => 3, 1000)).toBe(3)
  expect(isTimeout(thrownBy(() => runWithTimeLimit(forever, 50)))).toBe(true)
})

it('runs work again that did not get the processor, but not for ever', () => {
  const nobody = new Int32Array(new SharedArrayBuffer(4))
  let calls = 0
  const waitingFor = (times: number) => () => {
    if (++calls <= times) Atomics.wait(nobody, 0, 0, 100)
    return 'done'
  }
  expect(runPureWithTimeLimit(waitingFor(3), 50)).toBe('done')
  expect(calls).toBe(4)
  calls = 0
  expect(isTimeout(thrownBy(() => runPureWithTimeLimit(waitingFor(100), 50)))).toBe(true)
  expect(calls).toBe(10)
})

it('runs work without side effects once more, as its time may have passed while the process was stopped', () => {
  let calls = 0
  const stoppedOnce = () => {
    calls++
    return calls === 1 ? forever() : 'done'
  }
  expect(runPureWithTimeLimit(stoppedOnce, 50)).toBe('done')
  calls = 0
  const endless = () => {
    calls++
    return forever()
  }
  expect(isTimeout(thrownBy(() => runPureWithTimeLimit(endless, 50)))).toBe(true)
  expect(calls).toBeGreaterThanOrEqual(2)
  expect(calls).toBeLessThanOrEqual(10)
  const broken = () => {
    calls++
    throw new RangeError('wrong')
  }
  calls = 0
  expect(() => runPureWithTimeLimit(broken, 50)).toThrow('wrong')
  expect(calls).toBe(1)
})
