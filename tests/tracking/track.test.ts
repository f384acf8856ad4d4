// `--track`: a run that is sent to a tracker while it trains, a tracker that is away and one that never answers. The server is our own and keeps what
// it is sent.
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { pretrain } from '../../src/runs/index.ts'
import { runHere } from '../e2e/run-folder.ts'
import { makeSmallData, type SmallData, smallRecipe } from '../training/small-run.ts'

interface SentRun {
  name: string
  tags: Record<string, string>
  steps: Set<number>
  status?: string
}

interface Sent {
  /** Of all runs. */
  steps: Set<number>
  /** The last that was set. */
  status: string | undefined
  runs: SentRun[]
}

/** An MLflow server; `/seen` says how many steps it has. */
const startServer = async (answers = true): Promise<{ url: string; sent: Sent; server: Server }> => {
  const sent: Sent = { steps: new Set(), status: undefined, runs: [] }
  const told = (run: SentRun) => ({ info: { run_id: String(sent.runs.indexOf(run)) }, data: { metrics: [] } })
  const server = createServer(async (request, response) => {
    if (!answers) return
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part as Buffer)
    const body = (parts.length === 0 ? {} : JSON.parse(Buffer.concat(parts).toString())) as Record<string, never>
    const path = request.url ?? ''
    const run = sent.runs[body.run_id]
    if (path.endsWith('runs/create')) {
      const tags = (body.tags as { key: string; value: string }[]).map(({ key, value }) => [key, value])
      sent.runs.push({ name: body.run_name, tags: Object.fromEntries(tags), steps: new Set() })
    }
    if (path.endsWith('log-batch'))
      for (const { step } of (body.metrics ?? []) as { step: number }[]) {
        sent.steps.add(step)
        run.steps.add(step)
      }
    if (path.endsWith('runs/update')) {
      sent.status = body.status
      run.status = body.status
    }
    const found = path.endsWith('search')
      ? sent.runs.filter(({ tags }) => String(body.filter).includes(`'${tags['tunesmith.run']}'`))
      : []
    const answer = path.startsWith('/seen')
      ? { seen: sent.steps.size }
      : path.includes('get-by-name')
        ? { experiment: { experiment_id: '1' } }
        : path.endsWith('search')
          ? { runs: found.map(told) }
          : { run: told(sent.runs[sent.runs.length - 1]) }
    response.setHeader('content-type', 'application/json').end(JSON.stringify(answer))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, sent, server }
}

let data: SmallData
const servers: Server[] = []
const at = (...names: string[]) => join(data.root, ...names)
beforeAll(async () => {
  data = await makeSmallData()
  await pretrain(smallRecipe(data, at('base'), { budget: { steps: 1 }, keep: { last: 1 } }))
  const rows = Array.from({ length: 40 }, (_, i) =>
    JSON.stringify({ text: `the ${i % 2 ? 'stone' : 'house'} ${i}`, label: `l${i % 2}` }),
  )
  writeFileSync(at('rows.jsonl'), rows.join('\n'))
})
afterAll(() => {
  for (const server of servers) {
    server.closeAllConnections()
    server.close()
  }
  data.dispose()
})

const recipe = (out: string) =>
  ['--base', at('base'), '--task', 'sequence-classification', '--data', at('rows.jsonl'), '--out', at(out)].concat([
    ...[
      '--batch.sequences',
      '8',
      '--budget.steps',
      '6',
      '--max-length',
      '16',
      '--no-untrained-baseline',
      '--seed',
      '3',
    ],
  ])
const lossesOf = (out: string): unknown[] =>
  readFileSync(at(out, 'events.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { type: string; loss?: number })
    .flatMap(({ type, loss }) => (type === 'step' ? [loss] : []))

describe('a tracker that is named', () => {
  it('has steps while the run trains, and all of them with the outcome afterwards', async () => {
    const { url, sent, server } = await startServer()
    servers.push(server)
    const file = at('live.ts')
    // The evaluation of step 2 brings the events before it into the file. The callback, for which the run waits, returns when the tracker has a step of the run that trains.
    writeFileSync(
      file,
      `import { defineRun } from 'tunesmith'
export default defineRun({
  command: 'finetune', base: '${at('base')}', task: 'sequence-classification', data: '${at('rows.jsonl')}', out: '${at('live')}',
  batch: { sequences: 8 }, budget: { steps: 6 }, maxLength: 16, untrainedBaseline: false, callbackSeconds: 50, evaluate: { steps: 2 },
  callbacks: [async function seen({ type, step }) {
    if (type !== 'step' || step !== 4) return
    for (;;) {
      const { seen } = (await (await fetch('${url}/seen')).json()) as { seen: number }
      if (seen > 0) return
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }],
})
`,
    )
    const { code, stderr } = await runHere(['finetune', '--recipe', file, '--track', 'mlflow', '--track-url', url])
    expect([code, stderr]).toEqual([0, expect.stringContaining('mlflow has the run: 6 steps in')])
    expect([...sent.steps].sort()).toEqual([1, 2, 3, 4, 5, 6])
    expect(sent.status).toBe('FINISHED')
  })

  it('that is away costs a warning and nothing else; `send` gives it the run later', async () => {
    const { url, sent, server } = await startServer()
    const { code, stderr } = await runHere([
      'finetune',
      ...recipe('away'),
      '--track',
      'mlflow',
      '--track-url',
      'http://127.0.0.1:9',
    ])
    expect(code).toBe(0)
    expect(stderr.match(/does not get the run/g)).toHaveLength(1)
    expect(stderr.replace(/\s+/g, ' ')).toMatch(
      /mlflow does not get the run: .*no answer.*Training goes on.*send \S*away --to mlflow/,
    )
    expect((await runHere(['finetune', ...recipe('alone')])).code).toBe(0)
    expect(lossesOf('away')).toEqual(lossesOf('alone'))
    const later = await runHere(['send', at('away'), '--to', 'mlflow', '--url', url])
    servers.push(server)
    expect([later.code, [...sent.steps].sort()]).toEqual([0, [1, 2, 3, 4, 5, 6]])
  })

  it('that never answers is given up shortly after the run', async () => {
    const { url, server } = await startServer(false)
    servers.push(server)
    const from = performance.now()
    const { code, stderr } = await runHere(['finetune', ...recipe('hung'), '--track', 'mlflow', '--track-url', url])
    expect(code).toBe(0)
    expect(stderr.replace(/\s+/g, ' ')).toMatch(/mlflow has not taken all of the run in time.*send \S*hung --to mlflow/)
    const seconds = (performance.now() - from) / 1000
    expect(seconds).toBeGreaterThan(9)
    expect(seconds).toBeLessThan(40)
  })

  it('has the runs of a sweep below one of its name, while it trains and again by `send`', async () => {
    const { url, sent, server } = await startServer()
    servers.push(server)
    const grid = ['--over.seed', '0,1', '--track', 'mlflow', '--track-url', url]
    const { code, stderr } = await runHere([
      'sweep',
      ...recipe('rates').filter((_, i, { length }) => i < length - 2),
      ...grid,
    ])
    expect(code).toBe(0)
    for (const name of ['seed=0', 'seed=1']) expect(stderr).toContain(`mlflow has ${name}: 6 steps in`)
    const check = () => {
      expect(sent.runs.map(({ name }) => name).sort()).toEqual(['rates', 'seed=0', 'seed=1'])
      const parent = String(sent.runs.findIndex(({ name }) => name === 'rates'))
      for (const { name, tags, steps, status } of sent.runs) {
        expect([name, status]).toEqual([name, 'FINISHED'])
        if (name === 'rates') continue
        expect(tags['mlflow.parentRunId']).toBe(parent)
        expect([...steps].sort()).toEqual([1, 2, 3, 4, 5, 6])
      }
    }
    check()
    const later = await runHere(['send', at('rates'), '--to', 'mlflow', '--url', url])
    expect([later.code, later.stdout.match(/6 steps \(finished\)/g)]).toEqual([
      0,
      expect.objectContaining({ length: 2 }),
    ])
    check()
  })

  it('that is away costs a sweep one warning, which names the folder to send', async () => {
    const grid = ['--over.seed', '0,1', '--track', 'mlflow', '--track-url', 'http://127.0.0.1:9']
    const { code, stderr } = await runHere([
      'sweep',
      ...recipe('lost').filter((_, i, { length }) => i < length - 2),
      ...grid,
    ])
    expect(code).toBe(0)
    expect(stderr.match(/does not get the run/g)).toHaveLength(1)
    expect(stderr.replace(/\s+/g, ' ')).toMatch(/send \S*lost --to mlflow/)
  })

  it('is an offline folder too; what does not fit is refused before the run', async () => {
    const out = await runHere(['finetune', ...recipe('none'), '--track', 'mlflow'])
    expect([out.code, out.stderr]).toEqual([2, expect.stringMatching(/address of an MLflow server/)])
    const project = await runHere(['finetune', ...recipe('none'), '--track-project', 'x'])
    expect(project.stderr).toMatch(/need `--track`/)
    const both = await runHere([
      'finetune',
      ...recipe('none'),
      '--track',
      'mlflow',
      'trackio',
      '--track-url',
      'http://x',
    ])
    expect(both.stderr).toMatch(/Expected one server for `--track-url`, got the trackers mlflow, trackio/)
  })
})
