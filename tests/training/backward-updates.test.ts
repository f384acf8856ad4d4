// Updates within the backward pass against the ordinary step: equal weights and state, less memory, and what happens where a gradient
// is not finite.
import { describe, expect, it } from 'vitest'
import { applyAdapter } from '../../src/adapters/index.ts'
import { NativeError } from '../../src/core/index.ts'
import type { HeadType, ModelType } from '../../src/models/index.ts'
import type { Objective } from '../../src/objectives/index.ts'
import { optimizers } from '../../src/optim/index.ts'
import { emptyCache, liveTensors, memoryStatistics, noGrad, resetPeakMemory, Tensor } from '../../src/tensor/index.ts'
import type { TrainingEvent } from '../../src/tracking/index.ts'
import { expectBackwardUpdates, type LoopState, type TrainingRun, train } from '../../src/training/index.ts'
import { build } from '../objectives/small-models.ts'
import { eventsOf, lossesOf, modelOf, objectiveOf, ofType, packedSource, runOf } from './small-loop.ts'

const values = (run: TrainingRun<never>) =>
  [...run.trainable.parameters, ...run.optimizer.state().tensors].map(
    ([path, tensor]) => [path, noGrad(() => tensor.detach().to('float32').toFloat32Array().slice())] as const,
  )
const apart = (a: ReturnType<typeof values>, b: ReturnType<typeof values>) => {
  expect(a.map(([path]) => path)).toEqual(b.map(([path]) => path))
  return Math.max(
    ...a.flatMap(([, own], i) => Array.from(own, (value, j) => Math.abs(value - b[i][1][j]) / (1 + Math.abs(value)))),
  )
}
const budget = { steps: 3 }
const onePass = { updateInBackward: 'one-pass', maxGradientNorm: 0, budget }
const twoPass = { updateInBackward: 'two-pass', budget }

describe.each([
  ['bert', { numLayers: 2 }, {}],
  // One table for embeddings and output layer.
  ['gpt2', { tiedEmbeddings: true, hiddenDropout: 0.1 }, {}],
  ['gpt2', {}, { recompute: 'all' }],
  ['llama', {}, { precision: 'bfloat16' }],
  ['llama', {}, { average: {} }],
] as const)('%s with %j and %j', (kind, config, settings) => {
  const trained = async (more: object) => {
    const model = modelOf(kind, config)
    if ('precision' in settings) model.to({ dtype: 'bfloat16' })
    const run = runOf(kind, { ...settings, ...more }, { model })
    const events = await eventsOf(run)
    return {
      values: values(run),
      losses: lossesOf(events),
      norms: ofType(events, 'step').map((one) => one.gradientNorm),
    }
  }

  it('has the weights and the state of the ordinary step', async () => {
    const plain = await trained({ maxGradientNorm: 0, budget })
    const one = await trained(onePass)
    expect(apart(one.values, plain.values)).toBe(0)
    expect(one.losses).toEqual(plain.losses)
    // With a norm that clips. The norm is summed by parameter, so its last bit may differ, which AdamW would make a whole step
    // of elements whose gradient is rounding alone.
    const clip = { maxGradientNorm: 0.05, optimizer: { type: 'sgd' }, learningRate: 0.1 }
    const clipped = await trained({ ...clip, budget })
    const two = await trained({ ...twoPass, ...clip })
    expect(apart(two.values, clipped.values)).toBeLessThan(1e-7)
    expect(two.losses.map((loss) => loss.toFixed(5))).toEqual(clipped.losses.map((loss) => loss.toFixed(5)))
    expect(clipped.norms.every((norm) => norm > 0.05)).toBe(true)
    for (const [i, norm] of two.norms.entries()) {
      expect(norm / clipped.norms[i]).toBeCloseTo(1, 5)
      expect(one.norms[i] / plain.norms[i]).toBeCloseTo(1, 5)
    }
  })
})

it.each(Object.keys(optimizers))('has the weights and the state of %s', async (type) => {
  const run = (more: object) => runOf('gpt2', { optimizer: { type }, ...more }, { model: modelOf('gpt2') })
  const [plain, inside] = [run({ maxGradientNorm: 0, budget }), run(onePass)]
  await eventsOf(plain)
  await eventsOf(inside)
  expect(apart(values(inside), values(plain))).toBe(0)
})

it('trains an adapter, and layers that are shared', async () => {
  const small = (type: ModelType, more: object) => {
    const model = build(type, (type === 'albert' ? 'masked-lm' : 'causal-lm') as HeadType, { numLayers: 3 })
    if (type !== 'albert') applyAdapter(model, { type: 'lora', rank: 4 } as never)
    return runOf(type === 'albert' ? 'bert' : 'llama', more, { model })
  }
  for (const type of ['albert', 'llama'] as const) {
    const recompute = { recompute: type === 'albert' ? 'all' : 'none' }
    const [plain, inside] = [
      small(type, { ...recompute, maxGradientNorm: 0, budget }),
      small(type, { ...recompute, ...onePass }),
    ]
    await eventsOf(plain)
    await eventsOf(inside)
    expect(apart(values(inside), values(plain)), type).toBe(0)
  }
})

it('takes less memory', async () => {
  const model = { hiddenSize: 192, numLayers: 6, numHeads: 6, maxPositions: 128 }
  const run = (more: object) =>
    runOf(
      'gpt2',
      { batch: { sequences: 1 }, budget, optimizer: { type: 'sgd' }, ...more },
      { model: modelOf('gpt2', model) },
    )
  const peakOf = async (more: object) => {
    emptyCache()
    const one = run(more)
    const bytes = [...one.trainable.parameters.values()].reduce((sum, { size }) => sum + 4 * size, 0)
    const before = memoryStatistics().inUse
    resetPeakMemory()
    await eventsOf(one)
    return { peak: memoryStatistics().peak - before, bytes }
  }
  const plain = await peakOf({ maxGradientNorm: 0 })
  for (const more of [onePass, twoPass]) {
    const { peak, bytes } = await peakOf(more)
    // All gradients are as large as all weights; those of a layer, and activations, are there at once.
    expect(plain.peak - peak).toBeGreaterThan(0.5 * bytes)
  }
})

describe('a gradient that is not finite, of the parameter that comes last', () => {
  /** From a step on, the loss has a term of value 0 whose gradient is NaN. */
  const poisoned = (settings: object, more: Partial<TrainingRun<never>> = {}) => {
    const plain = objectiveOf('gpt2') as Objective<unknown>
    const objective: Objective<unknown> = {
      ...plain,
      loss: (model, batch, how) => {
        const { terms, metrics } = plain.loss(model, batch, how)
        const weight = (model.body as unknown as { embedPositions: { weight: (typeof terms)[0]['sum'] } })
          .embedPositions.weight
        const sum = weight.sum()
        const bad = sum.sub(sum.detach()).sqrt()
        return {
          terms: terms.map((term) => ({ ...term, sum: (batch.bad as boolean) ? term.sum.add(bad) : term.sum })),
          metrics,
        }
      },
      collate: (examples, how) => ({
        ...plain.collate(examples, how),
        bad: (examples as { bad: boolean }[]).some(({ bad }) => bad),
      }),
    }
    const inner = packedSource(plain as Objective<never>)
    const source = {
      perEpoch: inner.perEpoch,
      example: (position: number) => ({
        example: { ...(inner.example(position).example as object), bad: position >= 4 && position < 8 } as never,
        cut: 0,
      }),
    }
    return runOf('gpt2', settings, { objective: objective as Objective<never>, source, more })
  }
  const outcome = async (run: TrainingRun<never>) => {
    const events: TrainingEvent[] = []
    try {
      for await (const event of train(run)) events.push(event)
      return { events, error: undefined }
    } catch (error) {
      return { events, error: error as Error }
    }
  }

  it('changes nothing in two passes: the step is skipped', async () => {
    const plain = poisoned({ onNonFinite: 'skip', budget })
    const two = poisoned({ ...twoPass, onNonFinite: 'skip' })
    const [wanted, found] = [await outcome(plain), await outcome(two)]
    expect(apart(values(two), values(plain))).toBeLessThan(1e-6)
    const [[expected], [incident]] = [ofType(wanted.events, 'incident'), ofType(found.events, 'incident')]
    expect(incident.message).toBe(expected.message)
    expect(incident.message).toMatch(
      /^Gradients of body.embedPositions.weight are not finite, because of .* was not applied/,
    )
  })

  it('ends a run of one pass, which saves nothing of the half step and lets no NaN in', async () => {
    const saved: number[] = []
    const save = async ({ step }: LoopState) => {
      saved.push(step)
      return ''
    }
    const run = poisoned({ ...onePass, checkpoint: { steps: 1 } }, { save })
    const { events, error } = await outcome(run)
    expect(error).toBeInstanceOf(NativeError)
    expect(error?.message).toMatch(/stopped: the loss or a gradient of step 2 is not finite/)
    expect(saved).toEqual([1])
    expect(ofType(events, 'incident')[0].message).toMatch(
      /Gradients of body.embedPositions.weight are not finite.* Parameters whose gradients came before were updated/,
    )
    for (const [path, own] of values(run)) expect(own.every(Number.isFinite), path).toBe(true)
  })

  it('restores the checkpoint in one pass with roll-back, and ends without one', async () => {
    const kept = new Map<string, Float32Array>()
    let state: LoopState | undefined
    const run: TrainingRun<never> = poisoned(
      { ...onePass, onNonFinite: 'roll-back', checkpoint: { steps: 1 } },
      {
        save: async (given) => {
          state = structuredClone(given)
          for (const [path, own] of run.trainable.parameters) kept.set(path, own.detach().toFloat32Array().slice())
          return ''
        },
        rollBack: async () => {
          noGrad(() => {
            for (const [path, own] of run.trainable.parameters)
              own.detach().copy_(Tensor.from(kept.get(path) as Float32Array, { shape: own.shape }))
          })
          return state
        },
      },
    )
    const { events, error } = await outcome(run)
    expect(error).toBeUndefined()
    expect(ofType(events, 'incident').map(({ kind }) => kind)).toEqual(['non-finite', 'roll-back'])
    expect(ofType(events, 'step').map(({ step }) => step)).toEqual([1, 2, 3])
    const without = poisoned(
      { ...onePass, onNonFinite: 'roll-back', checkpoint: {} },
      { rollBack: async () => undefined },
    )
    expect((await outcome(without)).error?.message).toMatch(/skipping the batch did not help/)
  })
})

it('frees what it watches and holds', async () => {
  await eventsOf(runOf('gpt2', onePass))
  const before = liveTensors()
  await eventsOf(runOf('gpt2', onePass))
  const run = runOf('gpt2', onePass)
  await eventsOf(run)
  expect(liveTensors() - before).toBeLessThanOrEqual(2 * values(run).length + 4)
})

describe('refuses', () => {
  it.each([
    [{ updateInBackward: 'one-pass' }, {}, /cannot clip .* set `maxGradientNorm` to 0, or choose two-pass/],
    [{ ...onePass, onNonFinite: 'skip' }, {}, /set `onNonFinite` to roll-back or stop/],
    [{ ...onePass, onSpike: 'skip' }, {}, /set `onSpike` to note/],
    [{ ...twoPass, gradientNorms: 10 }, {}, /`gradientNorms` reads: remove it/],
    [{ ...twoPass, batch: { tokens: 9000 } }, {}, /raise `batch.microTokens` to 9000/],
    [{ ...twoPass, shard: 'optimizer' }, {}, /needs one process/],
    [twoPass, { mixout: {} }, /does not go with `mixout`/],
    [twoPass, { adversary: {} }, /remove `fgmEpsilon`/],
    [twoPass, { method: { afterUpdate() {} } }, /reads all gradients after the update/],
  ])('%j with %j', (settings, trainable, message) => {
    const { settings: checked, optimizer } = runOf('gpt2', settings)
    expect(() => expectBackwardUpdates(checked, trainable as never, { optimizer, processes: 1 })).toThrow(message)
  })

  it('several processes, and an optimizer that updates all parameters at once', () => {
    const { settings, optimizer } = runOf('gpt2', twoPass)
    expect(() => expectBackwardUpdates(settings, {}, { optimizer, processes: 2 })).toThrow(/needs one process/)
    const { begin: _, ...rest } = { ...optimizer, type: 'own', begin: undefined }
    expect(() => expectBackwardUpdates(settings, {}, { optimizer: rest as never, processes: 1 })).toThrow(/type` own/)
  })

  it('a step of several micro-batches, before anything has changed', async () => {
    const run = runOf('gpt2', { ...onePass, batch: { sequences: 4, microTokens: 40 } })
    const before = values(run)
    await expect(eventsOf(run)).rejects.toThrow(/in one micro-batch, .* got \d+ of them/)
    expect(apart(values(run), before)).toBe(0)
  })
})
