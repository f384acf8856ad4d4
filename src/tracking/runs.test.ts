import { spawn } from 'node:child_process'
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { startEnergyMeter } from './energy.ts'
import type { TrainingEvent } from './event-types.ts'
import { openEvents } from './events.ts'
import { bestOf } from './history.ts'
import { runFiles } from './run-files.ts'
import { lockRun, runOwner } from './run-requests.ts'
import { listRuns, renderRuns, summarizeRun } from './runs.ts'

const root = mkdtempSync(join(tmpdir(), 'tunesmith-runs-'))
afterAll(() => rmSync(root, { recursive: true }))

const timeOf = (second: number) => new Date(1.7e12 + second * 1000).toISOString()
const stepEvent = (step: number): TrainingEvent => ({
  type: 'step',
  time: timeOf(step),
  step,
  loss: 10 / step,
  learningRate: 1e-4,
  gradientNorm: 1,
  tokens: step * 100,
  tokensPerSecond: 1000,
  seconds: 0.5,
  dataSeconds: 0,
  memoryBytes: 1e6,
  totalSteps: 1000,
})
const evaluation = (step: number, loss: number): TrainingEvent => ({
  type: 'evaluation',
  time: timeOf(step),
  step,
  metrics: { loss, accuracy: 1 - loss },
  seconds: 1,
  best: false,
})

async function writeRun(name: string, events: TrainingEvent[]): Promise<string> {
  const folder = join(root, name)
  const log = await openEvents(folder)
  events.forEach(log.append)
  log.close()
  return folder
}

describe('listRuns', () => {
  test('tells running, finished, interrupted, failed and damaged runs apart', async () => {
    const begin: TrainingEvent[] = [
      { type: 'start', time: timeOf(0), step: 0, totalSteps: 50 },
      stepEvent(1),
      evaluation(1, 0.5),
      stepEvent(2),
      evaluation(2, 0.4),
      stepEvent(3),
      evaluation(3, Number.NaN),
      evaluation(3, 0.6),
    ]
    const end = (reason: 'finished' | 'interrupted' | 'failed', second: number): TrainingEvent => ({
      type: 'end',
      time: timeOf(second),
      step: 3,
      reason,
      ...(reason === 'failed' && { message: 'disk full' }),
    })
    await writeRun('a-finished', [...begin, end('finished', 10)])
    await writeRun('b-stopped', [...begin, end('interrupted', 20)])
    await writeRun('c-killed', begin)
    await writeRun('d-failed', [...begin, end('failed', 40)])
    const damaged = await writeRun('e-damaged', begin)
    writeFileSync(
      join(damaged, 'events.jsonl'),
      readFileSync(join(damaged, 'events.jsonl'), 'utf8').replace('"type":"step"', '"type":'),
    )
    const running = await writeRun('f-running', [...begin, end('interrupted', 50)])
    const unlock = await lockRun(running)
    appendFileSync(join(running, 'events.jsonl'), '{"torn')
    mkdirSync(join(root, 'no-run'))

    const runs = await listRuns(root)
    expect(Object.fromEntries(runs.map(({ name, status }) => [name, status]))).toEqual({
      'a-finished': 'finished',
      'b-stopped': 'interrupted',
      'c-killed': 'interrupted',
      'd-failed': 'failed',
      'e-damaged': 'damaged',
      'f-running': 'running',
    })
    expect(runs[0].name).toBe('f-running')
    expect(runs.find(({ name }) => name === 'd-failed')).toMatchObject({
      step: 3,
      totalSteps: 50,
      loss: 10 / 3,
      best: { metric: 'loss', value: 0.4, step: 2 },
      tokens: 300,
      seconds: 1.5,
      message: 'disk full',
      started: timeOf(0),
      updated: timeOf(40),
    })
    expect(runs.find(({ name }) => name === 'e-damaged')?.message).toContain('events.jsonl:2')
    await unlock()
    expect((await summarizeRun(running)).status).toBe('interrupted')
    await expect(summarizeRun(join(root, 'missing'))).rejects.toThrow(/folder of a run, got ".*missing", which has no/)
    const table = renderRuns(runs)
    for (const { name } of runs) expect(table).toContain(name)
    expect(table).toContain('loss 0.4 at 2')
    expect(table).toContain('d-failed: disk full')
    const drawn = renderRuns(runs, (head, rows) => `${head.length} by ${rows.length}`)
    expect(drawn.split('\n')[0]).toBe(`8 by ${runs.length}`)
    expect((await listRuns(running)).map(({ name }) => name)).toEqual(['f-running'])
  })

  test('compares evaluations by the metric that the run keeps its best by', async () => {
    const spread = (step: number, loss: number, accuracy: number): TrainingEvent => ({
      ...(evaluation(step, loss) as TrainingEvent & { type: 'evaluation' }),
      metrics: { loss, accuracy },
    })
    // The lowest loss is at step 1, the highest accuracy at step 2.
    const folder = await writeRun('kept/by-accuracy', [spread(1, 0.3, 0.5), spread(2, 0.4, 0.8), spread(3, 0.5, 0.7)])
    const recipes = [
      ['{"keep":{"best":"accuracy"}}', { metric: 'accuracy', value: 0.8, step: 2 }],
      ['{"keep":{"last":2}}', { metric: 'loss', value: 0.3, step: 1 }],
      ['{"torn', { metric: 'loss', value: 0.3, step: 1 }],
    ] as const
    for (const [recipe, best] of recipes) {
      writeFileSync(join(folder, runFiles.recipe), recipe)
      expect((await summarizeRun(folder)).best).toEqual(best)
    }
  })

  test('takes the last of equal evaluations, as the run and its report do', async () => {
    const events = [evaluation(1, 0.5), evaluation(2, 0.4), evaluation(3, 0.4), evaluation(4, 0.6)]
    const { best } = await summarizeRun(await writeRun('kept/equal', events))
    expect(best).toEqual({ metric: 'loss', value: 0.4, step: 3 })
    const column = { steps: [1, 2, 3, 4], values: [0.5, 0.4, 0.4, 0.6] }
    expect(bestOf({ loss: column })).toEqual(best)
  })

  test('says that a folder is missing and that one is empty', async () => {
    await expect(listRuns(join(root, 'nothing'))).rejects.toThrow('ENOENT')
    expect(renderRuns(await listRuns(join(root, 'no-run')))).toBe('No runs found.')
  })
})

describe('lockRun', () => {
  test('keeps a second one out, in this process and in others', async () => {
    const folder = join(root, 'locked')
    const unlock = await lockRun(folder)
    expect(await runOwner(folder)).toBe(process.pid)
    await expect(lockRun(folder)).rejects.toThrow(`process ${process.pid}`)
    await unlock()
    expect(await runOwner(folder)).toBeUndefined()
    await (await lockRun(folder))()
  })

  test('takes over the lock of a killed process, even when its number lives on', async () => {
    const folder = join(root, 'dead')
    mkdirSync(folder)
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'])
    const pid = child.pid!
    for (const owner of [`${pid} 1`, '', 'rubbish', `${2 ** 22 + 1} 5`]) {
      writeFileSync(join(folder, runFiles.lock), owner)
      expect(await runOwner(folder)).toBeUndefined()
      await (await lockRun(folder))()
    }
    child.kill('SIGKILL')
  })
})

describe('startEnergyMeter', () => {
  const zone = (name: string, microjoules: number, range = 1000) => {
    mkdirSync(join(root, 'rapl', name), { recursive: true })
    writeFileSync(join(root, 'rapl', name, 'energy_uj'), `${microjoules}\n`)
    writeFileSync(join(root, 'rapl', name, 'max_energy_range_uj'), `${range}\n`)
  }

  test('adds up packages, over a turn of the counter, and not their parts', () => {
    zone('intel-rapl:0', 900)
    zone('intel-rapl:1', 100, 5000)
    zone('intel-rapl:0:0', 0)
    const meter = startEnergyMeter(join(root, 'rapl'))
    zone('intel-rapl:0', 950)
    zone('intel-rapl:0:0', 500)
    expect(meter.joules()).toBeCloseTo(50e-6, 12)
    zone('intel-rapl:0', 30)
    zone('intel-rapl:1', 1100, 5000)
    expect(meter.joules()).toBeCloseTo((50 + 80 + 1000) * 1e-6, 12)
    meter.stop()
  })

  test('gives no energy where no counter can be read', () => {
    expect(startEnergyMeter(join(root, 'no-rapl')).joules()).toBeUndefined()
  })
})
