import { afterEach, expect, it, vi } from 'vitest'
import { createProgress } from './progress.ts'

const stream = (isTTY: boolean) => {
  const lines: string[] = []
  const write = (text: string) => {
    lines.push(text)
    return true
  }
  return {
    lines,
    stream: { isTTY, write, columns: 120, on() {}, removeListener() {} } as unknown as NodeJS.WriteStream,
  }
}

it('prints plain lines without a terminal, the last state included and once', () => {
  const { lines, stream: to } = stream(false)
  const progress = createProgress({ label: 'read', total: 2000, unit: 'documents', stream: to, intervalMs: 0 })
  progress.update(500)
  progress.update(2000, { loss: 1.5 })
  progress.stop()
  progress.stop()
  progress.update(3000)
  expect(lines).toHaveLength(2)
  expect(lines[0]).toMatch(/^read: 500\/2k documents · .*\/s · .* left\n$/)
  expect(lines[1]).toMatch(/^read: 2k\/2k documents · .*loss 1.5\n$/)
})

afterEach(() => vi.restoreAllMocks())

it.each([
  ['leaves a pause out of the rate and of the time that is left', 20, /500\/1k · 10\/s · 49\.9 s left/],
  ['counts work that kept the event loop waiting', 3_000_000, /500\/1k · 0\.14\/s · 1 h 0\d min left/],
])('%s', (_, cpuMs, expected) => {
  let [clock, cpu] = [0, 0]
  vi.spyOn(performance, 'now').mockImplementation(() => clock)
  vi.spyOn(process, 'cpuUsage').mockImplementation(((before?: NodeJS.CpuUsage) => ({
    user: 1000 * cpu - (before?.user ?? 0),
    system: 0,
  })) as typeof process.cpuUsage)
  const { lines, stream: to } = stream(false)
  const progress = createProgress({ label: 'read', total: 1000, unit: 'documents', stream: to, intervalMs: 0 })
  for (let i = 1; i <= 50; i++) {
    clock += 1000
    cpu += 900
    if (i === 25) {
      // An hour in which the timer did not come.
      clock += 3_600_000
      cpu += cpuMs
    }
    progress.update(10 * i)
  }
  progress.stop()
  const line = lines.at(-1)?.replace(' documents', '')
  expect(line).toMatch(expected)
})

it('is silent between the intervals', () => {
  const { lines, stream: to } = stream(false)
  const progress = createProgress({ label: 'read', unit: 'bytes', stream: to })
  for (let i = 0; i < 1000; i++) progress.update(i)
  expect(lines).toHaveLength(0)
  progress.stop()
  expect(lines).toHaveLength(1)
})

it('shows nothing when it is off', () => {
  const { lines, stream: to } = stream(false)
  const progress = createProgress({ label: 'read', unit: 'bytes', stream: to, enabled: false, intervalMs: 0 })
  progress.update(5)
  progress.stop()
  expect(lines).toHaveLength(0)
})
