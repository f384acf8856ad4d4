// A run that is killed and resumed leaves the records of an undisturbed one: the same events save for times, and the same curves
// where TensorBoard's rule for restarts is followed.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { readEvents, summarizeRun, type TrainingEvent, trackRun, writeReports } from '../../src/tracking/index.ts'

const root = mkdtempSync(join(tmpdir(), 'tunesmith-resume-'))
afterAll(() => rmSync(root, { recursive: true }))

/** Steps after `from`, with an evaluation and a checkpoint every four. */
function* train(from: number, to: number): Generator<TrainingEvent> {
  const time = new Date().toISOString()
  if (from === 0) yield { type: 'start', time, step: 0, totalSteps: 12 }
  for (let step = from + 1; step <= to; step++) {
    yield {
      type: 'step',
      time,
      step,
      loss: 1 / step,
      learningRate: 0.1,
      gradientNorm: 1,
      tokens: step,
      tokensPerSecond: 1,
      seconds: 1,
      dataSeconds: 0,
      memoryBytes: 1,
      totalSteps: 1000,
    }
    if (step % 4 === 0) {
      yield { type: 'evaluation', time, step, metrics: { loss: 2 / step }, seconds: 1, best: false }
      yield { type: 'checkpoint', time, step, path: '', seconds: 1 }
    }
  }
  if (to === 12) yield { type: 'end', time, step: 12, reason: 'finished' }
}

const eventsOf = async (folder: string) => {
  const events: object[] = []
  for await (const { time: _, ...event } of readEvents(join(folder, 'events.jsonl'))) events.push(event)
  return events
}

test.each([
  ['in the middle of a step', 7, 4],
  ['right after a checkpoint', 8, 8],
  ['twice', 6, 4],
])('killed %s', async (name, killedAt, resumeAt) => {
  const whole = join(root, 'undisturbed')
  const undisturbed = await trackRun(whole)
  for (const event of train(0, 12)) undisturbed.append(event)
  undisturbed.close()

  const folder = join(root, name)
  const first = await trackRun(folder)
  for (const event of train(0, killedAt)) first.append(event)
  first.flush()
  const sessions = name === 'twice' ? [11, 12] : [12]
  let from = resumeAt
  for (const to of sessions) {
    const next = await trackRun(folder, { resumeAt: from })
    expect(next.cut?.checkpointFound).toBe(true)
    for (const event of train(from, to)) next.append(event)
    next.close()
    from = 8
  }
  expect(await eventsOf(folder)).toEqual(await eventsOf(whole))
  expect(await summarizeRun(folder)).toMatchObject({ status: 'finished', step: 12, seconds: 12, best: { step: 12 } })
  expect(readdirSync(join(folder, 'tensorboard'))).toHaveLength(sessions.length + 1)
  await writeReports(folder)
  expect(readFileSync(join(folder, 'report.txt'), 'utf8')).toContain('finished · 12 of 12 steps')
  rmSync(whole, { recursive: true })
})

test('without TensorBoard there is none', async () => {
  const folder = join(root, 'plain')
  const tracker = await trackRun(folder, { tensorBoard: false })
  for (const event of train(0, 2)) tracker.append(event)
  tracker.close()
  expect(readdirSync(folder)).toEqual(['events.jsonl'])
})
