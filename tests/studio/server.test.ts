// The studio's server without its pages: what happens when requests meet, when processes end, and when files change between two looks.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { appendFile, mkdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { Studio, startStudioProcess } from '../../src/serving/index.ts'
import { expectOneCondition } from '../../src/serving/sql/sandbox.ts'
import { LineIndex } from '../../src/serving/studio/data/row-store.ts'
import { dataInspection } from '../../src/serving/studio/endpoints/data.ts'
import { readConsole } from '../../src/serving/studio/runs/console-tail.ts'
import { RunEntry } from '../../src/serving/studio/runs/run-entry.ts'
import { RunLibrary } from '../../src/serving/studio/runs/run-library.ts'
import { runsFolder, stepEvent, stepEvents, writeEvents, writeJson } from './studio-fixture.ts'

const runs = runsFolder()
const other = runsFolder()
let studio: Studio

beforeAll(async () => {
  await writeEvents(join(runs, 'a'), [stepEvent(1)])
  await writeFile(join(runs, 'data.csv'), 'text,label\nfine,yes\nbad,no\n')
  const recipe = {
    command: 'finetune',
    task: 'sequence-classification',
    base: 'x/base',
    settings: {},
    data: join(runs, 'data.csv'),
  }
  await writeJson(join(runs, 'a/run.json'), recipe)
  studio = await Studio.open({ roots: [runs] })
})
afterAll(() => studio.close())

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

const until = async (isDone: () => boolean): Promise<void> => {
  while (!isDone()) await new Promise((resolve) => setTimeout(resolve, 10))
}

const source = async () => {
  const { sources } = await studio.data.catalog.list()
  return studio.data.catalog.get(sources.find(({ kind }) => kind === 'records')!.id)
}

describe('a condition', () => {
  it.each([
    "state = E'\\'' ) or (select 1) = 1 --'",
    "state = e'x'",
    "state in (E'\\'')",
    "1e'\\'' = state",
    "title = $$ ' $$",
    "title = $a$ ' $a$ or ('",
    "updated > date'2026-01-01'",
  ])('may not have text that closes in another way: %s', (where) => {
    expect(() => expectOneCondition(where)).toThrow(/Expected/)
  })

  it.each(["state = 'E' or title='it''s'", `"it's"='x'`, "title in ('a','b') and tags = ['x']", "title like 'a%'"])(
    'may have ordinary text: %s',
    (where) => {
      expect(() => expectOneCondition(where)).not.toThrow()
    },
  )
})

describe('the runs', () => {
  it('of a search that is wanted during another one are found', async () => {
    const library = studio.runs
    let second: Promise<void> | undefined
    // The first search has passed the folders when it tells its rows.
    const stop = library.follow(() => {
      if (second !== undefined) return
      mkdirSync(join(runs, 'late'))
      writeFileSync(join(runs, 'late/events.jsonl'), `${JSON.stringify(stepEvent(1))}\n`)
      second = library.refresh({ scan: true })
    })
    await library.refresh({ scan: true })
    await second
    stop()
    expect(library.rows.map(({ id }) => id)).toContain('late')
  })

  it('keep their tags when the studio shows further folders', async () => {
    await studio.runs.setTags(await studio.runs.get('a'), ['keep'])
    const both = await Studio.open({ roots: [runs, other] })
    await both.runs.refresh({ scan: true })
    expect(both.runs.rows.find(({ id }) => id.endsWith('/a'))?.tags).toEqual(['keep'])
    both.close()
  })

  it('have their recipe read again only when its file has changed', async () => {
    await writeEvents(join(runs, 'form'), [stepEvent(1)])
    const path = join(runs, 'form/form.json')
    await writeJson(path, { command: 'pretrain', seed: 1 })
    const entry = await studio.runs.get('form')
    const first = entry.recipe
    await entry.refresh()
    expect(first).toMatchObject({ seed: 1 })
    expect(entry.recipe).toBe(first)
    await writeJson(join(runs, 'form/run.json'), { command: 'pretrain', seed: 2 })
    await entry.refresh()
    expect(entry.recipe).toMatchObject({ seed: 2 })
    await writeJson(join(runs, 'form/new.json'), { command: 'pretrain', seed: 3 })
    await rename(join(runs, 'form/new.json'), join(runs, 'form/run.json'))
    await entry.refresh()
    expect(entry.recipe).toMatchObject({ seed: 3 })
  })
})

describe('events', () => {
  it('that nobody has read give the row and the curves of a run in one pass', async () => {
    const evaluations = Array.from({ length: 200 }, (_, i) => ({
      ...{ type: 'evaluation' as const, time: new Date(0).toISOString(), step: i + 1 },
      ...{ metrics: { loss: 1 / (i + 1) }, seconds: 1, best: true },
    }))
    await writeEvents(join(other, 'once/run'), evaluations)
    const library = await RunLibrary.open([join(other, 'once')])
    const parse = vi.spyOn(JSON, 'parse')
    const { entry, columns } = await library.getWithColumns('run')
    const parsed = parse.mock.calls.filter(([text]) => text.includes('"evaluation"')).length
    parse.mockRestore()
    expect(parsed).toBe(200)
    expect(entry.row).toMatchObject({ step: 200, best: { value: 1 / 200 } })
    expect(columns.entries('evaluation/loss')).toHaveLength(200)
  })

  it('have their best evaluation by the metric that the run keeps its best checkpoint by', async () => {
    const evaluate = (step: number, accuracy: number, f1: number) => ({
      ...{ type: 'evaluation' as const, time: new Date(0).toISOString(), step, seconds: 1, best: true },
      metrics: { accuracy, f1 },
    })
    const folder = join(other, 'kept')
    await writeEvents(folder, [evaluate(1, 0.9, 0.2), evaluate(2, 0.6, 0.5)])
    const entry = new RunEntry('kept', folder)
    await entry.refresh()
    expect(entry.row.best).toEqual({ metric: 'accuracy', value: 0.9, step: 1, lower: false })
    await writeJson(join(folder, 'run.json'), { command: 'finetune', keep: { best: 'f1' } })
    await entry.refresh()
    expect(entry.row.best).toEqual({ metric: 'f1', value: 0.5, step: 2, lower: false })
  })

  it('cost what their sessions took while they run, and what their card says when they have finished', async () => {
    const folder = join(other, 'priced')
    await writeEvents(folder, stepEvents(1, 4))
    await writeJson(join(folder, 'run.json'), { command: 'finetune', pricePerHour: 3.6 })
    await writeJson(
      join(folder, 'sessions.json'),
      [500, 1500].map((wallSeconds) => ({ started: new Date(0).toISOString(), wallSeconds, cpuSeconds: 1 })),
    )
    const entry = new RunEntry('priced', folder)
    await entry.refresh()
    expect(entry.row.cost).toEqual({ amount: 2, currency: 'USD' })
    const end = { type: 'end' as const, time: new Date(0).toISOString(), step: 4, reason: 'finished' as const }
    await writeEvents(folder, [end])
    await writeJson(join(folder, 'run-card.json'), { cost: { amount: 2.5, currency: 'USD', pricePerHour: 3.6 } })
    await entry.refresh()
    expect(entry.row.cost).toEqual({ amount: 2.5, currency: 'USD' })
  })

  it('of which curves are wanted while they are read are read to their end', async () => {
    const folder = join(other, 'long')
    await writeEvents(folder, stepEvents(1, 20_000))
    await appendFile(join(folder, 'events.jsonl'), 'damaged\n')
    const entry = new RunEntry('long', folder)
    const reading = entry.refresh()
    const columns = entry.columns()
    expect(await reading).toBe('read')
    expect(entry.row).toMatchObject({ step: 20_000, state: 'damaged' })
    expect(entry.outline.damage).toHaveLength(1)
    expect((await columns).entries('loss')).toHaveLength(20_000)
    await writeEvents(folder, stepEvents(20_001, 20_002))
    await entry.refresh()
    expect((await entry.columns()).last('loss')).toBe(5 / Math.sqrt(20_002))
    entry.dropColumns()
    expect((await entry.columns()).entries('loss')).toHaveLength(20_002)
    expect(entry.row.step).toBe(20_002)
  })
})

describe('data', () => {
  it('that two requests ask for at once is opened once', async () => {
    const entry = { ...(await source()), reading: { kind: 'pairs' } as never }
    const [first, second] = await Promise.all([studio.data.rows(entry), studio.data.rows(entry)])
    expect(first.store).toBe(second.store)
  })

  it('is no longer inspected when its page had left before the stream began', async () => {
    const entry = await source()
    const first = await studio.data.inspect(entry)
    const request = { studio, param: () => entry.source.id, signal: AbortSignal.abort() }
    const response = (await dataInspection.answer(request as never)) as Response
    await response.text()
    first.leave()
    const second = await studio.data.inspect(entry)
    expect(second.job).not.toBe(first.job)
    second.leave()
  })

  it('has lines without a byte order mark, whose beginnings end with a whole character', async () => {
    const path = join(other, 'marked.jsonl')
    await writeFile(path, `\ufeff{"a":1}\n{"a":"${'é'.repeat(1000)}"}\n`)
    const index = new LineIndex(path)
    await index.index()
    const lines = []
    for await (const line of index.read(0, 2)) lines.push(line)
    expect(lines[0].text).toBe('{"a":1}')
    expect(lines[1].start).toMatch(/^\{"a":"é+$/)
  })

  it('that is closed while it is read is complete, and says why', async () => {
    const index = new LineIndex(join(other, 'marked.jsonl'))
    const reading = index.index()
    index.close()
    await reading
    expect(index).toMatchObject({ complete: true, problem: expect.stringContaining('closed') })
  })
})

it('shows output in whole characters, wherever a read begins or ends', async () => {
  const path = join(other, 'console.txt')
  const bytes = Buffer.from('aé€😀b')
  let text = ''
  let end = 0
  for (let written = 1; written <= bytes.length; written++) {
    await writeFile(path, bytes.subarray(0, written))
    const part = await readConsole(path, end)
    text += part!.text
    end = part!.end
  }
  expect([text, end]).toEqual(['aé€😀b', bytes.length])
  expect((await readConsole(path, 2))!.text).toBe('€😀b')
  await writeFile(path, Buffer.from([0x61, 0xff, 0x62]))
  expect((await readConsole(path))!.text).toBe('a\ufffdb')
})

describe('a process of the studio', () => {
  it('that was killed between two questions is started again', async () => {
    expect(await studio.filter.find("run = 'a'")).toEqual(['a'])
    const pid = studio.filter.pid!
    process.kill(pid, 'SIGKILL')
    await until(() => !isAlive(pid))
    expect(await studio.filter.find("run = 'a' and step = 1")).toEqual(['a'])
  })

  it('plans one recipe after the other, and answers each with its own plan', async () => {
    const plan = (name: string) => studio.planner.plan({ command: 'pretrain', [name]: 1 })
    const first = plan('wrongOne')
    const second = plan('wrongTwo')
    const third = first.then(() => plan('wrongThree'))
    const faults = (await Promise.all([first, second, third])).map(({ fault }) => fault)
    expect(faults).toEqual(['wrongOne', 'wrongTwo', 'wrongThree'].map((name) => expect.stringContaining(name)))
  })

  it('that starts again is ended too', async () => {
    const folder = join(other, 'shown')
    await mkdir(folder)
    const shown = await startStudioProcess({ roots: [folder], port: 0 })
    const pid = shown.processId!
    process.kill(pid, 'SIGKILL')
    await until(() => !isAlive(pid))
    await new Promise((resolve) => setImmediate(resolve))
    await shown.close()
    const children = readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, 'utf8').trim()
    const alive = children.split(' ').filter((child) => {
      return child !== '' && readFileSync(`/proc/${child}/cmdline`, 'utf8').includes('studio-child')
    })
    expect(alive).toEqual([])
  })

  it('has its recipe for every request of those that meet', async () => {
    const folder = join(other, 'meeting')
    await writeEvents(folder, [stepEvent(1)])
    await writeJson(join(folder, 'run.json'), { command: 'align', objective: 'grpo' })
    const entry = new RunEntry('meeting', folder)
    const commands = await Promise.all(
      Array.from({ length: 5 }, async () => {
        await entry.refresh()
        return entry.recipe?.command
      }),
    )
    expect(new Set(commands)).toEqual(new Set(['align']))
  })
})
