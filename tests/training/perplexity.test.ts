// The perplexity of pretraining is that of the tokens, whatever factor an objective gives its loss.
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { defineObjective, objectives, registerObjective } from '../../src/objectives/index.ts'
import { pretrain } from '../../src/runs/index.ts'
import { makeSmallData, type SmallData, smallRecipe } from './small-run.ts'

let data: SmallData
beforeAll(async () => {
  data = await makeSmallData('bpe')
  const { config, head, create } = objectives['causal-lm']
  registerObjective(
    defineObjective({
      type: 'tripled-lm',
      source: 'a test',
      config,
      head,
      create(settings, context) {
        const own = create(settings, context)
        return {
          ...own,
          loss(model, batch, options) {
            const { terms, metrics } = own.loss(model, batch, options)
            return { terms: terms.map((term) => ({ ...term, scale: 3 * term.scale })), metrics }
          },
        }
      },
    }),
  )
})
afterAll(() => data.dispose())

it('leaves out the factor of the loss', async () => {
  const metricsOf = async (type: string) => {
    const more = {
      model: { type: 'gpt2', preset: 'test' },
      objective: { type },
      budget: { steps: 1 },
      learningRate: 1e-9,
      average: undefined,
      prompts: [],
    }
    return (await pretrain(smallRecipe(data, join(data.root, type), more))).metrics
  }
  const [plain, tripled] = [await metricsOf('causal-lm'), await metricsOf('tripled-lm')]
  expect(plain.perplexity).toBeCloseTo(Math.exp(plain.loss), 6)
  expect(tripled.loss).toBeCloseTo(3 * plain.loss, 4)
  expect(tripled.perplexity / plain.perplexity).toBeCloseTo(1, 5)
})
