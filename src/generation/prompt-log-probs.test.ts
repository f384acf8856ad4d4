// Log-probabilities of a text do not depend on the parts in which it is computed, and other work runs between them.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildModel, type Model, models } from '../models/index.ts'
import { defaultDevice, Generator, isBatchInvariant, liveTensors, setBatchInvariant } from '../tensor/index.ts'
import { promptLogProbs } from './prompt-log-probs.ts'

const before = isBatchInvariant()
// A forward pass over several tokens then has the bits of one after the other.
beforeAll(() => setBatchInvariant(true))
afterAll(() => setBatchInvariant(before))

const build = (): Model => {
  const config = models.llama.config.parse({ ...models.llama.presets.test, vocabSize: 256 })
  return buildModel(models.llama as never, config, 'causal-lm')
    .initialize({ std: 0.4, generator: new Generator(5) })
    .to({ device: defaultDevice() })
}
const ids = Array.from({ length: 23 }, (_, i) => (i * 37) % 256)

describe('promptLogProbs', () => {
  it('gives the same in parts of any length', async () => {
    const model = build()
    const whole = await promptLogProbs(model, ids, { top: 2 })
    expect(whole.map(({ id }) => id)).toEqual(ids.slice(1))
    // The first parts prepare what later ones use.
    await promptLogProbs(model, ids, { partTokens: 4 })
    const live = liveTensors()
    for (const partTokens of [1, 4, 22]) {
      const parts = await promptLogProbs(model, ids, { top: 2, partTokens })
      expect(parts.map(({ id }) => id)).toEqual(ids.slice(1))
      for (const [i, { logProb, alternatives }] of parts.entries()) {
        expect(logProb).toBeCloseTo(whole[i].logProb, 4)
        expect(alternatives.map((one) => one.id)).toEqual(whole[i].alternatives.map((one) => one.id))
      }
    }
    expect(liveTensors()).toBe(live)
    expect(await promptLogProbs(model, [3])).toEqual([])
  })

  it('lets other work run before each part, and stops there when told', async () => {
    const stop = new AbortController()
    let turns = 0
    const turn = async () => {
      if (++turns === 3) stop.abort()
    }
    const model = build()
    await promptLogProbs(model, ids, { partTokens: 11, turn })
    expect(turns).toBe(2)
    await expect(promptLogProbs(model, ids, { partTokens: 4, turn, signal: stop.signal })).rejects.toThrow(/abort/)
    expect(turns).toBe(3)
  })
})
