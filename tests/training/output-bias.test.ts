// A run's model may begin with what its text says of how common words are: that, and nothing else, differs from the published beginning.
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { parseConfig } from '../../src/core/index.ts'
import { openTokens } from '../../src/data/index.ts'
import { buildRun, pretrain, pretrainSchema, resume } from '../../src/runs/index.ts'
import { makeSmallData, type SmallData, smallRecipe } from './small-run.ts'

let data: SmallData
beforeAll(async () => {
  data = await makeSmallData()
})
afterAll(() => data.dispose())

const stateOf = async (more: object) => {
  const run = await buildRun(parseConfig(pretrainSchema, smallRecipe(data, join(data.root, 'unused'), more), 'test'))
  try {
    return new Map(
      [...run.trainable.model.parameters()].map(([path, tensor]) => [path, tensor.flatten().toArray() as number[]]),
    )
  } finally {
    run.close()
  }
}

const path = 'head.lmHead.bias'

it('begins at the logarithms of the shares of the training text, and otherwise as ever', async () => {
  const [plain, informed] = [await stateOf({}), await stateOf({ outputBias: 'frequencies' })]
  const bias = informed.get(path) ?? []
  expect(new Set(plain.get(path))).toEqual(new Set([0]))
  expect([...informed].filter(([name]) => name !== path)).toEqual([...plain].filter(([name]) => name !== path))
  const text = await openTokens(data.shards, 'train')
  const counts = new Float64Array(bias.length).fill(1)
  for (const id of text.readTokens(0, text.tokens)) counts[id]++
  counts.forEach((count, id) => {
    expect(bias[id]).toBeCloseTo(Math.log(count / (text.tokens + bias.length)), 4)
  })
  text.close()
})

it('weighs several texts as the run draws from them', async () => {
  const twice = await stateOf({ data: [data.shards, data.shards], dataWeights: [3, 1], outputBias: 'frequencies' })
  expect(twice.get(path)).toEqual((await stateOf({ outputBias: 'frequencies' })).get(path))
})

it('is trained from there, and kept when a run is resumed', async () => {
  const more = { outputBias: 'frequencies', budget: { steps: 6 }, average: undefined } as const
  const out = join(data.root, 'whole')
  const whole = await pretrain(smallRecipe(data, out, more))
  expect(whole.reason).toBe('finished')
  const stop = new AbortController()
  const parted = smallRecipe(data, join(data.root, 'parted'), more)
  await pretrain(parted, {
    signal: stop.signal,
    onEvent: (event) => {
      if (event.type === 'step' && event.step === 4) stop.abort()
    },
  })
  expect((await resume(parted.out)).loss).toBe(whole.loss)
})

it('refuses heads without a bias, and bases that have one', async () => {
  const frequencies = { outputBias: 'frequencies' } as const
  const gpt = { type: 'gpt2', preset: 'test', config: {} } as const
  await expect(stateOf({ ...frequencies, model: gpt, objective: { type: 'causal-lm' } })).rejects.toThrow(
    'needs a head with an output bias, which causal-lm of this model has not',
  )
  await expect(stateOf({ ...frequencies, model: undefined, base: join(data.root, 'whole') })).rejects.toThrow(
    'Expected a new model for `outputBias`',
  )
})
