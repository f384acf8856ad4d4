import { expect, it } from 'vitest'
import { createProgress } from './progress.ts'

function stream(isTTY: boolean) {
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
