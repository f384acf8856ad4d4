import { expect, it, vi } from 'vitest'
import { StoryProgress } from './story-progress.ts'

const parts = [
  { title: 'corpus', seconds: 30 },
  { title: 'base', seconds: 150 },
  { title: 'specialists', seconds: 120 },
]

it('announces the total, and the time left by the speed of this machine', () => {
  vi.useFakeTimers({ toFake: ['performance'] })
  try {
    const lines: string[] = []
    const progress = new StoryProgress(parts, (line) => lines.push(line))
    progress.announce()
    expect(lines[0]).toContain('about 5 min on two quiet cores')
    progress.next()
    expect(lines.at(-1)).toBe('[1/3] corpus (about 5 min left)')
    // Three times slower than estimated.
    vi.advanceTimersByTime(90_000)
    progress.finish()
    progress.next()
    expect(lines.at(-1)).toBe('[2/3] base (about 12 min left)')
  } finally {
    vi.useRealTimers()
  }
})

it('does not take work of an earlier session for speed', () => {
  const lines: string[] = []
  const progress = new StoryProgress(parts, (line) => lines.push(line))
  progress.next()
  progress.done(30, { skipped: true })
  progress.next()
  progress.done(50, { skipped: true })
  progress.finish({ skipped: true })
  progress.next()
  expect(lines.at(-1)).toBe('[3/3] specialists (about 2 min left)')
  progress.done(120)
  expect(progress.left()).toBe('a few seconds left')
})
