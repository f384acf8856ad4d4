// What an engine does before its first request: short texts of its own, which no client notices.
import { afterAll, beforeAll, expect, it } from 'vitest'
import { loadToOpen } from '../../src/inference/index.ts'
import { Engine, type EngineOptions } from '../../src/serving/models/engine.ts'
import { type ModelFolders, makeFolders, startServer } from './fixture.ts'

let folders: ModelFolders
beforeAll(async () => {
  folders = await makeFolders({ maxPositions: 8 })
})
afterAll(() => folders.remove())

const options = { maxRows: 4, prefillTokens: 16, prefixCacheBytes: 2 ** 20, packedWeightBytes: 0 }

const open = async (more: Partial<EngineOptions> = {}) => {
  const engine = new Engine(await loadToOpen(folders.base), { ...options, ...more })
  const { scheduler } = engine
  if (scheduler === undefined) throw new Error('Expected a model that writes text.')
  return { engine, scheduler }
}

it('uses memory and code once, behind requests, whose texts are those of an engine that did not', async () => {
  const request = { prompt: [40, 41, 42], options: { maxNewTokens: 5 } }
  const cold = await open()
  const expected = await cold.scheduler.submit(request).result
  const warm = await open()
  warm.engine.warmUp()
  expect(warm.scheduler.load).toEqual({ waiting: 4, running: 0 })
  const { ids } = await warm.scheduler.submit(request).result
  expect(ids).toEqual(expected.ids)
  await warm.scheduler.idle()
  expect(warm.scheduler.load).toEqual({ waiting: 0, running: 0 })
  for (const { engine } of [cold, warm]) engine.close()
})

it('leaves weights alone that belong to a training loop', async () => {
  const { engine, scheduler } = await open({ borrowed: () => 0 })
  engine.warmUp()
  expect(scheduler.load).toEqual({ waiting: 0, running: 0 })
  engine.close()
})

it('is done by a server, in no metric', async () => {
  const { server } = await startServer({ model: folders.base, name: 'base' })
  await server.service.models.engines[0].scheduler?.idle()
  const metrics = await (await fetch(`${server.url}/metrics`)).text()
  expect(metrics.split('\n').filter((line) => /^vllm:\w+_tokens_total.* [^0]/.test(line))).toEqual([])
  await server.close()
})
