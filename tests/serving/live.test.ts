// The weights of a run that trains, as one of the models of a server: the process that trains answers between two steps.
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type OpenAI from 'openai'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { findRunModel, pretrain, type RunListener, resume } from '../../src/runs/index.ts'
import { LiveModel, type RunningServer } from '../../src/serving/index.ts'
import { makeSmallData, type SmallData, smallRecipe } from '../training/small-run.ts'
import { type ModelFolders, makeFolders, startServer } from './fixture.ts'

let data: SmallData
let folders: ModelFolders
let out: string
beforeAll(async () => {
  data = await makeSmallData('bpe')
  folders = await makeFolders()
  out = join(data.root, 'run')
})
afterAll(async () => {
  data.dispose()
  folders.remove()
})

interface Answer {
  step: number
  status: number
  body: { model?: string; choices?: object[]; data?: object[]; error?: { code: string } }
}

const prompt = { prompt: 'the river', max_tokens: 6, temperature: 0.8, seed: 3, logprobs: 2 }

const ask = async (url: string, model: string, path = '/v1/completions', request: object = prompt): Promise<Answer> => {
  const response = await fetch(`${url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...request, model }),
  })
  const step = Number(response.headers.get('x-tunesmith-step'))
  return { step, status: response.status, body: (await response.json()) as Answer['body'] }
}

const streamed = async (client: OpenAI, model: string): Promise<string> => {
  let text = ''
  const stream = await client.completions.create({ ...prompt, model, stream: true })
  for await (const chunk of stream) {
    expect(chunk.model).toBe(model)
    text += chunk.choices[0].text
  }
  return text
}

/** Trains until it was asked enough; `asking` runs beside it with the model open for requests. */
const listener = (asking: () => Promise<void>): { listener: RunListener; asked: Promise<void> } => {
  const stop = new AbortController()
  let begin: () => void = () => undefined
  const open = new Promise<void>((resolve) => {
    begin = resolve
  })
  return {
    asked: open.then(asking).finally(() => stop.abort()),
    listener: {
      signal: stop.signal,
      onModel: async (model) => {
        const live = await LiveModel.open(model)
        begin()
        return live
      },
    },
  }
}

it('answers with weights in training, streamed or not, and follows a run that was stopped and resumed', async () => {
  const recipe = smallRecipe(data, out, {
    ...{ model: { type: 'gpt2', preset: 'test', config: { numLayers: 1 } }, objective: { type: 'causal-lm' } },
    ...{ budget: { steps: 100_000 }, evaluate: {}, checkpoint: { steps: 1 }, keep: { last: 2000 } },
  })
  const settings = { model: folders.base, specialists: { student: `run:${out}@live` } }
  const [answers, whole]: Answer[][] = [[], []]
  let both: { server: RunningServer; client: OpenAI } | undefined
  const first = listener(async () => {
    both = await startServer(settings)
    const { server, client } = both
    const [url, ...alone] = [server.url, await startServer({ model: `run:${out}@live`, name: 'alone' })]
    for (let i = 0; i < 6; i++) {
      answers.push(await ask(url, 'student'))
      whole.push(await ask(alone[0].url, 'alone'))
    }
    expect((await ask(url, 'base')).body.model).toBe('base')
    expect(await streamed(client, 'student')).not.toBe('')
    expect((await ask(url, 'student', '/v1/embeddings', { input: ['a river', 'a stone'] })).body.data).toHaveLength(2)
    // Its own process knows what it can do; what is at fault is refused without asking it.
    expect(await ask(url, 'student', '/v1/fill', { input: 'a' })).toMatchObject({ status: 400 })
    expect(await ask(url, 'student', '/v1/completions', { promt: 'a' })).toMatchObject({ status: 400, step: 0 })
    const { data: models } = await client.models.list()
    expect(models).toMatchObject([{ id: 'base' }, { id: 'student', head: 'causal-lm', max_model_len: 64 }])
    expect(await (await fetch(`${alone[0].url}/health`)).json()).toEqual({ status: 'ok' })
    expect(await (await fetch(`${alone[0].url}/metrics`)).text()).toContain('model_name="alone"')
    await expect(alone[0].server.service.models.load('low', folders.low)).rejects.toThrow(/needs a base in memory/)
    await alone[0].server.close()
  })
  const trained = pretrain(recipe, first.listener)
  await Promise.all([first.asked, trained])
  const { server, client } = both as NonNullable<typeof both>
  expect((await trained).reason).toBe('interrupted')
  for (const [list, model] of [
    [answers, 'student'],
    [whole, 'alone'],
  ] as const) {
    expect(list.map(({ status, body }) => [status, body.model])).toEqual(list.map(() => [200, model]))
    expect(new Set(list.map(({ step }) => step)).size).toBeGreaterThan(2)
  }
  // Each answer has the weights of its step: the checkpoint of that step gives the same.
  const { step, body } = answers.at(-1) as Answer
  await server.service.models.load('then', `run:${out}@${step}`)
  expect((await ask(server.url, 'then')).body.choices).toEqual(body.choices)

  expect(await ask(server.url, 'student')).toMatchObject({ status: 503, body: { error: { code: 'training_ended' } } })
  expect((await client.models.list()).data).toMatchObject([
    ...[{ id: 'base' }, { id: 'then' }],
    { id: 'student', endpoints: [] },
  ])
  await expect(startServer(settings)).rejects.toThrow(/needs a run that trains now, started with `--ui`/)
  await expect(findRunModel(`run:${out}@live`)).rejects.toThrow(/has no files/)

  const again = listener(async () => {
    const later = await ask(server.url, 'student')
    expect(later.status).toBe(200)
    expect(later.step).toBeGreaterThanOrEqual(step)
  })
  await Promise.all([again.asked, resume(out, again.listener)])
  await server.close()
  await rm(out, { recursive: true })
})

it.each([
  [{ task: 'one' }, /`task` has no effect on run:/],
  [{ speculation: { promptLookup: true } }, /`speculation` has no effect on run:/],
])('refuses settings of weights that it does not have: %j', async (more, message) => {
  await expect(startServer({ model: 'run:runs/gpt@live', ...more })).rejects.toThrow(message)
})
