// What must not change a preference loss: micro-batches, padding, packing and order. And what must hold of every objective: gradients
// are those of finite differences, the weights of its terms are known before, and its metrics are registered.
import { describe, expect, it } from 'vitest'
import {
  frozenCopy,
  modelReference,
  type PreferenceInput,
  type PreferencePair,
  pairOf,
  preferenceCriterion,
  preferenceSchema,
  preferences,
  preferenceTypes,
  type RatedCompletion,
  ratingCriterion,
} from '../../src/alignment/index.ts'
import { parseConfig } from '../../src/core/index.ts'
import type { Criterion } from '../../src/objectives/index.ts'
import { Generator, noGrad, randn, scope, type Tensor } from '../../src/tensor/index.ts'
import { metricDirection } from '../../src/tracking/index.ts'
import { placed } from '../device.ts'
import { build, random } from '../objectives/small-models.ts'
import { gradientError, type StepForm, stepOf } from './preference-steps.ts'

const draw = random('preference pairs')
const ids = (length: number) => Array.from({ length }, () => 7 + draw.integer(110))
const completion = (prompt: readonly number[], length: number) => ({
  ids: Uint32Array.from([...prompt, ...ids(length - 1), 6]),
  starts: [0],
  promptTokens: prompt.length,
  truncatedTokens: 0,
})
const lengths = [
  [4, 6, 3],
  [1, 2, 9],
  [7, 5, 5],
  [3, 1, 4],
  [2, 8, 6],
  [5, 3, 1],
]
const pairs: PreferencePair[] = lengths.map(([prompt, chosen, rejected]) => {
  const start = ids(prompt)
  return pairOf(completion(start, chosen), completion(start, rejected))
})
const ratings: RatedCompletion[] = lengths.map(([prompt, length], i) => ({
  ...completion(ids(prompt), length),
  good: i % 3 !== 0,
}))

const model = build('llama', 'causal-lm', { std: 0.2 })
const reference = modelReference(frozenCopy(model))
noGrad(() => {
  const generator = new Generator(3)
  for (const parameter of model.parameters().values())
    parameter.detach().add_(placed(randn(parameter.shape, { generator }).mul(0.03)))
})

const extra: PreferenceInput[] = [
  { type: 'dpo', sftWeight: 0.5, weighting: true, tailWeight: 0.3, labelSmoothing: 0.1 },
  { type: 'dpo', divergence: 'jensen-shannon' },
  { type: 'aot', tailWeight: 0.3 },
  { type: 'bco', shift: 'none' },
  { type: 'kto', baseline: 'none', desirableWeight: 2 },
  { type: 'orpo', promptLoss: false },
]
const configs: PreferenceInput[] = [...preferenceTypes().map((type) => ({ type }) as PreferenceInput), ...extra]

/** A criterion with the examples that it learns from. */
interface Case {
  run(form: StepForm, change?: (examples: readonly never[]) => readonly never[]): ReturnType<typeof stepOf>
}
const caseOf = (input: PreferenceInput): Case => {
  const config = parseConfig(preferenceSchema, input, 'objective')
  const on = <Example>(criterion: Criterion<Example>, examples: readonly Example[]): Case => ({
    run: (form, change) =>
      stepOf(criterion, model, change === undefined ? examples : change(examples as readonly never[]), form),
  })
  return preferences[config.type].data === 'ratings'
    ? on(ratingCriterion(config, { reference }), ratings)
    : on(preferenceCriterion(config, { reference }), pairs)
}

const forms: [string, StepForm][] = [
  ['micro-batches of 1', { micro: 1, padded: false }],
  ['padding on the right, and small passes in prepare', { padded: true, microTokens: 1, multipleOf: 16 }],
  ['padding on the left, in uneven micro-batches', { padded: true, side: 'left', micro: 4, microTokens: 40 }],
]
const splits = [2, 3, 5].map((micro): [string, StepForm] => [`micro-batches of ${micro}`, { micro, padded: false }])

describe.each(configs.map((config) => [JSON.stringify(config), config] as const))('%s', (_, config) => {
  it('has one loss, gradient and statistics, however the batch is computed', async () => {
    const whole = await caseOf(config).run({ padded: false })
    const same = async (what: string, got: typeof whole) => {
      expect(Math.abs(got.loss - whole.loss) / Math.max(1, Math.abs(whole.loss)), what).toBeLessThan(1e-6)
      expect(gradientError(got.gradients, whole.gradients), what).toBeLessThan(1e-5)
      expect(Object.keys(got.metrics)).toEqual(Object.keys(whole.metrics))
      for (const [name, value] of Object.entries(whole.metrics))
        expect(Math.abs(got.metrics[name] - value) / Math.max(1, Math.abs(value)), `${name}, ${what}`).toBeLessThan(
          1e-5,
        )
    }
    const all = config === configs[0] ? [...forms, ...splits] : forms
    for (const [what, form] of all) await same(what, await caseOf(config).run(form))
    await same('another order', await caseOf(config).run({ padded: false, micro: 2 }, (list) => [...list].reverse()))
    for (const name of [...Object.keys(whole.metrics), ...Object.keys(whole.terms)])
      expect(metricDirection(name), `${name} is registered`).toBeDefined()
  })
})

/** The objectives with a value of the whole batch that counts as a constant. */
const constants = ['bco', 'kto']

it.each(preferenceTypes().filter((type) => !constants.includes(type)))(
  'has the gradient of finite differences: %s',
  async (type) => {
    // Differences of float32 losses need a loss of moderate size.
    const config = type === 'sppo' ? { type, beta: 0.5 } : { type }
    const { run } = caseOf(config as PreferenceInput)
    const { gradients } = await run({ padded: false })
    const directions = new Map(
      [...model.parameters()].map(([path, { shape }], i) => [
        path,
        placed(randn(shape, { generator: new Generator(i) })),
      ]),
    )
    const move = (by: number) =>
      noGrad(() =>
        scope(() => {
          for (const [path, parameter] of model.parameters())
            parameter.detach().add_((directions.get(path) as Tensor).mul(by))
        }),
      )
    const step = 5e-4
    move(step)
    const { loss: above } = await run({ padded: false })
    move(-2 * step)
    const { loss: below } = await run({ padded: false })
    move(step)
    let expected = 0
    for (const [path, values] of gradients) {
      const direction = (directions.get(path) as Tensor).toFloat32Array()
      values.forEach((value, i) => {
        expected += value * direction[i]
      })
    }
    const found = (above - below) / (2 * step)
    expect(Math.abs(found - expected) / Math.max(0.1, Math.abs(expected)), `${found} against ${expected}`).toBeLessThan(
      0.02,
    )
  },
)
