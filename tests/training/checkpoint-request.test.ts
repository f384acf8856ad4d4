// A checkpoint that another process asks for: it is an ordinary one, and the training has the same bits as without.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { exists } from '../../src/core/index.ts'
import { pretrain, runFiles } from '../../src/runs/index.ts'
import { eventsOf, makeSmallData, remainsOf, type SmallData, smallRecipe } from './small-run.ts'

let data: SmallData
beforeAll(async () => {
  data = await makeSmallData()
})
afterAll(() => data.dispose())

const isCheckpoint = (event: object): boolean => (event as { type: string }).type === 'checkpoint'

it('is written after the current step, and changes nothing else', async () => {
  const [plain, asked] = ['plain', 'asked'].map((name) => join(data.root, name))
  await pretrain(smallRecipe(data, plain))
  const request = join(asked, runFiles.checkpointRequest)
  await pretrain(smallRecipe(data, asked), {
    onEvent: (event) => {
      if (event.type === 'step' && event.step === 5) writeFileSync(request, '')
    },
  })
  const events = await eventsOf(asked)
  const steps = events.filter(isCheckpoint).map((event) => (event as { step: number }).step)
  // Every third step, before each evaluation, at the end, and the one that was asked for.
  expect(steps).toEqual([3, 5, 6, 7, 9, 12, 14, 15, 18, 20])
  expect(await exists(request)).toBe(false)
  expect(events.filter((event) => !isCheckpoint(event))).toEqual(
    (await eventsOf(plain)).filter((event) => !isCheckpoint(event)),
  )
  expect(remainsOf(asked)).toEqual(remainsOf(plain))
})

it('is forgotten when the run ends', async () => {
  const out = join(data.root, 'left')
  await pretrain(smallRecipe(data, out, { budget: { steps: 4 } }), {
    onEvent: (event) => {
      if (event.type === 'end') writeFileSync(join(out, runFiles.checkpointRequest), '')
    },
  })
  expect(await exists(join(out, runFiles.checkpointRequest))).toBe(false)
})
