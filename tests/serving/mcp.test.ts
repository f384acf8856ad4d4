// The tools for agents, by the protocol's own client over the standard streams of the real command.
import { existsSync, writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Client } from '@modelcontextprotocol/client'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { open } from '../../src/inference/index.ts'
import { program } from '../setup/program.ts'
import { runsFolder, stepEvent, writeEvents, writeJson } from '../studio/studio-fixture.ts'
import { type ModelFolders, makeFolders } from './fixture.ts'

const runs = runsFolder()
let folders: ModelFolders
let client: Client

const connect = async (...flags: string[]): Promise<Client> => {
  const made = new Client({ name: 'test', version: '1' })
  const args = [...program, 'mcp', runs, ...flags]
  await made.connect(new StdioClientTransport({ command: process.execPath, args, stderr: 'inherit' }))
  return made
}

interface Answer {
  isError: boolean
  text: string
}

const call = async (name: string, input: Record<string, unknown> = {}): Promise<Answer> => {
  const { content, isError = false } = await client.callTool({ name, arguments: input })
  const [part] = content as { type: string; text: string }[]
  return { isError, text: part.text }
}

const answer = async <T>(name: string, input?: Record<string, unknown>): Promise<T> => {
  const { isError, text } = await call(name, input)
  if (isError) throw new Error(text)
  return JSON.parse(text) as T
}

beforeAll(async () => {
  folders = await makeFolders()
  await writeEvents(
    join(runs, 'bert'),
    Array.from({ length: 40 }, (_, i) => stepEvent(i + 1)),
  )
  await writeEvents(join(runs, 'bert'), [
    {
      type: 'evaluation',
      time: '2026-01-02T00:00:00.000Z',
      step: 40,
      metrics: { accuracy: 0.75 },
      seconds: 1,
      best: true,
    },
  ])
  await writeJson(join(runs, 'bert/run.json'), { command: 'pretrain', model: { type: 'bert', preset: 'mini' } })
  await mkdir(join(runs, 'not-a-run'))
  client = await connect()
})
afterAll(async () => {
  await client.close()
  folders.remove()
})

describe('mcp', () => {
  it('offers its tools with schemas, all marked as read-only', async () => {
    const { tools } = await client.listTools()
    expect(tools.map(({ name }) => name).sort()).toEqual([
      ...['classify_texts', 'evaluate_model', 'generate_text', 'list_runs', 'plan_run', 'query_metrics', 'show_run'],
    ])
    for (const { description, inputSchema, annotations } of tools) {
      expect(description).toMatch(/\.$/)
      expect(inputSchema).toMatchObject({ type: 'object', additionalProperties: false })
      expect(annotations?.readOnlyHint).toBe(true)
    }
  })

  it('lists runs and shows one with its recipe and evaluations', async () => {
    const { total, runs: rows } = await answer<{ total: number; runs: object[] }>('list_runs')
    expect(total).toBe(1)
    expect(rows).toMatchObject([{ id: 'bert', state: 'interrupted', title: 'bert mini', step: 40 }])
    expect(await answer('show_run', { run: 'bert' })).toMatchObject({
      recipe: { command: 'pretrain' },
      evaluations: [{ metrics: { accuracy: 0.75 } }],
    })
    expect(await call('show_run', { run: '../bert' })).toMatchObject({
      isError: true,
      text: expect.stringMatching(/no run/),
    })
    expect((await answer<{ total: number }>('list_runs', { state: 'running' })).total).toBe(0)
  })

  it('answers SQL over every metric, and reaches nothing else by it', async () => {
    const query = (sql: string) => call('query_metrics', { sql, runs: ['bert'] })
    const { text } = await query("select max(value) as most, count(*) as n from metrics where name = 'loss'")
    expect(JSON.parse(text)).toEqual({ columns: ['most', 'n'], rows: [[5, '40']], truncated: false })
    const joined = await query(
      "select trains, value from runs join metrics using (run) where name = 'evaluation/accuracy'",
    )
    expect(JSON.parse(joined.text)).toMatchObject({ rows: [['bert mini', 0.75]] })
    writeFileSync(join(runs, 'secret.csv'), 'a\n1\n')
    const bad = [
      `select * from '${join(runs, 'secret.csv')}'`,
      `select * from read_text('${join(runs, 'secret.csv')}')`,
      "copy runs to 'x.csv'",
      'select 1); drop table runs; select (1',
      'select missing from metrics',
    ]
    for (const sql of bad)
      expect(await query(sql)).toMatchObject({ isError: true, text: expect.stringMatching(/cannot be run/) })
    expect(JSON.parse((await query('select range as i from range(2000)')).text)).toMatchObject({ truncated: true })
  })

  it('generates what the library generates, and says why a model cannot do something', async () => {
    const input = { model: folders.base, prompt: 'The sea was', maxNewTokens: 8 }
    const model = await open(folders.base)
    const expected = await model.generate(input.prompt, { sample: false, maxNewTokens: 8 })
    model.close()
    const cut = 'The text ends at `maxNewTokens`, 8 tokens. Raise it for a longer text, up to 2048.'
    expect(await answer('generate_text', input)).toEqual({ text: expected, truncated: cut })
    const sampled = { ...input, temperature: 1.1, seed: 4 }
    const first = await answer('generate_text', sampled)
    expect(await answer('generate_text', sampled)).toEqual(first)
    const chat = await answer<{ text: string }>('generate_text', { ...input, chat: true, system: 'Be brief.' })
    expect(chat).toEqual({ text: expect.any(String), truncated: cut })
    expect(chat.text).not.toBe(expected)
    const { tools } = await client.listTools()
    expect(tools.find(({ name }) => name === 'generate_text')?.description).toContain('128 by default')
    const refused = await call('classify_texts', { model: folders.base, texts: ['calm'] })
    expect(refused).toMatchObject({ isError: true, text: expect.stringMatching(/classif/) })
    expect(await call('generate_text', { model: join(runs, 'none'), prompt: 'x' })).toMatchObject({ isError: true })
  })

  it('evaluates, with the errors of an evaluation and of a plan, and writes and imports nothing', async () => {
    const data = join(runs, 'text.txt')
    writeFileSync(data, 'The sea was calm and the ship sailed on.\n')
    const found = await answer<Record<string, unknown>>('evaluate_model', {
      model: folders.base,
      task: 'language-modelling',
      data: [data],
    })
    expect(found).toMatchObject({ text: { documents: 1, metrics: { perplexity: { value: expect.any(Number) } } } })
    expect(await call('evaluate_model', { model: folders.base, task: 'tagging', data: [data] })).toMatchObject({
      isError: true,
    })
    const written = join(runs, 'written.jsonl')
    const options = { predictions: written }
    expect(await call('evaluate_model', { model: folders.base, data: [data], options })).toMatchObject({
      isError: true,
    })
    expect(existsSync(written)).toBe(false)
    const module = join(runs, 'x.mjs')
    for (const [command, recipe] of [
      ['finetune', { use: [module] }],
      ['align', { recipeFile: module }],
    ] as const)
      expect(await call('plan_run', { command, recipe })).toMatchObject({
        isError: true,
        text: expect.stringMatching(/imports a module/),
      })
    const plan = await call('plan_run', { command: 'finetune', recipe: { base: folders.base } })
    expect(plan).toMatchObject({ isError: true, text: expect.stringMatching(/data|task|out/) })
  })

  it('starts a run where the user allows it, with the faults of a recipe in words, and stops none that is over', async () => {
    const allowed = await connect('--allow-start')
    try {
      const names = (await allowed.listTools()).tools.map(({ name }) => name)
      expect(names).toEqual(expect.arrayContaining(['start_run', 'stop_run']))
      const ask = async (name: string, input: Record<string, unknown>) => {
        const { content, isError } = await allowed.callTool({ name, arguments: input })
        return { isError, text: (content as { text: string }[])[0].text }
      }
      const start = (recipe: object) => ask('start_run', { command: 'finetune', recipe })
      const recipe = { base: folders.base, task: 'sequence-classification', data: join(runs, 'text.txt') }
      expect(await start({ ...recipe, variant: 'lorra', out: join(runs, 'a') })).toMatchObject({ isError: true })
      expect(await start({ ...recipe, out: join(runs, '..', 'elsewhere') })).toMatchObject({
        isError: true,
        text: expect.stringMatching(/folder below/),
      })
      expect(await start({ ...recipe, out: join(runs, 'bert') })).toMatchObject({
        isError: true,
        text: expect.stringMatching(/there already/),
      })
      // A text is no data for this task: the program starts, and says so in the output of the run.
      const { text } = await start({ ...recipe, out: join(runs, 'started') })
      expect(JSON.parse(text)).toMatchObject({ id: 'started' })
      expect(JSON.parse((await ask('stop_run', { run: 'bert' })).text)).toEqual({ message: 'bert is not running.' })
    } finally {
      await allowed.close()
    }
  })

  it('refuses unknown tools and arguments, and serves on', async () => {
    await expect(client.callTool({ name: 'delete_everything', arguments: {} })).rejects.toThrow(/delete_everything/)
    const { isError, text } = await call('list_runs', { stat: 'running' })
    expect(isError).toBe(true)
    expect(text).toMatch(/stat/)
    expect((await answer<{ total: number }>('list_runs')).total).toBeGreaterThan(0)
  })
})
