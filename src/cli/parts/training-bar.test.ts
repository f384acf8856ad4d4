import { expect, it } from 'vitest'
import { type BarStep, TrainingBar } from './training-bar.ts'

/** Lines of a run whose steps take `seconds`. */
const linesOf = (seconds: readonly number[], totalSteps: number): string[] => {
  const lines: string[] = []
  const stream = { isTTY: false, write: (text: string) => lines.push(text) } as unknown as NodeJS.WriteStream
  const bar = new TrainingBar({ label: 'run', stream, intervalMs: 0 })
  seconds.forEach((own, i) => {
    const step: BarStep = { step: i + 1, totalSteps, loss: 1, tokensPerSecond: 1000 / own, seconds: own }
    bar.update(step)
  })
  return lines
}

it('says the time that is left from recent steps, without a pause among them', () => {
  const steady = Array.from({ length: 40 }, () => 0.5)
  expect(linesOf(steady, 160).at(-1)).toMatch(/step 40\/160 · .* · 2k tokens\/s · 1 min 00 s left/)
  // Stopped for two hours in the middle, and at once.
  for (const at of [20, 39, 1, 0]) {
    const paused = steady.toSpliced(at, 1, 7200)
    expect(linesOf(paused, 160).at(-1)).toMatch(/ · 2k tokens\/s · 1 min 00 s left/)
  }
  const twice = linesOf([0.5, 7200, 0.5, 7200, 0.5], 125).at(-1)
  expect(twice).toMatch(/ 1 min 00 s left/)
})

it('follows a run that gets slower', () => {
  const slower = [...Array.from({ length: 200 }, () => 0.1), ...Array.from({ length: 60 }, () => 1)]
  expect(linesOf(slower, 320).at(-1)).toMatch(/ 1 min 00 s left/)
  // Twenty times slower, it is believed after some steps, and the fast ones no longer count once they are past.
  const stuck = [...Array.from({ length: 200 }, () => 0.1), ...Array.from({ length: 60 }, () => 2)]
  expect(linesOf(stuck.slice(0, 208), 238).at(-1)).not.toMatch(/ 3\.0 s left/)
  expect(linesOf(stuck, 290).at(-1)).toMatch(/ 1 min 00 s left/)
})

it('fits the line into the columns of the terminal, and keeps step, loss and time left', () => {
  for (const columns of [72, 80, 120]) {
    let line = ''
    const stream = { isTTY: true, columns, write: (text: string) => (line = text) } as unknown as NodeJS.WriteStream
    const bar = new TrainingBar({ label: 'pretraining', stream, ceiling: 1e6 })
    bar.update({ step: 400, totalSteps: 12_000, loss: 6.5, tokensPerSecond: 123_456, seconds: 0.01 })
    const shown = line.replace(/^\r/, '').replace('\u001b[K', '')
    expect(shown.length).toBeLessThan(columns)
    expect(shown).toMatch(/step 400\/12000 · loss 6\.500/)
    expect(shown).toMatch(/left$/)
    expect(shown.includes('% of matmul')).toBe(columns === 120)
  }
})
