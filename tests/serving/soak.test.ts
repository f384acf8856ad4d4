// A crowd whose clients leave by chance while an adapter is replaced. `npm run bench -- serve-soak` does the same with 10,000 requests.
import { afterAll, beforeAll, expect, it } from 'vitest'
import { soak } from '../../bench/serving/soak.ts'
import type { RunningServer } from '../../src/serving/index.ts'
import { type ModelFolders, makeFolders, startServer } from './fixture.ts'

let folders: ModelFolders
let server: RunningServer
const reported: unknown[] = []

beforeAll(async () => {
  folders = await makeFolders()
  const specialists = { low: folders.low, other: folders.other }
  const settings = { model: folders.base, specialists, adapterFolder: folders.folder, maxRows: 8 }
  ;({ server } = await startServer({ ...settings, prefixCacheBytes: 2 ** 20 }, (error) => reported.push(error)))
})
afterAll(async () => {
  await server.close()
  folders.remove()
})

it('answers each request of a crowd as it would alone, and keeps nothing of those that leave', async () => {
  const models = { writers: ['base', 'low', 'other'], swapped: { name: 'swapped', folders: ['low', 'other'] } }
  const report = await soak(server, models, { requests: 300, clients: 16 })
  expect(report.faults).toEqual([])
  expect(reported).toEqual([])
  expect(report.answered + report.refused + report.left).toBe(300)
  expect([report.answered, report.refused, report.left].every((count) => count > 20)).toBe(true)
  expect(report.tensors[1]).toBe(report.tensors[0])
})
