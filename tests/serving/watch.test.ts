// Specialists that follow files while requests run: a watched folder of adapters, and the newest checkpoint of a run that trains.
import { cp, mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type OpenAI from 'openai'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { loadModel, loadTokenizer, saveModel } from '../../src/checkpoint/index.ts'
import { buildModel, freeWeights, type ModelDefinition, models } from '../../src/models/index.ts'
import type { RunningServer } from '../../src/serving/index.ts'
import { Generator, noGrad } from '../../src/tensor/index.ts'
import { collectedTensors, type ModelFolders, makeFolders, startServer } from './fixture.ts'

let folders: ModelFolders
let server: RunningServer
let client: OpenAI
const notes: string[] = []
const at = (...parts: string[]) => join(folders.folder, ...parts)

/** Puts a checkpoint of the run in its place at once, as training does. */
const writeCheckpoint = async (step: number, model: string, run = 'run'): Promise<void> => {
  const name = `step-${String(step).padStart(8, '0')}`
  await cp(model, at(run, `.${name}.tmp`, 'model'), { recursive: true })
  await mkdir(at(run, 'checkpoints'), { recursive: true })
  await rename(at(run, `.${name}.tmp`), at(run, 'checkpoints', name))
}

beforeAll(async () => {
  folders = await makeFolders()
  const other = await loadModel(folders.base)
  noGrad(() => other.body.embedTokens.weight.mul_(-1))
  await saveModel(other, at('second'), { tokenizer: at('tokenizer') })
  await mkdir(at('watched'))
  await cp(folders.low, at('watched/first'), { recursive: true })
  await writeCheckpoint(1, folders.base)
  await writeFile(at('run/run.json'), '{"command":"pretrain"}')
  const specialists = { low: folders.low, other: folders.other, newest: `run:${at('run')}`, one: `run:${at('run')}@1` }
  ;({ server, client } = await startServer(
    { model: folders.base, specialists, watchFolder: at('watched'), maxRows: 4, prefixCacheBytes: 2 ** 20 },
    undefined,
    (line) => notes.push(line),
  ))
})
afterAll(async () => {
  await server.close()
  folders.remove()
})

const ask = async (model: string): Promise<string> => {
  const prompt = 'The captain looked at the stars, and the old ship sailed on'
  const { choices } = await client.completions.create({ model, prompt, max_tokens: 8, temperature: 0 })
  return choices[0].text
}

const names = async () => (await client.models.list()).data.map(({ id }) => id)

const until = async (isDone: () => Promise<boolean>): Promise<void> => {
  while (!(await isDone())) await new Promise((resolve) => setTimeout(resolve, 50))
}

it('serves adapters of a watched folder as they come, change and go, while requests run', async () => {
  const [low, other] = [await ask('low'), await ask('other')]
  expect(low).not.toBe(other)
  expect(await ask('first')).toBe(low)
  await cp(folders.other, at('watched/second'), { recursive: true })
  await until(async () => (await names()).includes('second'))
  expect(await ask('second')).toBe(other)

  // Replaced at once: each answer is that of one version, and once the new one has answered, the old one never does again.
  const answers: string[] = []
  let isLoading = true
  const crowd = Array.from({ length: 3 }, async () => {
    while (isLoading) answers.push(await ask('first'))
  })
  await cp(folders.other, at('.new'), { recursive: true })
  await rm(at('watched/first'), { recursive: true })
  await rename(at('.new'), at('watched/first'))
  await until(async () => (await names()).includes('first') && (await ask('first')) === other)
  isLoading = false
  await Promise.all(crowd)
  expect(new Set(answers)).toEqual(new Set([low, other]))
  expect(answers.indexOf(other)).toBeGreaterThan(answers.lastIndexOf(low) - 3)
  expect(await ask('first')).toBe(other)

  await rm(at('watched/second'), { recursive: true })
  await until(async () => !(await names()).includes('second'))
  await expect(ask('second')).rejects.toMatchObject({ status: 404 })
})

it('keeps serving when an adapter of the watched folder is damaged, or has a name that is taken', async () => {
  await cp(folders.low, at('watched/low'), { recursive: true })
  await cp(folders.low, at('watched/broken'), { recursive: true })
  await writeFile(at('watched/broken/adapter_model.safetensors'), 'nothing')
  await until(async () => notes.length >= 2)
  expect(notes.sort()).toEqual([expect.stringContaining('broken'), expect.stringContaining('a model low already')])
  expect(await names()).not.toContain('broken')
  await rm(at('watched/broken/adapter_model.safetensors'))
  await cp(join(folders.low, 'adapter_model.safetensors'), at('watched/broken/adapter_model.safetensors'))
  await until(async () => (await names()).includes('broken'))
  expect(await ask('broken')).toBe(await ask('low'))
})

it('serves a checkpoint of a run, and follows the newest one where no step is named', async () => {
  const first = await ask('base')
  expect([await ask('newest'), await ask('one')]).toEqual([first, first])
  await writeCheckpoint(2, at('second'))
  await until(async () => (await ask('newest')) !== first)
  expect(await ask('one')).toBe(first)
  await expect(server.service.models.load('gone', `run:${at('run')}@7`)).rejects.toThrow(/Choose one of 2, 1/)
  await expect(server.service.models.load('gone', `run:${at('nothing')}`)).rejects.toThrow(/Expected a run/)
})

it('follows a run as its base, and gives each request one version of the weights from its beginning to its end', async () => {
  await cp(at('run/run.json'), at('trained/run.json'))
  await writeCheckpoint(1, folders.base, 'trained')
  const settings = { model: `run:${at('trained')}`, name: 'trained', maxRows: 4, prefixCacheBytes: 2 ** 20 }
  const followed = await startServer({ ...settings, speculation: { promptLookup: true } })
  const long = async (): Promise<string> => {
    const request = { model: 'trained', prompt: 'The captain looked', max_tokens: 60, seed: 1, stream: true } as const
    let text = ''
    for await (const { choices } of await followed.client.completions.create(request)) text += choices[0].text
    return text
  }
  const first = await long()
  const answers: string[] = []
  let isLoading = true
  const crowd = Array.from({ length: 4 }, async () => {
    while (isLoading) answers.push(await long())
  })
  await writeCheckpoint(2, at('second'), 'trained')
  await until(async () => answers.some((answer) => answer !== first))
  isLoading = false
  await Promise.all(crowd)
  const second = await long()
  expect(second).not.toBe(first)
  expect(new Set(answers)).toEqual(new Set([first, second]))
  // The old weights are freed when the last request that had them is over.
  await until(async () => followed.server.service.models.engines.length === 1)
  expect((await followed.client.models.list()).data.map(({ id }) => id)).toEqual(['trained'])
  await expect(followed.server.service.models.load('low', folders.low)).resolves.toBeDefined()
  await expect(followed.server.service.models.replaceBase(folders.base)).rejects.toThrow(/specialists share its memory/)
  await followed.server.close()
})

it('says once that the watched folder is gone, and keeps serving', async () => {
  notes.length = 0
  await rm(at('watched'), { recursive: true })
  // Three looks, one a second.
  await new Promise((resolve) => setTimeout(resolve, 3500))
  expect(notes).toEqual([expect.stringContaining('ENOENT')])
  expect(await ask('first')).toBe(await ask('other'))
})

it('frees a model whose loading ends after the server has stopped', async () => {
  const { server: stopped } = await startServer({ model: folders.base })
  const loading = stopped.service.models.load('late', folders.base)
  stopped.service.close()
  await expect(loading).rejects.toThrow(/stopped while late was loaded/)
  await until(async () => stopped.service.models.engines.length === 0)
  await stopped.close()
})

it('frees a model or an adapter whose loading fails after its weights were read', async () => {
  const { server: own } = await startServer({ model: folders.base, context: 200 })
  const { models: served } = own.service
  // An encoder with fewer positions than the server was told to use.
  const definition = models.bert as unknown as ModelDefinition
  const { maxId } = await loadTokenizer(at('tokenizer'))
  const config = definition.adjust(definition.presets.test, { vocabSize: maxId + 1, maxPositions: 64 })
  const encoder = buildModel(definition, config, 'masked-lm').initialize({ std: 0.3, generator: new Generator(3) })
  await saveModel(encoder, at('whole'), { tokenizer: at('tokenizer') })
  const broken = at('broken')
  await cp(folders.low, broken, { recursive: true })
  await writeFile(join(broken, 'tokenizer.json'), '{}')
  /** Tensors that are left. Handles on the files stay until they are collected, with weights that are freed at once too. */
  const leftBy = async (load: () => Promise<unknown>) => {
    const before = await collectedTensors()
    await load()
    return (await collectedTensors()) - before
  }
  const loadAndFree = async () => freeWeights(await loadModel(at('whole')))
  const loadAndRemove = async () => {
    await served.load('low', folders.low)
    served.remove('low')
    await served.engines[0].inTurn(async () => undefined)
  }
  // The first adapter also makes what stays, such as the bank of the base.
  await loadAndRemove()
  const [whole, adapter] = [await leftBy(loadAndFree), await leftBy(loadAndRemove)]
  const failedWhole = await leftBy(() =>
    expect(served.load('whole', at('whole'))).rejects.toThrow(/at most 64 for `context`/),
  )
  const failedAdapter = await leftBy(() => expect(served.load('broken', broken)).rejects.toThrow())
  expect(failedWhole).toBeLessThanOrEqual(whole)
  expect(failedAdapter).toBeLessThanOrEqual(adapter)
  expect(served.engines).toHaveLength(1)
  await own.close()
})
