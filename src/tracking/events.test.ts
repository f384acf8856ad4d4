import { spawn } from 'node:child_process'
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test, vi } from 'vitest'
import { DataError } from '../core/index.ts'
import { EventTail } from './event-tail.ts'
import type { StepEvent, TrainingEvent } from './event-types.ts'
import { openEvents, outlineEvents, readEvents } from './events.ts'

/** Bytes that the disk still takes. */
const disk = vi.hoisted(() => ({ free: Number.POSITIVE_INFINITY }))
vi.mock('node:fs', async (importOriginal) => {
  const fs = await importOriginal<typeof import('node:fs')>()
  const writeSync = (file: number, bytes: Uint8Array, from: number): number => {
    if (disk.free === 0) throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
    const written = fs.writeSync(file, bytes, from, Math.min(disk.free, bytes.length - from))
    disk.free -= written
    return written
  }
  return { ...fs, writeSync }
})

const root = mkdtempSync(join(tmpdir(), 'tunesmith-events-'))
afterAll(() => rmSync(root, { recursive: true }))
let folders = 0
const newFolder = () => join(root, String(folders++))

const time = () => new Date().toISOString()
const stepEvent = (step: number, more: Partial<StepEvent> = {}): StepEvent => ({
  type: 'step',
  time: time(),
  step,
  loss: 10 / step,
  learningRate: 1e-4,
  gradientNorm: 1,
  tokens: step * 100,
  tokensPerSecond: 1000,
  seconds: 0.1,
  dataSeconds: 0,
  memoryBytes: 1e6,
  totalSteps: 1000,
  ...more,
})
const checkpoint = (step: number): TrainingEvent => ({
  type: 'checkpoint',
  time: time(),
  step,
  path: `checkpoints/${step}`,
  seconds: 1,
})

const collect = async (path: string) => {
  const events: TrainingEvent[] = []
  for await (const event of readEvents(path)) events.push(event)
  return events
}
const withoutTimes = (events: TrainingEvent[]) => events.map(({ time: _, ...rest }) => rest)

describe('events.jsonl', () => {
  test('gives back what was appended, over several openings', async () => {
    const folder = newFolder()
    const events: TrainingEvent[] = [
      { type: 'start', time: time(), step: 0, name: 'Bär\n"', totalSteps: 2 },
      stepEvent(1, { terms: { masked: 1, relation: 2 } }),
      { type: 'evaluation', time: time(), step: 1, metrics: { loss: 3 }, seconds: 1, best: false },
      { type: 'sample', time: time(), step: 1, prompt: 'a', text: 'b\u2028c' },
      { type: 'incident', time: time(), step: 1, kind: 'spike', message: 'm' },
      { type: 'note', time: time(), step: 1, message: 'n' },
      checkpoint(1),
      { type: 'end', time: time(), step: 1, reason: 'finished' },
    ]
    for (const part of [events.slice(0, 3), events.slice(3)]) {
      const log = await openEvents(folder)
      part.forEach(log.append)
      log.close()
      log.close()
    }
    expect(await collect(join(folder, 'events.jsonl'))).toEqual(events)
  })

  test('reads numbers that are not finite as NaN', async () => {
    const log = await openEvents(newFolder())
    log.append(
      stepEvent(1, { loss: Number.NaN, gradientNorm: Number.POSITIVE_INFINITY, terms: { a: Number.NaN, b: 1 } }),
    )
    log.append({ type: 'evaluation', time: time(), step: 1, metrics: { loss: Number.NaN }, seconds: 1, best: false })
    log.close()
    const [step, evaluation] = await collect(log.path)
    expect(step).toMatchObject({ loss: Number.NaN, gradientNorm: Number.NaN, terms: { a: Number.NaN, b: 1 } })
    expect(evaluation).toMatchObject({ metrics: { loss: Number.NaN } })
  })

  test('holds steps back for a moment, other events not', async () => {
    const log = await openEvents(newFolder())
    log.append(stepEvent(1))
    expect(readFileSync(log.path, 'utf8')).toBe('')
    log.append({ type: 'incident', time: time(), step: 1, kind: 'spike', message: 'm' })
    expect(await collect(log.path)).toHaveLength(2)
    log.close()
    expect(() => log.append(stepEvent(2))).toThrow('was closed')
  })

  test('passes over a torn last line, and cuts it off when opened', async () => {
    const folder = newFolder()
    const log = await openEvents(folder)
    log.append(stepEvent(1))
    log.close()
    for (const torn of ['{"type":"st', '\0\0\0\0', '{"type":"note"}']) {
      appendFileSync(log.path, torn)
      expect(await collect(log.path)).toHaveLength(1)
      const again = await openEvents(folder)
      again.close()
      expect(readFileSync(log.path, 'utf8').split('\n')).toHaveLength(2)
    }
  })

  test('cuts off what a full disk took of a write before the next one', async () => {
    const log = await openEvents(newFolder())
    const note = (message: string): TrainingEvent => ({ type: 'note', time: time(), step: 1, message })
    log.append(note('first'))
    const lineBytes = readFileSync(log.path).length
    log.append(stepEvent(1))
    const stepBytes = JSON.stringify(stepEvent(1)).length + 1
    try {
      // The step and half of the note behind it.
      disk.free = stepBytes + (lineBytes >> 1)
      expect(() => log.append(note('later'))).toThrow('ENOSPC')
    } finally {
      disk.free = Number.POSITIVE_INFINITY
    }
    expect(readFileSync(log.path, 'utf8')).not.toMatch(/\n$/)
    log.append({ type: 'end', time: time(), step: 1, reason: 'failed', message: 'Disk full' })
    log.close()
    expect(await collect(log.path)).toMatchObject([{ type: 'note' }, { type: 'step' }, { type: 'end' }])
  })

  test.each([
    ['no JSON', '{"type":', 'Expected JSON'],
    ['a hole', '\0\0\0', 'Expected JSON'],
    ['another type', '{"type":"stop","time":"2026-01-01T00:00:00Z","step":1}', 'for `type`'],
    ['a bad time', '{"type":"note","time":"soon","step":1,"message":""}', 'a date for `time`'],
    ['a bad step', '{"type":"note","time":"2026-01-01T00:00:00Z","step":-1,"message":""}', 'for `step`'],
    ['a missing number', '{"type":"step","time":"2026-01-01T00:00:00Z","step":1}', 'a number for `loss`'],
    ['a bad metric', '{"type":"evaluation","time":"2026-01-01T00:00:00Z","step":1,"metrics":{"a":"b"}}', '`metrics`'],
    [
      'a bad norm',
      JSON.stringify(stepEvent(1)).replace('"gradientNorm":1', '"gradientNorm":1,"gradientNorms":{"a":"b"}'),
      '`gradientNorms`',
    ],
    ['a list', '[]', 'an object'],
  ])('names the line of %s', async (_, line, message) => {
    const folder = newFolder()
    const log = await openEvents(folder)
    log.append(stepEvent(1))
    log.close()
    const good = readFileSync(log.path, 'utf8')
    writeFileSync(log.path, `${good}${line}\n${good}`)
    const error = await collect(log.path).catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(DataError)
    expect(error).toMatchObject({ line: 2, file: log.path, message: expect.stringContaining(message) })
  })

  test('reads lines longer than its buffer and refuses endless ones', async () => {
    const log = await openEvents(newFolder())
    const text = 'ä'.repeat(200_000)
    log.append({ type: 'sample', time: time(), step: 1, text })
    log.append(stepEvent(1))
    log.close()
    expect(await collect(log.path)).toMatchObject([{ text }, { step: 1 }])
    writeFileSync(log.path, Buffer.alloc(17 * 2 ** 20, 'x'))
    await expect(collect(log.path)).rejects.toThrow('a longer one')
  })

  test('says so when there is no file', async () => {
    await expect(collect(join(root, 'nothing'))).rejects.toThrow(DataError)
  })
})

describe('steps that are not parsed', () => {
  const outline = async (path: string) => {
    const events: object[] = []
    let fault: unknown
    await outlineEvents(path, (event) => events.push(cut(event))).catch((error: unknown) => (fault = error))
    return { events, fault }
  }
  /** The same by parsing every line. */
  const parsed = async (path: string) => {
    const events: TrainingEvent[] = []
    let fault: unknown
    try {
      for await (const event of readEvents(path)) events.push(event)
    } catch (error) {
      fault = error
    }
    return { events, fault }
  }
  /** Whole events of the lines before the first that is damaged. */
  const followed = async (path: string) => {
    const events: TrainingEvent[] = []
    let isDamaged = false
    const tail = new EventTail(path, {
      onEvent: (event) => {
        if (!isDamaged) events.push(event)
      },
      onDamage: () => {
        isDamaged = true
      },
      onRestart: () => undefined,
    })
    await tail.read()
    return { events, isDamaged }
  }
  const cut = (event: TrainingEvent | Pick<StepEvent, 'type' | 'time' | 'step' | 'loss' | 'tokens' | 'seconds'>) => {
    if (event.type !== 'step') return event
    const { type, time, step, loss, tokens, seconds } = event
    return { type, time, step, loss, tokens, seconds }
  }
  const lineOf = (step: number, more: object = {}) => JSON.stringify({ ...stepEvent(step), ...more })
  const write = (lines: readonly string[]) => {
    const path = join(root, `${folders++}.jsonl`)
    writeFileSync(path, lines.map((line) => `${line}\n`).join(''))
    return path
  }

  test('parses few lines of steps', async () => {
    const path = write([
      JSON.stringify({ type: 'start', time: time(), step: 0 }),
      ...Array.from({ length: 500 }, (_, i) => lineOf(i + 1, { loss: 1e-7 * i, totalSteps: 1000 })),
      ...Array.from({ length: 500 }, (_, i) =>
        lineOf(i + 501, {
          terms: { 'masked-lm': -i / 3, 'a"[b': 2e21 + i },
          ...(i % 5 === 0 ? { gradientNorms: { 'body.layers.0': i } } : {}),
        }),
      ),
    ])
    const expected = await parsed(path)
    expect(expected.events).toHaveLength(1001)
    const parse = vi.spyOn(JSON, 'parse')
    try {
      expect(await outline(path)).toEqual({ ...expected, events: expected.events.map(cut) })
      expect(await followed(path)).toEqual({ events: expected.events, isDamaged: false })
      expect(parse.mock.calls.length).toBeLessThan(10)
    } finally {
      parse.mockRestore()
    }
  })

  test.each([
    ['nothing unusual', lineOf(3)],
    ['a number that is not finite', lineOf(3, { loss: Number.NaN, gradientNorm: Number.POSITIVE_INFINITY })],
    ['another order', JSON.stringify(Object.fromEntries(Object.entries(stepEvent(3)).reverse()))],
    ['further numbers', lineOf(3, { extra: 5, metrics: { margin: 1 }, gradientNorms: {} })],
    ['a name that an object has', lineOf(3).replace('}', ',"terms":{"__proto__":4,"constructor":5}}')],
    ['a further field', lineOf(3, { note: 'x', list: [1], table: { a: { b: 1 } } })],
    ['fields of the names of others inside', lineOf(3, { terms: { loss: 7, seconds: 8, step: 9 } })],
    ['the same field twice', lineOf(3).replace('"loss":', '"loss":5,"loss":')],
    ['spaces', lineOf(3).replaceAll(':', ': ')],
    ['a time with a zone', lineOf(3, { time: '2026-01-01T00:00:00+02:00' })],
    ['a time that is none', lineOf(3, { time: '2026-13-01T00:00:00.000Z' })],
    ['a step with a fraction', lineOf(3, { step: 1.5 })],
    ['a step below zero', lineOf(3, { step: -1 })],
    ['a step too large', lineOf(3, { step: 2 ** 60 })],
    ['text for a number', lineOf(3, { seconds: '1' })],
    ['a field too few', lineOf(3, { memoryBytes: undefined })],
    ['a number that JSON does not write', lineOf(3).replace('"seconds":0.1', '"seconds":00.1')],
    ['an end that is torn', lineOf(3).slice(0, -1)],
    ['more behind its end', `${lineOf(3)}x`],
    ['a byte that is lost', lineOf(3).replace('gradientNorm', 'gradientN\0rm')],
    [
      'another event',
      JSON.stringify({
        type: 'evaluation',
        time: time(),
        step: 3,
        metrics: { loss: Number.NaN },
        seconds: 1,
        best: false,
      }),
    ],
  ])('sees what parsing sees in a line with %s', async (_, line) => {
    const path = write([lineOf(1), lineOf(2), line, lineOf(4), line, lineOf(5)])
    const expected = await parsed(path)
    expect(expected.events.length).toBeGreaterThan(1)
    expect(await outline(path)).toEqual({ ...expected, events: expected.events.map(cut) })
    expect(await followed(path)).toEqual({ events: expected.events, isDamaged: expected.fault !== undefined })
  })

  test('goes on where a file has no end of forms', async () => {
    const path = write(Array.from({ length: 60 }, (_, i) => lineOf(i, { [`field${i}`]: i })))
    const expected = await parsed(path)
    expect(await outline(path)).toEqual({ ...expected, events: expected.events.map(cut) })
    expect(await followed(path)).toEqual({ events: expected.events, isDamaged: false })
  })
})

describe('truncateAfterStep', () => {
  const run = (from: number, to: number): TrainingEvent[] => {
    const events: TrainingEvent[] = from === 0 ? [{ type: 'start', time: time(), step: 0 }] : []
    for (let step = from + 1; step <= to; step++) {
      events.push(stepEvent(step))
      if (step % 5 === 0)
        events.push(
          { type: 'evaluation', time: time(), step, metrics: { loss: 1 / step }, seconds: 1, best: false },
          checkpoint(step),
        )
    }
    if (to === 20) events.push({ type: 'end', time: time(), step: 20, reason: 'finished' })
    return events
  }

  test.each([5, 10, 15, 20])('makes a run resumed at %i equal to an undisturbed one', async (resumeAt) => {
    const folder = newFolder()
    const log = await openEvents(folder)
    run(0, 19).forEach(log.append)
    if (resumeAt === 20) [...run(19, 20).slice(0, -1)].forEach(log.append)
    log.append({ type: 'end', time: time(), step: 19, reason: 'interrupted' })
    log.close()
    appendFileSync(log.path, '{"torn')
    const resumed = await openEvents(folder)
    const cut = await resumed.truncateAfterStep(resumeAt)
    expect(cut).toMatchObject({ checkpointFound: true })
    run(resumeAt, 20)
      .slice(resumeAt === 20 ? -1 : 0)
      .forEach(resumed.append)
    resumed.close()
    expect(withoutTimes(await collect(resumed.path))).toEqual(withoutTimes(run(0, 20)))
  })

  test('says when the event of the checkpoint is missing', async () => {
    const log = await openEvents(newFolder())
    run(0, 10).slice(0, -1).forEach(log.append)
    log.append(stepEvent(11))
    log.append({ type: 'end', time: time(), step: 11, reason: 'interrupted' })
    const cut = await log.truncateAfterStep(10)
    log.append(checkpoint(10))
    log.close()
    expect(cut).toEqual({ kept: 14, removed: 2, checkpointFound: false })
    expect(withoutTimes(await collect(log.path))).toEqual(withoutTimes(run(0, 10)))
  })

  test('cuts all but the start for step 0', async () => {
    const log = await openEvents(newFolder())
    run(0, 10).forEach(log.append)
    expect(await log.truncateAfterStep(0)).toEqual({ kept: 1, removed: 14, checkpointFound: false })
    log.close()
    expect(await collect(log.path)).toHaveLength(1)
  })

  test('forgives damage behind the checkpoint, not before it', async () => {
    const folder = newFolder()
    const log = await openEvents(folder)
    run(0, 6).forEach(log.append)
    log.close()
    const text = readFileSync(log.path, 'utf8')
    writeFileSync(log.path, `${text}damage\n`)
    const forgiving = await openEvents(folder)
    expect(await forgiving.truncateAfterStep(5)).toEqual({ kept: 8, removed: 2, checkpointFound: true })
    forgiving.close()
    writeFileSync(log.path, `damage\n${text}`)
    const strict = await openEvents(folder)
    await expect(strict.truncateAfterStep(5)).rejects.toMatchObject({ line: 1 })
    strict.close()
    expect(readFileSync(log.path, 'utf8')).toBe(`damage\n${text}`)
  })
})

test('a killed writer leaves at most a torn line and loses nothing before its last checkpoint', async () => {
  const folder = newFolder()
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', new URL('fixtures/endless-writer.ts', import.meta.url).pathname, folder],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  const last = await new Promise<number>((resolve) => {
    let reported = 0
    child.stdout.on('data', (data: Buffer) => {
      reported = Number(data.toString().trim().split('\n').at(-1))
      if (reported > 2000) child.kill('SIGKILL')
    })
    child.on('exit', () => resolve(reported))
  })
  const log = await openEvents(folder)
  const cut = await log.truncateAfterStep(last)
  log.close()
  expect(cut.checkpointFound).toBe(true)
  const steps = (await collect(log.path)).filter(({ type }) => type === 'step').map(({ step }) => step)
  expect(steps).toEqual(Array.from({ length: last }, (_, i) => i + 1))
})
