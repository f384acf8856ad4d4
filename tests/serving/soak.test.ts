// A crowd whose clients leave by chance while an adapter is replaced. `npm run bench -- serve-soak` does the same with 10,000 requests.
import { afterAll, beforeAll, expect, it } from 'vitest'
import { soak } from '../../bench/serving/soak.ts'
import type { RunningServer } from '../../src/serving/index.ts'
import { away, sameBits, skippedAway } from '../device.ts'
import { type ModelFolders, makeFolders, startServer } from './fixture.ts'

let folders: ModelFolders
let server: RunningServer
const reported: unknown[] = []

beforeAll(async () => {
  folders = await makeFolders()
  const specialists = { low: folders.low, other: folders.other }
  const settings = { model: folders.base, specialists, adapterFolder: folders.folder, maxRows: 8 }
  const speculation = { promptLookup: true }
  ;({ server } = await startServer({ ...settings, speculation, prefixCacheBytes: 2 ** 20 }, (error) =>
    reported.push(error),
  ))
})
afterAll(async () => {
  await server.close()
  folders.remove()
})

it.skipIf(away)(
  `answers each request of a crowd as it would alone, and keeps nothing of those that leave${skippedAway(sameBits)}`,
  async () => {
    const models = { writers: ['base', 'low', 'other'], swapped: { name: 'swapped', folders: ['low', 'other'] } }
    const report = await soak(server, models, { requests: 144, clients: 16 })
    expect(report.faults).toEqual([])
    expect(reported).toEqual([])
    expect(report.answered + report.refused + report.left).toBe(144)
    expect([report.answered, report.refused, report.left].every((count) => count > 10)).toBe(true)
    expect(report.tensors[1]).toBe(report.tensors[0])
  },
)

it.skipIf(away)(
  `has the same answers with a draft model, and counts the tokens that it proposed${skippedAway(sameBits)}`,
  async () => {
    const drafted = await startServer({ model: folders.base, name: 'base', speculation: { draftModel: folders.base } })
    const ask = async (url: string, seed: number) => {
      const response = await fetch(`${url}/v1/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'base', prompt: 'The old ship', max_tokens: 30, seed, logprobs: 1 }),
      })
      return ((await response.json()) as { choices: object[] }).choices
    }
    for (const seed of [1, 2, 3]) expect(await ask(drafted.url, seed)).toEqual(await ask(server.url, seed))
    const metrics = await (await fetch(`${drafted.url}/metrics`)).text()
    const accepted = Number(/^vllm:spec_decode_num_accepted_tokens_total\S* (\d+)$/m.exec(metrics)?.[1])
    expect(accepted).toBeGreaterThan(60)
    await drafted.server.close()
  },
)

it.each([
  [{ draftTokens: 3 }, /has no effect/],
  [{ promptLookup: true, draftModel: 'x' }, /got both/],
])('refuses settings of speculative decoding that cannot work: %j', async (speculation, message) => {
  await expect(startServer({ model: folders.base, speculation })).rejects.toThrow(message)
})
