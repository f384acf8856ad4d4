// Runs in trackers. W&B's file was read with wandb 0.31's own messages and uploaded by its `wandb sync` to a server that recorded every row; what
// `wandbServerDestination` sends to that server had the same rows, settings, group and exit code for five runs. Here the file's frames and the
// messages that matter are read again. The servers are our own and keep what they are sent; servers of MLflow 3.17.2 and trackio 0.43 themselves
// had the values, settings, group and end of twelve runs that finished, failed, stopped or were killed.
import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { mlflowDestination } from './mlflow.ts'
import { runsToSend, sendRun } from './send-run.ts'
import { trackioDestination } from './trackio.ts'
import { logRecord, wandbDestination, wandbServerDestination } from './wandb.ts'

const root = mkdtempSync(join(tmpdir(), 'send-'))
afterAll(() => rmSync(root, { recursive: true }))

const start = Date.parse('2026-11-28T01:00:00Z')
const at = (seconds: number) => new Date(start + 1000 * seconds).toISOString()
const line = (event: object) => `${JSON.stringify(event)}\n`
const stepLine = (step: number) =>
  line({
    ...{ type: 'step', time: at(step), step, loss: 4 / step, learningRate: 1e-3, gradientNorm: step === 3 ? null : 1 },
    ...{ tokens: 100 * step, tokensPerSecond: 100, seconds: 1, dataSeconds: 0, memoryBytes: 1e8, totalSteps: 9 },
  })
const evaluationLine = (step: number) =>
  line({ type: 'evaluation', time: at(step), step, metrics: { 'accuracy/sea': 0.5 }, seconds: 1, best: true })
const endLine = (step: number, reason: string) => line({ type: 'end', time: at(step), step, reason })

/** A run with some steps, of which each third is evaluated. */
const makeRun = (name: string, steps: number, inside = ''): string => {
  const folder = join(root, inside, name)
  mkdirSync(folder)
  const recipe = { base: join(root, 'private', 'base'), batch: { tokens: 4096 }, data: ['a'], token: 'sk-very-secret' }
  writeFileSync(join(folder, 'run.json'), JSON.stringify(recipe))
  const lines = Array.from({ length: steps }, (_, i) => stepLine(i + 1) + (i % 3 === 2 ? evaluationLine(i + 1) : ''))
  // As in a run: what is said of the data and the model comes first.
  const note = line({ type: 'note', time: at(0), step: 0, message: 'The head is new.' })
  writeFileSync(
    join(folder, 'events.jsonl'),
    note + line({ type: 'start', time: at(0), step: 0, name }) + lines.join(''),
  )
  return folder
}

/** A sweep of two runs and what else may be in its folder. */
const makeSweep = (name: string): string => {
  const folder = join(root, name)
  mkdirSync(folder)
  writeFileSync(join(folder, 'sweep.json'), '{}')
  makeRun('seed=0', 3, name)
  makeRun('seed=1', 3, name)
  mkdirSync(join(folder, 'empty'))
  return folder
}

/** The records of a file in LevelDB's form, whose frames must not cross blocks. */
const recordsIn = (bytes: Buffer): Buffer[] => {
  const records: Buffer[] = []
  let parts: Buffer[] = []
  for (let place = 7; place < bytes.length; ) {
    const left = 32_768 - (place % 32_768)
    if (left < 7) {
      place += left
      continue
    }
    const [length, type] = [bytes.readUInt16LE(place + 4), bytes[place + 6]]
    expect(length).toBeLessThanOrEqual(left - 7)
    parts.push(bytes.subarray(place + 7, place + 7 + length))
    place += 7 + length
    if (type === 2 || type === 3) continue
    records.push(Buffer.concat(parts))
    parts = []
  }
  return records
}

describe('offline files of W&B', () => {
  it('have every step with its evaluation, the settings without secrets and places, and the end', async () => {
    const run = makeRun('demo', 300)
    appendFileSync(join(run, 'events.jsonl'), endLine(300, 'finished'))
    const out = join(root, 'wandb')
    const sent = await sendRun(run, wandbDestination({ out, project: 'ships', entity: 'me' }))
    expect(sent).toMatchObject({ run, steps: 300, state: 'finished' })
    const [folder] = readdirSync(out)
    expect(folder).toMatch(/^offline-run-20261128_010000-[0-9a-f]{16}$/)
    expect(sent.place).toContain(`wandb sync ${join(out, folder)}`)
    const bytes = readFileSync(join(out, folder, `run-${folder.slice(-16)}.wandb`))
    expect(bytes.subarray(0, 7)).toEqual(Buffer.from([0x3a, 0x57, 0x26, 0x42, 0xe1, 0xbe, 0]))
    const records = recordsIn(bytes).map((record) => record.toString('latin1'))
    // Header, run, and for each step a row and a summary; the end.
    expect(records).toHaveLength(2 + 2 * 300 + 1)
    expect(records[1]).toMatch(/ships[\s\S]*base[\s\S]*batch\.tokens[\s\S]*4096/)
    expect(bytes.toString('latin1')).not.toMatch(/very-secret|private/)
    expect(records[2 + 2 * 2]).toMatch(/_step[\s\S]*3[\s\S]*gradientNorm[\s\S]*"NaN"[\s\S]*accuracy\/sea[\s\S]*0\.5/)
    expect(records[2 + 2]).not.toContain('accuracy')
    const before = readFileSync(join(out, folder, `run-${folder.slice(-16)}.wandb`))
    await sendRun(run, wandbDestination({ out, project: 'ships', entity: 'me' }))
    expect(readdirSync(out)).toEqual([folder])
    expect(readFileSync(join(out, folder, `run-${folder.slice(-16)}.wandb`)).equals(before)).toBe(true)
  })

  it('are framed as LevelDB frames a log, with zlib checksums of type and data', () => {
    // By Python's zlib and struct.
    const text = 'id'
    expect(logRecord(Buffer.from(text), 7).toString('hex')).toBe('8ac663000200016964')
    const long = logRecord(Buffer.alloc(70_000, 7), 7)
    expect(recordsIn(Buffer.concat([Buffer.alloc(7), long]))).toEqual([Buffer.alloc(70_000, 7)])
    // Six bytes of a block have no room for a frame.
    expect(logRecord(Buffer.from(text), 32_768 - 6).subarray(0, 6)).toEqual(Buffer.alloc(6))
  })
})

describe('runs of a sweep', () => {
  it('are all sent, with the name of the sweep as their group', async () => {
    const sweep = makeSweep('rates')
    const runs = await runsToSend(sweep)
    expect(runs).toEqual([join(sweep, 'seed=0'), join(sweep, 'seed=1')])
    expect(await runsToSend(runs[0])).toEqual([runs[0]])
    const out = join(root, 'wandb-sweep')
    await sendRun(runs[0], wandbDestination({ out, project: 'ships' }))
    const [folder] = readdirSync(out)
    const [, record] = recordsIn(readFileSync(join(out, folder, `run-${folder.slice(-16)}.wandb`)))
    // Field 6 of RunRecord, run_group, after the id (field 1, 16 letters) and the project.
    expect(record.toString('latin1')).toMatch(/\x32\x05rates/)
    const seen: unknown[] = []
    const destination = {
      async begin(run: object) {
        seen.push(run)
      },
      async add() {},
      end: async () => '',
    }
    await sendRun(runs[1], destination)
    await sendRun(makeRun('alone', 1), destination)
    expect(seen).toMatchObject([{ name: 'seed=1', group: 'rates' }, { name: 'alone' }])
    expect(seen[1]).not.toHaveProperty('group')
  })

  it('are refused while there are none', async () => {
    const folder = join(root, 'begun')
    mkdirSync(folder)
    writeFileSync(join(folder, 'sweep.json'), '{}')
    await expect(runsToSend(folder)).rejects.toThrow(/Expected a sweep with runs.*Send it later/)
  })
})

describe('a W&B server', () => {
  interface Stream {
    files?: {
      'wandb-history.jsonl': { offset: number; content: string[] }
      'wandb-summary.json': { content: string[] }
    }
    complete?: boolean
    exitcode?: number
  }
  const asked: { path: string; authorization: string | undefined; body: Record<string, unknown> }[] = []
  let rows: string[] = []
  let fault: object | undefined
  let server: Server
  let url = ''
  beforeAll(async () => {
    process.env.WANDB_API_KEY = 'very-own-key'
    server = createServer((request, response) => {
      let text = ''
      request.on('data', (chunk) => {
        text += chunk
      })
      request.on('end', () => {
        const body = JSON.parse(text)
        const { authorization } = request.headers
        asked.push({ path: request.url ?? '', authorization, body })
        const lines = (body as Stream).files?.['wandb-history.jsonl']
        if (lines !== undefined) rows = [...rows.slice(0, lines.offset), ...lines.content]
        const project = { name: 'ships', entity: { name: 'me' } }
        const bucket = { name: body.variables?.name, project, historyLineCount: rows.length || null }
        response.writeHead(200).end(JSON.stringify(fault ?? { data: { upsertBucket: { bucket } } }))
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  })
  afterAll(() => server.close())
  const send = (folder: string) => sendRun(folder, wandbServerDestination({ url, project: 'ships' }))

  it('gets settings, group, rows by their number and the end; what it has is not sent again', async () => {
    const folder = join(makeSweep('tides'), 'seed=0')
    expect(await send(folder)).toMatchObject({ steps: 3, state: 'stopped' })
    const [first] = asked
    expect([first.path, first.authorization]).toEqual([
      '/graphql',
      `Basic ${Buffer.from('api:very-own-key').toString('base64')}`,
    ])
    const { config, ...variables } = first.body.variables as Record<string, string>
    expect(variables).toMatchObject({ project: 'ships', groupName: 'tides', displayName: 'seed=0', entity: null })
    expect(JSON.parse(config)).toMatchObject({ 'batch.tokens': { value: 4096 }, data: { value: '["a"]' } })
    expect(config).not.toMatch(/very-secret|private/)
    expect(asked[1].path).toBe(`/files/me/ships/${variables.name}/file_stream`)
    expect(rows.map((row) => JSON.parse(row)._step)).toEqual([1, 2, 3])
    expect(JSON.parse(rows[2])).toMatchObject({
      ...{ _timestamp: start / 1000 + 3, _runtime: 3 },
      ...{ 'train/loss': 4 / 3, 'train/gradientNorm': 'NaN', 'evaluation/accuracy/sea': 0.5 },
    })
    expect(asked.at(-1)?.body).toEqual({ complete: true, exitcode: 130 })

    const before = asked.length
    appendFileSync(join(folder, 'events.jsonl'), stepLine(4) + endLine(4, 'finished'))
    expect((await send(folder)).place).toBe(`${url.slice(0, -1)}/me/ships/runs/${variables.name}`)
    const [, stream, end] = asked.slice(before).map(({ body }) => body as Stream)
    expect(stream.files?.['wandb-history.jsonl']).toMatchObject({
      offset: 3,
      content: [expect.stringMatching(/_step":4/)],
    })
    expect(end).toEqual({ complete: true, exitcode: 0 })
  })

  it('that refuses is a named fault, and without a key none is asked', async () => {
    fault = { errors: [{ message: 'permission denied' }] }
    await expect(send(makeRun('denied', 1))).rejects.toThrow(/Expected a W&B server at .*permission denied/)
    const { WANDB_API_KEY: key } = process.env
    delete process.env.WANDB_API_KEY
    expect(() => wandbServerDestination({ url, project: 'x' })).toThrow(/needs a key: set WANDB_API_KEY/)
    process.env.WANDB_API_KEY = key
  })
})

interface Metric {
  key: string
  value: number | string
  step: number
}

describe('an MLflow server', () => {
  const requests: [path: string, body: Record<string, unknown>][] = []
  const metrics: Metric[] = []
  let faults: number[] = []
  let server: Server
  let url = ''
  const run = () => ({
    info: { run_id: 'r1' },
    data: { metrics: [...new Map(metrics.map((metric) => [metric.key, metric])).values()] },
  })
  const answers: Record<string, (body: Record<string, unknown>) => object | undefined> = {
    'experiments/get-by-name': () =>
      requests.some(([path]) => path === 'experiments/create') ? { experiment: { experiment_id: '7' } } : undefined,
    'experiments/create': () => ({ experiment_id: '7' }),
    'runs/search': () => (requests.some(([path]) => path === 'runs/create') ? { runs: [run()] } : {}),
    'runs/create': () => ({ run: { info: { run_id: 'r1' }, data: {} } }),
    'runs/log-batch': (body) => {
      metrics.push(...((body.metrics as Metric[] | undefined) ?? []))
      return {}
    },
    'runs/update': () => ({}),
  }

  beforeAll(async () => {
    server = createServer((request, response) => {
      let text = ''
      request.on('data', (chunk) => {
        text += chunk
      })
      request.on('end', () => {
        const path = /\/api\/2\.0\/mlflow\/([\w/-]+)/.exec(request.url ?? '')?.[1] ?? ''
        const fault = faults.shift()
        const body = text === '' ? {} : JSON.parse(text)
        const answer = fault === undefined ? answers[path]?.(body) : { error_code: 'FAULT', message: 'full' }
        if (fault === undefined) requests.push([path, body])
        response.writeHead(fault ?? (answer === undefined ? 404 : 200)).end(JSON.stringify(answer ?? {}))
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  })
  afterAll(() => server.close())

  const send = (folder: string) => sendRun(folder, mlflowDestination({ url, experiment: 'ships' }))

  it('gets a run once, and afterwards what is new; faults that pass are tried again', async () => {
    const folder = makeRun('flow', 4)
    faults = [503, 429]
    const first = await send(folder)
    expect(first).toMatchObject({ steps: 4, state: 'stopped', place: `${url}#/experiments/7/runs/r1` })
    const [, created] = requests.find(([path]) => path === 'runs/create')!
    expect(created).toMatchObject({ experiment_id: '7', run_name: 'flow', start_time: start })
    const params = requests.flatMap(([, body]) => (body.params as { key: string; value: string }[] | undefined) ?? [])
    expect(params).toContainEqual({ key: 'batch.tokens', value: '4096' })
    expect(JSON.stringify(requests)).not.toMatch(/very-secret|private/)
    expect(metrics.filter(({ key }) => key === 'train/loss').map(({ step }) => step)).toEqual([1, 2, 3, 4])
    expect(metrics).toContainEqual({ key: 'evaluation/accuracy/sea', value: 0.5, timestamp: start + 3000, step: 3 })
    expect(metrics.find(({ key, step }) => key === 'train/gradientNorm' && step === 3)?.value).toBe('NaN')

    const sent = metrics.length
    appendFileSync(join(folder, 'events.jsonl'), stepLine(5) + endLine(5, 'finished'))
    expect(await send(folder)).toMatchObject({ state: 'finished' })
    expect(new Set(metrics.slice(sent).map(({ step }) => step))).toEqual(new Set([5]))
    expect(requests.filter(([path]) => path === 'runs/create')).toHaveLength(1)
    // It is running again while it is sent.
    const updates = requests.filter(([path]) => path === 'runs/update').map(([, { status }]) => status)
    expect(updates).toEqual(['KILLED', 'RUNNING', 'FINISHED'])
    expect(requests.at(-1)).toEqual(['runs/update', { run_id: 'r1', status: 'FINISHED', end_time: start + 5000 }])
  })

  it('that refuses or is not there is a named fault, and the run stays as it is', async () => {
    const folder = makeRun('refused', 1)
    faults = [403]
    await expect(send(folder)).rejects.toThrow(/Expected an MLflow server at .*status 403.*send it again later/)
    await expect(sendRun(folder, mlflowDestination({ url: 'http://127.0.0.1:9', experiment: 'x' }))).rejects.toThrow(
      /got no answer/,
    )
    await expect(send(root)).rejects.toThrow(/Expected the folder of a run/)
  })
})

describe('a trackio server', () => {
  const requests: { path: string; token: unknown; logs: Record<string, unknown>[] }[] = []
  let fault: string | undefined
  let server: Server
  let url = ''
  beforeAll(async () => {
    server = createServer((request, response) => {
      let text = ''
      request.on('data', (chunk) => {
        text += chunk
      })
      request.on('end', () => {
        const { logs } = JSON.parse(text).kwargs
        requests.push({ path: request.url ?? '', token: request.headers['x-trackio-write-token'], logs })
        response.writeHead(200).end(JSON.stringify(fault === undefined ? { data: null } : { error: fault }))
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/sub/`
  })
  afterAll(() => server.close())

  it('gets each step with an id, so that what is sent again is not there twice', async () => {
    const folder = makeRun('track', 3)
    const send = () => sendRun(folder, trackioDestination({ url: `${url}?write_token=secret`, project: 'the ships' }))
    const sent = await send()
    expect(sent).toMatchObject({ steps: 3, place: `${url}?project=the%20ships` })
    expect(sent.place).not.toContain('secret')
    const [{ path, token, logs }] = requests
    expect({ path, token }).toEqual({ path: '/sub/api/bulk_log', token: 'secret' })
    expect(logs).toHaveLength(3)
    const { run_id: id, ...rest }: Record<string, unknown> = logs[2]
    expect(rest).toMatchObject({ project: 'the ships', run: 'track', step: 3, log_id: `${id}-3` })
    expect(rest.metrics).toMatchObject({
      'train/loss': 4 / 3,
      'train/gradientNorm': 'NaN',
      'evaluation/accuracy/sea': 0.5,
    })
    expect(rest.config).toMatchObject({ 'batch.tokens': 4096, _Created: at(0) })
    expect(JSON.stringify(requests)).not.toMatch(/very-secret|private/)
    // trackio has no state of a run: it is a setting, which the last step brings again.
    expect(rest.config).toMatchObject({ state: 'running' })
    expect(requests[1].logs).toMatchObject([{ step: 3, log_id: `${id}-3`, config: { state: 'stopped' } }])
    await send()
    expect(requests[2].logs.map(({ log_id: one }) => one)).toEqual(logs.map(({ log_id: one }) => one))
  })

  it('that refuses is a named fault, and one without a token is not asked', async () => {
    const folder = makeRun('untracked', 1)
    fault = 'no such token'
    const asked = requests.length
    const send = (address: string) => sendRun(folder, trackioDestination({ url: address, project: 'x' }))
    await expect(send(`${url}?write_token=a`)).rejects.toThrow(/Expected a trackio server at .*no such token/)
    expect(requests).toHaveLength(asked + 1)
    const { TRACKIO_WRITE_TOKEN: before } = process.env
    delete process.env.TRACKIO_WRITE_TOKEN
    expect(() => trackioDestination({ url, project: 'x' })).toThrow(/needs a token to write/)
    if (before !== undefined) process.env.TRACKIO_WRITE_TOKEN = before
  })
})
