// What is left of a run that an error ends: the last sound weights are saved first, and the run resumes to the same bits.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { pretrain, resume } from '../../src/runs/index.ts'
import { setThreads } from '../../src/tensor/index.ts'
import { makeSmallData, remainsOf, type SmallData, smallRecipe } from './small-run.ts'

setThreads(1)
let data: SmallData
const at = (name: string) => join(data.root, name)
// No checkpoint but those that a test makes necessary.
const rare = { checkpoint: {}, evaluate: {}, keep: { last: 2 }, budget: { steps: 12 } }

beforeAll(async () => {
  data = await makeSmallData()
})
afterAll(() => data.dispose())

it('a listener that throws ends the run after a save, and the resumed run has the bits of an undisturbed one', async () => {
  await pretrain(smallRecipe(data, at('whole'), rare))
  const out = at('thrown')
  const ending = pretrain(smallRecipe(data, out, rare), {
    onEvent: (event) => {
      if (event.type === 'step' && event.step === 5) throw new Error('The listener is broken.')
    },
  })
  await expect(ending).rejects.toThrow('The listener is broken.')
  expect(readdirSync(join(out, 'checkpoints'))).toEqual(['step-00000005'])
  const lines = readFileSync(join(out, 'events.jsonl'), 'utf8').trimEnd().split('\n')
  const events = lines.map((line) => JSON.parse(line) as { type: string; step: number; reason?: string })
  expect(events.slice(-2)).toMatchObject([
    { type: 'checkpoint', step: 5 },
    { type: 'end', step: 5, reason: 'failed' },
  ])
  await resume(out)
  const model = 'model/model.safetensors'
  expect(remainsOf(out)[model]).toBe(remainsOf(at('whole'))[model])
})
