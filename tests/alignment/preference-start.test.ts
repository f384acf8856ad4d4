// What holds before the first step, and what a preference run carries: equalities that find a wrong start, references that follow the
// policy, running means, resumed runs, and settings that are refused.
import { mkdtempSync, rmSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { applyAdapter } from '../../src/adapters/index.ts'
import {
  adapterCopyReference,
  adaptersOffReference,
  assertEqualities,
  findPreference,
  frozenCopy,
  modelReference,
  type PreferenceInput,
  type PreferencePair,
  pairOf,
  preferenceCriterion,
  preferenceSchema,
  preferenceTypes,
  type RatedCompletion,
  type Reference,
  ratingCriterion,
  startEqualities,
} from '../../src/alignment/index.ts'
import { openSafetensors, saveSafetensors } from '../../src/checkpoint/index.ts'
import { parseConfig } from '../../src/core/index.ts'
import type { Model } from '../../src/models/index.ts'
import type { Criterion } from '../../src/objectives/index.ts'
import { createOptimizer } from '../../src/optim/index.ts'
import { Generator, noGrad, randn } from '../../src/tensor/index.ts'
import {
  evaluateValidation,
  initialState,
  type LoopState,
  readSnapshot,
  runLength,
  type SnapshotParts,
  train,
  trainedParameters,
  trainingSchema,
  writeSnapshot,
} from '../../src/training/index.ts'
import { placed, testDevice } from '../device.ts'
import { build, random } from '../objectives/small-models.ts'
import { stepOf } from './preference-steps.ts'

const scratch = mkdtempSync(join(tmpdir(), 'preferences-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

const draw = random('preference starts')
const ids = (length: number) => Array.from({ length }, () => 7 + draw.integer(110))
const completion = (prompt: readonly number[], length: number) => ({
  ids: Uint32Array.from([...prompt, ...ids(length - 1), 6]),
  starts: [0],
  promptTokens: prompt.length,
  truncatedTokens: 0,
})
const pairs: PreferencePair[] = Array.from({ length: 12 }, () => {
  const prompt = ids(1 + draw.integer(6))
  return pairOf(completion(prompt, 1 + draw.integer(6)), completion(prompt, 1 + draw.integer(6)))
})
const ratings: RatedCompletion[] = pairs.map(({ chosen }, i) => ({ ...chosen, truncatedTokens: 0, good: i % 3 > 0 }))

const checked = (input: PreferenceInput) => parseConfig(preferenceSchema, input, 'objective')
const disturb = (model: Model) =>
  noGrad(() => {
    const generator = new Generator(5)
    for (const parameter of model.parameters().values())
      parameter.detach().add_(placed(randn(parameter.shape, { generator })).mul(0.05))
  })

const equalitiesOf = (input: PreferenceInput, model: Model, reference: Reference, startsAtReference = true) => {
  const { type, ...settings } = checked(input)
  const definition = findPreference(type)
  const options = { microTokens: 64, padded: false, device: testDevice, startsAtReference }
  const on = <Example extends object>(criterion: Criterion<Example>, examples: readonly Example[]) =>
    startEqualities(definition, settings, criterion, model, examples.slice(0, 4), options)
  return definition.data === 'ratings'
    ? on(ratingCriterion(checked(input), { reference }), ratings)
    : on(preferenceCriterion(checked(input), { reference }), pairs)
}

describe('before the first step', () => {
  const { model, ...applied } = (() => {
    const one = applyAdapter(build('llama', 'causal-lm', { std: 0.2 }), { type: 'lora' })
    return { model: one.model, off: adaptersOffReference(one) }
  })()

  it.each(preferenceTypes().filter((type) => findPreference(type).reference))(
    '%s has the loss of equal models, and margin and divergence 0',
    async (type) => {
      const found = await equalitiesOf({ type } as PreferenceInput, model, applied.off)
      expect(found.map(({ name }) => name)).toEqual(expect.arrayContaining(['padding', 'loss', 'klPerToken']))
      assertEqualities(found)
    },
  )

  it('DPO has log 2, and no pair is better than half right', async () => {
    const criterion = preferenceCriterion(checked({ type: 'dpo' }), { reference: applied.off })
    const { loss, metrics } = await stepOf(criterion, model, pairs, { padded: true, micro: 5 })
    expect(loss).toBeCloseTo(Math.log(2), 6)
    expect(metrics).toMatchObject({ accuracy: 0.5, displaced: 0 })
  })

  it('finds a policy that does not start as its reference', async () => {
    const other = modelReference(build('llama', 'causal-lm', { std: 0.2, seed: 9 }))
    const found = await equalitiesOf({ type: 'dpo' }, model, other)
    expect(() => assertEqualities(found)).toThrow('Expected 0.693147 for `loss` before the first step')
    assertEqualities(await equalitiesOf({ type: 'dpo' }, model, other, false))
  })

  it('only compares padding for objectives without a reference', async () => {
    const found = await equalitiesOf({ type: 'simpo' }, model, applied.off)
    expect(found.map(({ name }) => name)).toEqual(['padding'])
  })

  it('checks without dropout and leaves the model in its mode', async () => {
    const dropped = build('gpt2', 'causal-lm', { embeddingDropout: 0.5, hiddenDropout: 0.5, attentionDropout: 0.5 })
    const reference = modelReference(frozenCopy(dropped))
    dropped.train()
    assertEqualities(await equalitiesOf({ type: 'ipo' }, dropped, reference))
    expect(dropped.training).toBe(true)
  })
})

describe('a reference that follows the policy', () => {
  const tr = checked({ type: 'dpo', referenceSyncSteps: 2, referenceMix: 1 })
  const lossAt = async (criterion: Criterion<PreferencePair>, model: Model, step: number, evaluation = false) =>
    (await stepOf(criterion, model, pairs, { padded: false, context: { step, evaluation } })).loss

  it('moves every so many steps, once, and never in an evaluation', async () => {
    const model = build('llama', 'causal-lm', { std: 0.2 })
    const reference = modelReference(frozenCopy(model), model)
    const criterion = preferenceCriterion(tr, { reference })
    disturb(model)
    const apart = await lossAt(criterion, model, 1)
    expect(Math.abs(apart - Math.log(2))).toBeGreaterThan(1e-3)
    expect(await lossAt(criterion, model, 2, true)).toBe(apart)
    expect(await lossAt(criterion, model, 2)).toBeCloseTo(Math.log(2), 6)
    // The same step again, as after a lack of memory: the reference stays where it is.
    disturb(model)
    expect(Math.abs((await lossAt(criterion, model, 2)) - Math.log(2))).toBeGreaterThan(1e-3)
    expect(criterion.carried?.save()).toEqual({ constants: [], syncedAt: 2 })
  })

  it.each([
    ['adapters off', (model: Model) => adaptersOffReference(applyAdapter(model, { type: 'lora' }))],
    ['int8', (model: Model) => modelReference(frozenCopy(model, 'int8'), model)],
    ['no policy', (model: Model) => modelReference(frozenCopy(model))],
  ])('is refused with %s', (_, make) => {
    const reference = make(build('llama', 'causal-lm'))
    expect(() => preferenceCriterion(tr, { reference })).toThrow('`referenceSyncSteps` needs a reference')
  })
})

describe('settings of a reference that have no effect are refused', () => {
  it.each([
    [{ type: 'dpo', referenceMix: 0.5 }, '`referenceMix` has no effect without `referenceSyncSteps`'],
    [{ type: 'ipo', divergenceAlpha: 0.3 }, '`divergenceAlpha` has no effect on the divergence reverse-kl'],
  ] as [PreferenceInput, string][])('%o', (input, message) => {
    const reference = modelReference(frozenCopy(build('llama', 'causal-lm')))
    expect(() => preferenceCriterion(checked(input), { reference })).toThrow(message)
  })
})

describe('a resumed run', () => {
  /** A run of DPO with a reference that follows, or of BCO with its running mean, on a LoRA or on all weights. */
  const make = (input: PreferenceInput, adapter: boolean, steps: number) => {
    const base = build('llama', 'causal-lm', { std: 0.2 })
    const frozen = frozenCopy(base)
    const applied = adapter ? applyAdapter(base, { type: 'lora' }) : undefined
    const reference = applied === undefined ? modelReference(frozen, base) : adapterCopyReference(applied)
    const objective = preferenceCriterion(checked(input), { reference })
    const settings = parseConfig(
      trainingSchema,
      {
        batch: { sequences: 4, microTokens: 30 },
        budget: { steps },
        schedule: { type: 'constant' },
        learningRate: 1e-2,
      },
      'settings',
    )
    const parameters = applied?.trainable ?? trainedParameters(base)
    const optimizer = createOptimizer(settings.optimizer, parameters)
    const stream = {
      perEpoch: pairs.length,
      example: (position: number) => ({ example: pairs[position % pairs.length], cut: 0 }),
    }
    const parts: SnapshotParts = {
      model: base,
      optimizer,
      carried: objective.carried?.tensors,
      // Trained weights only: an adapter is not part of the model's own folder.
      weights: {
        save: async (folder) => {
          await mkdir(folder, { recursive: true })
          await saveSafetensors(join(folder, 'weights.safetensors'), parameters)
        },
        load: async (folder) => {
          const { tensor } = await openSafetensors(join(folder, 'weights.safetensors'))
          noGrad(() => {
            for (const [path, parameter] of parameters) parameter.detach().copy_(tensor(path))
          })
        },
      },
    }
    const run = {
      trainable: { model: base, objective, parameters },
      stream,
      optimizer,
      settings,
      learningRate: 1e-2,
      length: runLength(settings.budget, { examplesPerStep: 4, tokensPerStep: 100, examplesPerEpoch: pairs.length }),
      state: initialState(settings, base.facts.numLayers),
      device: testDevice,
    }
    return { run, parts }
  }

  const losses = async (run: Parameters<typeof train<PreferencePair>>[0]) => {
    const found: number[] = []
    for await (const event of train(run)) if (event.type === 'step') found.push(event.loss)
    return found
  }

  it.each([
    [{ type: 'dpo', referenceSyncSteps: 2 }, true],
    [{ type: 'dpo', referenceSyncSteps: 3, referenceMix: 1 }, false],
    [{ type: 'bco' }, false],
  ] as [PreferenceInput, boolean][])('of %o continues to the bit (adapter: %s)', async (input, adapter) => {
    const whole = make(input, adapter, 6)
    const expected = await losses(whole.run)
    const out = join(scratch, `${input.type}-${adapter}`)
    let saved: LoopState | undefined
    const first = make(input, adapter, 3)
    await losses({
      ...first.run,
      save: async (state) => {
        saved = state
        return writeSnapshot(out, first.parts, state)
      },
    })
    const second = make(input, adapter, 6)
    const path = join(out, 'checkpoints', 'step-00000003')
    const { optimizerStep: _, averageUpdates: __, ...state } = await readSnapshot(path, second.parts)
    expect(state.carried).toEqual(saved?.carried)
    const rest = await losses({ ...second.run, state })
    expect(rest).toEqual(expected.slice(3))
  })
})

it('evaluates prepared examples without changing what is carried', async () => {
  const model = build('llama', 'causal-lm', { std: 0.2 })
  const reference = modelReference(frozenCopy(model))
  disturb(model)
  const objective = preferenceCriterion(checked({ type: 'bco', beta: 0.5 }), { reference })
  const stream = { perEpoch: pairs.length, example: (position: number) => ({ example: pairs[position], cut: 0 }) }
  const trainable = { model, objective, parameters: trainedParameters(model) }
  const how = { examples: 100, padded: false, device: testDevice }
  const before = JSON.stringify(objective.carried?.save())
  const whole = await evaluateValidation(trainable, stream, { ...how, microTokens: 1000 })
  const split = await evaluateValidation(trainable, stream, { ...how, microTokens: 10 })
  expect(whole.loss).toBeCloseTo(split.loss, 5)
  expect(whole.rewardMargin).toBeCloseTo(split.rewardMargin, 5)
  expect(JSON.stringify(objective.carried?.save())).toBe(before)
})

describe('refuses', () => {
  const reference = modelReference(build('llama', 'causal-lm'))
  const refusal = (input: PreferenceInput) => () => preferenceCriterion(checked(input), { reference })

  it.each(['nca', 'bco', 'sppo', 'apo-zero', 'apo-down', 'aot', 'aot-unpaired'] as const)(
    'another divergence with %s, which does not depend on the difference of rewards alone',
    (type) => expect(refusal({ type, divergence: 'forward-kl' })).toThrow('`divergence` forward-kl needs an objective'),
  )

  it('weights of pairs where values of different pairs are compared', () => {
    expect(refusal({ type: 'aot', weighting: true })).toThrow('`weighting` weighs pairs')
  })

  it('an infinite loss of EXO', () => {
    expect(refusal({ type: 'exo', labelSmoothing: 0 })).toThrow('its loss would be infinite')
  })

  it('label noise of a half or more', () => {
    expect(refusal({ type: 'robust-dpo', labelSmoothing: 0.5 })).toThrow('labelSmoothing')
  })

  it('an objective without its reference, or on other data', () => {
    expect(() => preferenceCriterion(checked({ type: 'dpo' }))).toThrow('`dpo` needs a reference model')
    expect(refusal({ type: 'kto' })).toThrow('Expected a preference objective on pairs, got `kto`')
    expect(() => findPreference('dpoo')).toThrow('Did you mean')
  })

  it('one prompt in a batch of KTO', async () => {
    const criterion = ratingCriterion(checked({ type: 'kto' }), { reference })
    const model = build('llama', 'causal-lm')
    const one = ratings.slice(0, 1)
    await expect(stepOf(criterion, model, one, { padded: false })).rejects.toThrow('answers to different prompts')
  })

  it('a checkpoint of another objective', () => {
    const criterion = preferenceCriterion(checked({ type: 'bco' }), { reference })
    expect(() => criterion.carried?.load({ constants: [1], syncedAt: 0 })).toThrow(
      'Expected the state of this preference',
    )
    expect(() => criterion.carried?.load(undefined)).toThrow('Expected the state of this preference')
  })
})

it('has a finite loss for a completion without tokens', async () => {
  const reference = modelReference(build('llama', 'causal-lm', { std: 0.2, seed: 4 }))
  const model = build('llama', 'causal-lm', { std: 0.2 })
  const prompt = ids(5)
  const pair = pairOf(completion(prompt, 3), { ...completion(prompt, 1), promptTokens: 6 })
  for (const type of ['dpo', 'ipo', 'orpo', 'aot'] as const) {
    const { loss, gradients } = await stepOf(preferenceCriterion(checked({ type }), { reference }), model, [pair], {
      padded: false,
    })
    expect(loss, type).toBeGreaterThan(0)
    expect(
      [...gradients.values()].every((values) => values.every(Number.isFinite)),
      type,
    ).toBe(true)
  }
})

it('sums in float32 and wider for a policy in bfloat16', async () => {
  const losses: number[] = []
  for (const dtype of ['float32', 'bfloat16'] as const) {
    const model = build('llama', 'causal-lm', { std: 0.2 })
    const reference = modelReference(build('llama', 'causal-lm', { std: 0.2, seed: 4 }))
    model.to({ dtype }).requireGrad(true)
    const criterion = preferenceCriterion(checked({ type: 'dpo' }), { reference })
    losses.push((await stepOf(criterion, model, pairs, { padded: false })).loss)
    losses.push((await stepOf(criterion, model, pairs, { padded: false, micro: 1 })).loss)
  }
  const [wide, , narrow, split] = losses
  expect(Math.abs(narrow - wide)).toBeLessThan(0.02)
  expect(Math.abs(narrow - split)).toBeLessThan(1e-3)
})

it('counts the tokens that are trained, prompts only where they are', () => {
  const reference = modelReference(build('llama', 'causal-lm'))
  const [{ chosen, rejected }] = pairs
  const answers = chosen.ids.length - chosen.promptTokens + rejected.ids.length - rejected.promptTokens
  const counted = (input: PreferenceInput) =>
    preferenceCriterion(checked(input), { reference }).trainedTokens?.(pairs[0])
  expect(counted({ type: 'dpo' })).toBe(answers)
  expect(counted({ type: 'orpo' })).toBe(answers + chosen.promptTokens - 1)
})

it('shows pairs and rated completions with their trained tokens marked', () => {
  const reference = modelReference(build('llama', 'causal-lm'))
  const decode = (list: readonly number[]) => list.join(' ')
  const [pair] = pairs
  const shown = preferenceCriterion(checked({ type: 'dpo' }), { reference }).describe(pair, decode)
  const [prompt, chosen] = [
    pair.chosen.ids.subarray(0, pair.chosen.promptTokens),
    pair.chosen.ids.subarray(pair.chosen.promptTokens),
  ]
  expect(shown.split('\n')[0]).toBe(`chosen: ${prompt.join(' ')}⟦${chosen.join(' ')}⟧`)
  expect(ratingCriterion(checked({ type: 'kto' }), { reference }).describe(ratings[0], decode)).toMatch(
    /^bad: .*⟦.*6⟧$/,
  )
})
