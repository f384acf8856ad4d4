// Gradients of every way of adapting do not depend on how a batch goes through the model: padded or packed, in whatever order and parts.
// float32, dropout of everything that has it, drawn values in place of fresh ones, which would change nothing.
import { describe, expect, it } from 'vitest'
import { type AdapterConfig, type AdapterType, adapters, applyAdapter } from '../../src/adapters/index.ts'
import { createRandom } from '../../src/core/index.ts'
import { buildModel, type ModelDefinition, type ModelType, models } from '../../src/models/index.ts'
import { Generator, noGrad, setThreads } from '../../src/tensor/index.ts'
import { computeGradients } from '../../src/training/index.ts'
import { belowOf } from '../adapters/methods.ts'
import { testDevice } from '../device.ts'
import { classLearner, classRow } from './class-learner.ts'

setThreads(1)

const architectures: ModelType[] = ['bert', 'roberta', 'distilbert', 'electra', 'deberta-v2', 'gpt2', 'llama', 't5']
const variants = Object.keys(adapters) as AdapterType[]
const settings: Partial<Record<AdapterType, object>> = {
  'last-n-layers': { layers: 1 },
  lora: { targets: 'all-linear', rank: 3, dropout: 0.2 },
  'prefix-tuning': { virtualTokens: 3 },
  'prompt-tuning': { virtualTokens: 3 },
}
const dropouts = { hiddenDropout: 0.1, attentionDropout: 0.2, embeddingDropout: 0.1, dropout: 0.1 }

const random = createRandom('variants')
const rows = Array.from({ length: 9 }, (_, i) =>
  classRow(
    Array.from({ length: [2, 17, 5, 9, 3, 13, 7, 1, 11][i] }, () => 7 + random.integer(80)),
    i % 3,
  ),
)

const open = (type: ModelType, variant: AdapterType) => {
  const definition = models[type] as ModelDefinition
  const known = Object.keys(definition.config.parse({}))
  const noisy = Object.fromEntries(Object.entries(dropouts).filter(([field]) => known.includes(field)))
  const config = definition.adjust(definition.presets.test, noisy)
  const model = buildModel(definition, config, 'sequence-classification', { labels: ['a', 'b', 'c'], dropout: 0.1 })
  model.initialize({ std: 0.1, generator: new Generator(1) }).to({ device: testDevice })
  const applied = applyAdapter(model, { type: variant, ...settings[variant] } as AdapterConfig, {
    below: belowOf(variant, model),
  })
  const generator = new Generator(2)
  if (!applied.inPlace)
    noGrad(() => {
      for (const tensor of applied.trainable.values()) tensor.detach().normal_(0.1, 0.1, { generator })
    })
  applied.model.train()
  return applied
}

describe.each(architectures)('%s', (type) => {
  // Llama and T5 have no bias terms: bitfit refuses them, as tests/training/finetune-writing.test.ts says. LoRA alone has dropout on the
  // table of distances that all examples share in DeBERTa.
  const usable = variants.filter((variant) =>
    type === 'deberta-v2' ? variant === 'lora' : !(variant === 'bitfit' && (type === 'llama' || type === 't5')),
  )
  it.each(usable)('%s', async (variant) => {
    const applied = open(type, variant)
    const learner = classLearner(3)
    const trainable = { model: applied.model, objective: learner, parameters: applied.trainable }
    const gradientsOf = async (examples: typeof rows, how: object) => {
      // Dropout masks go with the examples, whatever their order.
      const numbers = examples.map((row) => rows.indexOf(row))
      const common = { microTokens: 8192, padded: true, device: testDevice, recompute: 0, generator: new Generator(3) }
      const options = { ...common, numbers, ...how }
      const { gradients, loss, release } = await computeGradients(trainable, examples, options)
      const values = new Map([...gradients].map(([path, tensor]) => [path, tensor.toFloat32Array()]))
      release()
      return { loss, values }
    }
    const reference = await gradientsOf(rows, {})
    const { loss: otherMasks } = await gradientsOf(rows, { generator: new Generator(4) })
    expect(Math.abs(otherMasks - reference.loss)).toBeGreaterThan(1e-4)
    const largest = Math.max(...[...reference.values.values()].flatMap((values) => [...values].map(Math.abs)))
    expect(largest).toBeGreaterThan(0)
    const others = {
      packed: await gradientsOf(rows, { padded: false }),
      'packed in parts': await gradientsOf(rows, { padded: false, microTokens: 20 }),
      'packed, recomputed': await gradientsOf(rows, { padded: false, recompute: 2 }),
      'sorted, padded in parts': await gradientsOf(
        [...rows].sort((a, b) => a.ids.length - b.ids.length),
        { microTokens: 24 },
      ),
      'another order, packed': await gradientsOf([...rows].reverse(), { padded: false }),
      'one by one': await gradientsOf(rows, { microTokens: 1 }),
    }
    for (const [name, { loss, values }] of Object.entries(others)) {
      expect(Math.abs(loss - reference.loss), name).toBeLessThan(1e-5)
      expect([...values.keys()], name).toEqual([...reference.values.keys()])
      for (const [path, expected] of reference.values) {
        const given = values.get(path)!
        const worst = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - given[i])), 0)
        expect(worst / Math.max(1, largest), `${name}: ${path}`).toBeLessThan(2e-5)
      }
    }
  })
})
