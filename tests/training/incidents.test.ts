// What goes wrong is provoked: losses that are not finite, damaged weights, spikes, memory that runs out, batches without anything to learn.
import { setImmediate } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, describe, expect, it } from 'vitest'
import { DataError, NativeError, OutOfMemoryError } from '../../src/core/index.ts'
import type { Objective } from '../../src/objectives/index.ts'
import {
  emptyCache,
  liveTensors,
  memoryStatistics,
  noGrad,
  resetPeakMemory,
  setMemoryLimit,
} from '../../src/tensor/index.ts'
import type { TrainingEvent } from '../../src/tracking/index.ts'
import {
  type ExampleSource,
  evaluateValidation,
  type LoopState,
  type NonFiniteReport,
  type TrainingRun,
  train,
} from '../../src/training/index.ts'
import { testDevice } from '../device.ts'
import {
  eventsOf,
  largestDifference,
  lossesOf,
  modelOf,
  objectiveOf,
  ofType,
  packedSource,
  runOf,
} from './small-loop.ts'

/** Examples at these places make the loss that many times larger. */
const scaling = (factors: Record<number, number>): { objective: Objective<never>; source: ExampleSource<never> } => {
  const plain = objectiveOf('gpt2') as Objective<unknown>
  const inner = packedSource(plain as Objective<never>)
  const objective: Objective<unknown> = {
    ...plain,
    collate: (examples, how) => ({
      ...plain.collate(examples, how),
      factor: Math.max(...(examples as { factor: number }[]).map(({ factor }) => factor)),
    }),
    loss: (model, batch, how) => {
      const { terms, metrics } = plain.loss(model, batch, how)
      return { terms: terms.map((term) => ({ ...term, sum: term.sum.mul(batch.factor as number) })), metrics }
    },
  }
  const source: ExampleSource<never> = {
    perEpoch: inner.perEpoch,
    example: (position) => ({
      example: { ...(inner.example(position).example as object), factor: factors[position] ?? 1 } as never,
      cut: 0,
    }),
  }
  return { objective: objective as Objective<never>, source }
}

/** Until it ends or throws. */
const outcome = async (run: TrainingRun<never>) => {
  const events: TrainingEvent[] = []
  try {
    for await (const event of train(run)) events.push(event)
    return { events, error: undefined }
  } catch (error) {
    return { events, error: error as Error }
  }
}

const overflow = Number.MAX_VALUE

describe('a loss that is not finite', () => {
  const poisoned = () => scaling({ 9: overflow, 10: overflow })

  it('stop: names the examples and the layers, applies nothing, keeps a report', async () => {
    const reports: [number, NonFiniteReport][] = []
    const run = runOf(
      'gpt2',
      {},
      {
        ...poisoned(),
        more: {
          recordIncident: async (step, report) => {
            reports.push([step, report])
            return 'incidents/three.json'
          },
        },
      },
    )
    const weights = () =>
      [...run.trainable.parameters.values()].map((one) => noGrad(() => one.detach().toFloat32Array().slice()))
    let before: Float32Array[] = []
    const events: TrainingEvent[] = []
    const going = async () => {
      for await (const event of train(run)) {
        events.push(event)
        if (event.type === 'step') before = weights()
      }
    }
    await expect(going()).rejects.toThrow(NativeError)
    expect(lossesOf(events)).toHaveLength(2)
    expect(weights()).toEqual(before)
    const [incident] = ofType(events, 'incident')
    expect(incident).toMatchObject({ kind: 'non-finite', step: 3 })
    expect(incident.message).toMatch(/^Gradients of body\..* are not finite, because of the examples at 9, 10\./)
    expect(incident.message).toMatch(/ Details are in incidents\/three\.json\.$/)
    expect(reports).toHaveLength(1)
    const [[step, { examples, parameters, weights: damaged, loss }]] = reports
    expect({ step, examples, damaged, loss }).toEqual({ step: 3, examples: [9, 10], damaged: [], loss: 'Infinity' })
    expect(parameters.length).toBeGreaterThan(10)
    expect(parameters.every(({ values }) => values > 0)).toBe(true)
  })

  it('stop: saves the steps before, and says in another sentence than the incident why it ended', async () => {
    const saved: number[] = []
    const save = async (state: LoopState) => {
      saved.push(state.step)
      return ''
    }
    const { events, error } = await outcome(runOf('gpt2', {}, { ...poisoned(), more: { save } }))
    expect(saved).toEqual([2])
    expect(error?.message).toBe(
      'Training stopped: the loss or a gradient of step 3 is not finite. Lower `learningRate`, look at the examples, or set `onNonFinite` to skip.',
    )
    expect(ofType(events, 'checkpoint').map(({ step }) => step)).toEqual([2])
  })

  it('skip: passes over the batch; the steps before are those of a sound run', async () => {
    const sound = lossesOf(await eventsOf(runOf('gpt2', {}, scaling({}))))
    const events = await eventsOf(runOf('gpt2', { onNonFinite: 'skip' }, poisoned()))
    const losses = lossesOf(events)
    expect(losses).toHaveLength(10)
    expect(losses.slice(0, 2)).toEqual(sound.slice(0, 2))
    expect(losses[2]).toBe(Number.POSITIVE_INFINITY)
    expect(losses.slice(3).every(Number.isFinite)).toBe(true)
    expect(ofType(events, 'incident')).toHaveLength(1)
  })

  it('roll-back: goes on from the checkpoint, behind the batch', async () => {
    let saved: { state: LoopState; weights: Float32Array[] } | undefined
    const { objective, source } = poisoned()
    const run = runOf(
      'gpt2',
      { onNonFinite: 'roll-back', budget: { steps: 5 }, checkpoint: { steps: 1 } },
      { objective, source },
    )
    const all = [...run.trainable.parameters.values()]
    const { tensors } = run.optimizer.state()
    expect(tensors.size).toBeGreaterThan(0)
    const events = await eventsOf({
      ...run,
      save: async (state) => {
        saved = { state, weights: all.map((one) => noGrad(() => one.detach().toFloat32Array().slice())) }
        return ''
      },
      rollBack: async () => saved?.state,
    })
    expect(ofType(events, 'incident').map(({ kind, step }) => `${kind} ${step}`)).toEqual([
      'non-finite 3',
      'roll-back 2',
    ])
    const steps = ofType(events, 'step')
    expect(steps.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5])
    expect(steps.every(({ loss }) => Number.isFinite(loss))).toBe(true)
    // Batches of 4; that of places 8 to 11 is passed over.
    expect(saved?.state.position).toBe(24)
  })

  it('roll-back keeps the reductions of the learning rate, as evaluations are not repeated', async () => {
    let saved: LoopState | undefined
    const { objective, source } = poisoned()
    const run = runOf(
      'gpt2',
      {
        onNonFinite: 'roll-back',
        budget: { steps: 3 },
        evaluate: { steps: 1 },
        keep: { best: 'loss' },
        plateau: { patience: 0, factor: 0.1 },
      },
      { objective, source },
    )
    const events = await eventsOf({
      ...run,
      evaluate: async () => ({ loss: 2 }),
      save: async (state) => {
        saved = structuredClone(state)
        return ''
      },
      rollBack: async () => saved,
    })
    expect(ofType(events, 'incident').map(({ kind, step }) => `${kind} ${step}`)).toEqual([
      'non-finite 3',
      'roll-back 2',
    ])
    const rates = ofType(events, 'step').map(({ learningRate }) => Math.round(Math.log10(learningRate / 1e-3)))
    // The second evaluation is no better than the first: the rate of the third step is reduced.
    expect(rates).toEqual([0, 0, -1])
  })

  it('roll-back gives up when every way on fails', async () => {
    const all = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [i, i < 4 ? 1 : overflow]))
    const run = runOf('gpt2', { onNonFinite: 'roll-back', checkpoint: { steps: 1 } }, scaling(all))
    let saved: LoopState | undefined
    const { events, error } = await outcome({
      ...run,
      save: async (state) => {
        saved = state
        return ''
      },
      rollBack: async () => saved,
    })
    expect(error).toBeInstanceOf(NativeError)
    expect(error?.message).toContain('Training stopped in step 2: skipping 10 batches did not help.')
    expect(ofType(events, 'incident').filter(({ kind }) => kind === 'non-finite')).toHaveLength(10)
  })

  it('damaged weights are named, and no skipping helps', async () => {
    const run = runOf('gpt2', { onNonFinite: 'skip' })
    const path = [...run.trainable.parameters.keys()].find((name) => name.includes('layers.1')) as string
    noGrad(() => run.trainable.parameters.get(path)?.detach().fill_(Number.NaN))
    const { events, error } = await outcome(run)
    expect(error).toBeInstanceOf(NativeError)
    expect(error?.message).toMatch(/^Training stopped in step 1: /)
    expect(ofType(events, 'incident')[0].message).toContain(`Weights are not finite: ${path}`)
    expect(ofType(events, 'step')).toHaveLength(0)
  })
})

describe('a spike', () => {
  const settings = { budget: { steps: 40 }, batch: { sequences: 1 } }
  const options = () => scaling({ 37: 20 })
  it('is noted', async () => {
    const events = await eventsOf(runOf('gpt2', settings, options()))
    expect(ofType(events, 'incident')).toMatchObject([{ kind: 'spike', step: 38 }])
    expect(ofType(events, 'step')[37].gradientNorm).toBeGreaterThan(0)
  })
  it('is skipped with `onSpike` skip', async () => {
    const events = await eventsOf(runOf('gpt2', { ...settings, onSpike: 'skip' }, options()))
    expect(ofType(events, 'incident')[0].message).toContain('The step was not applied.')
    expect(ofType(events, 'step')[37].gradientNorm).toBeNaN()
    expect(ofType(events, 'step')[38].gradientNorm).toBeGreaterThan(0)
  })
})

describe('memory that runs out', () => {
  afterEach(() => setMemoryLimit(undefined))
  const wide = { hiddenDropout: 0.1, attentionDropout: 0.1, hiddenSize: 64, maxPositions: 64 }
  setFlagsFromString('--expose-gc')
  const collectGarbage: () => void = runInNewContext('gc')
  /** Bytes in use by tensors that something still refers to: garbage that is freed later would raise the limit by its size. */
  const bytesInUse = async (): Promise<number> => {
    collectGarbage()
    // Finalizers run after the collection.
    await setImmediate()
    emptyCache()
    return memoryStatistics().inUse
  }
  const peakOf = async (settings: object): Promise<number> => {
    const run = runOf('gpt2', { budget: { steps: 1 }, ...settings }, { model: modelOf('gpt2', wide) })
    const inUse = await bytesInUse()
    resetPeakMemory()
    await eventsOf(run)
    return memoryStatistics().peak - inUse
  }
  const size = { batch: { sequences: 16 } }

  it('halves micro-batches, then recomputes layers, with the same losses', async () => {
    const whole = await peakOf(size)
    const small = await peakOf({ batch: { sequences: 16, microTokens: 1 }, recompute: 'all' })
    expect(small).toBeLessThan(0.7 * whole)
    const free = lossesOf(await eventsOf(runOf('gpt2', size, { model: modelOf('gpt2', wide) })))
    for (const share of [0.6, 0.15]) {
      const run = runOf('gpt2', size, { model: modelOf('gpt2', wide) })
      setMemoryLimit((await bytesInUse()) + Math.ceil(small + share * (whole - small)))
      const events = await eventsOf(run)
      setMemoryLimit(undefined)
      const incidents = ofType(events, 'incident')
      expect(incidents.length).toBeGreaterThan(0)
      expect(incidents.every(({ kind, step }) => kind === 'out-of-memory' && step === 1)).toBe(true)
      expect(incidents[0].message).toMatch(/^Memory ran out: micro-batches are now \d+ tokens\./)
      expect(largestDifference(lossesOf(events), free)).toBeLessThan(1e-5)
    }
  })

  it('recomputes layers when a micro-batch is one example', async () => {
    const micro = { batch: { sequences: 16, microTokens: 1 } }
    const kept = await peakOf(micro)
    const recomputed = await peakOf({ ...micro, recompute: 'all' })
    expect(recomputed).toBeLessThan(kept)
    const free = lossesOf(await eventsOf(runOf('gpt2', size, { model: modelOf('gpt2', wide) })))
    const run = runOf('gpt2', micro, { model: modelOf('gpt2', wide) })
    setMemoryLimit((await bytesInUse()) + Math.ceil((kept + recomputed) / 2))
    const events = await eventsOf(run)
    expect(ofType(events, 'incident')[0].message).toContain('layers are now recomputed in the backward pass')
    expect(largestDifference(lossesOf(events), free)).toBeLessThan(1e-5)
  })

  it('is an error when nothing can be halved any more, and leaves no tensors', async () => {
    const run = runOf('gpt2', size, { model: modelOf('gpt2', wide) })
    const live = liveTensors()
    setMemoryLimit((await bytesInUse()) + 20_000)
    const { error } = await outcome(run)
    expect(error).toBeInstanceOf(OutOfMemoryError)
    expect(error?.message).toContain('One example at a time with all layers recomputed still does not fit.')
    expect(error?.message).not.toContain('\n')
    expect(liveTensors() - live).toBeLessThan(5)
  })

  it('splits what an evaluation looks at', async () => {
    const run = runOf('gpt2', size, { model: modelOf('gpt2', wide) })
    run.trainable.model.train()
    const how = { examples: 32, microTokens: 8192, padded: false, device: testDevice }
    const inUse = await bytesInUse()
    resetPeakMemory()
    const whole = await evaluateValidation(run.trainable, run.stream, how)
    const needed = memoryStatistics().peak - inUse
    setMemoryLimit(inUse + Math.ceil(0.5 * needed))
    const split = await evaluateValidation(run.trainable, run.stream, how)
    expect(Math.abs(split.loss - whole.loss)).toBeLessThan(1e-5)
    expect(split.accuracy).toBe(whole.accuracy)
    expect(run.trainable.model.training).toBe(true)
  })
})

it('a batch without trained tokens is an error', async () => {
  const source: ExampleSource<never> = {
    perEpoch: 10,
    example: () => ({
      example: { ids: Uint32Array.of(9), starts: [0], labels: Int32Array.of(-100), trained: 0, cut: 0 } as never,
      cut: 0,
    }),
  }
  const { events, error } = await outcome(runOf('gpt2', {}, { source }))
  expect(error).toBeInstanceOf(DataError)
  expect(error?.message).toContain('A batch of 4 examples has no trained token')
  expect(ofType(events, 'step')).toHaveLength(0)
})
