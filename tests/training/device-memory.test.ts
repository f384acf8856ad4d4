// A card whose memory runs out, by a limit of the strict device: training, evaluation, generation and alignment take smaller parts and
// end with the results that they have without a limit. And the memory that a run reports is that of its device.
import { setImmediate } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { OutOfMemoryError } from '../../src/core/index.ts'
import { GenerationScheduler } from '../../src/generation/index.ts'
import type { Model } from '../../src/models/index.ts'
import { align, finetune } from '../../src/runs/index.ts'
import {
  deviceMemory,
  enableStrictDevice,
  liveTensors,
  resetDevicePeak,
  type StrictDeviceCounts,
  setMemoryLimit,
  setStrictMemory,
  strictDeviceCounts,
} from '../../src/tensor/index.ts'
import { type RunCard, readRunCard, type TrainingEvent } from '../../src/tracking/index.ts'
import { evaluateValidation, type TrainingRun } from '../../src/training/index.ts'
import { makeSmallAlignment, pairRows, type SmallAlignment } from '../alignment/small-alignment.ts'
import { build } from '../objectives/small-models.ts'
import { eventsOf, largestDifference, lossesOf, modelOf, ofType, runOf } from './small-loop.ts'

enableStrictDevice()
const device = 'strict'

const limit = (bytes: number | undefined) => setMemoryLimit(bytes, device)

afterEach(() => {
  setStrictMemory(undefined)
  limit(undefined)
})

setFlagsFromString('--expose-gc')
const collectGarbage: () => void = runInNewContext('gc')

/** Bytes in use by tensors that something still refers to: garbage that is freed later would raise the limit by its size. */
const bytesInUse = async (): Promise<number> => {
  collectGarbage()
  // Finalizers run after the collection.
  await setImmediate()
  return deviceMemory(device)?.inUse as number
}
const peak = (): number => deviceMemory(device)?.peak as number
const emptied = (): number => (strictDeviceCounts() as StrictDeviceCounts).emptied

/** What `work` takes beyond what was in use before it. */
const peakOf = async (work: () => unknown): Promise<number> => {
  const before = await bytesInUse()
  resetDevicePeak(device)
  await work()
  return peak() - before
}

const wide = { hiddenDropout: 0.1, attentionDropout: 0.1, hiddenSize: 64, maxPositions: 64 }
const size = { batch: { sequences: 16 } }
const runOn = (settings: object): TrainingRun<never> =>
  runOf('gpt2', settings, {
    model: modelOf('gpt2', wide).to({ device }).requireGrad(true),
    more: { device },
  })

describe('training', () => {
  it.each([
    ['is full', setStrictMemory],
    ['has a limit', limit],
  ])('on a card that %s halves micro-batches, then recomputes layers, with the same losses', async (_, restrict) => {
    const one = { budget: { steps: 1 } }
    const first = runOn({ ...size, ...one })
    const whole = await peakOf(() => eventsOf(first))
    const second = runOn({ batch: { sequences: 16, microTokens: 1 }, recompute: 'all', ...one })
    const small = await peakOf(() => eventsOf(second))
    expect(small).toBeLessThan(0.7 * whole)
    const free = lossesOf(await eventsOf(runOn(size)))
    for (const share of [0.6, 0.15]) {
      const run = runOn(size)
      restrict((await bytesInUse()) + Math.ceil(small + share * (whole - small)))
      const before = emptied()
      const events = await eventsOf(run)
      restrict(undefined)
      const incidents = ofType(events, 'incident')
      expect(incidents.length).toBeGreaterThan(0)
      expect(incidents.every(({ kind, step }) => kind === 'out-of-memory' && step === 1)).toBe(true)
      expect(incidents[0].message).toMatch(/^Memory ran out: micro-batches are now \d+ tokens\./)
      expect(largestDifference(lossesOf(events), free)).toBeLessThan(1e-5)
      // Freed memory is released before each retry.
      expect(emptied() - before).toBe(incidents.length)
    }
  })

  it('is an error when nothing can be halved any more, which says what the card holds, and leaves no tensors', async () => {
    const run = runOn(size)
    const live = liveTensors()
    setStrictMemory((await bytesInUse()) + 20_000)
    const error = await eventsOf(run).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(OutOfMemoryError)
    expect(String(error)).toMatch(
      /not enough memory on strict:0: tried to allocate .* Of its .* tensors of this process have .* One example at a time/,
    )
    expect(liveTensors() - live).toBeLessThan(5)
  })

  it('reports the memory of its device after each step', async () => {
    const run = runOn({ ...size, budget: { steps: 2 } })
    const [step] = ofType(await eventsOf(run), 'step')
    // The process itself takes far more than these tensors.
    expect(step.memoryBytes).toBeGreaterThan(100_000)
    expect(step.memoryBytes).toBeLessThan(30_000_000)
  })
})

it('an evaluation takes smaller parts', async () => {
  const run = runOn(size)
  const how = { examples: 32, microTokens: 8192, padded: false, device }
  let whole: Record<string, number> = {}
  const needed = await peakOf(async () => {
    whole = await evaluateValidation(run.trainable, run.stream, how)
  })
  setStrictMemory((await bytesInUse()) + Math.ceil(0.5 * needed))
  const before = emptied()
  const split = await evaluateValidation(run.trainable, run.stream, how)
  expect(emptied()).toBeGreaterThan(before)
  expect(Math.abs(split.loss - whole.loss)).toBeLessThan(1e-5)
  expect(split.accuracy).toBe(whole.accuracy)
})

it('the scheduler of generation halves its rows, and loses no request', async () => {
  const model: Model = build('llama', 'causal-lm', { hiddenSize: 512, numKvHeads: 4, headDim: 128 }).to({ device })
  model.eval()
  const prompts = Array.from({ length: 8 }, (_, i) => Array.from({ length: 28 }, (_, t) => 3 + ((7 * i + t) % 60)))
  const options = { maxNewTokens: 30 }
  const textsOf = async (scheduler: GenerationScheduler) => {
    const handles = prompts.map((prompt) => scheduler.submit({ prompt, options }))
    return (await Promise.all(handles.map(({ result }) => result))).map(({ ids }) => ids)
  }
  const free = new GenerationScheduler(model, { maxRows: 8 })
  const wanted = await textsOf(free)
  free.free()
  const scheduler = new GenerationScheduler(model, { maxRows: 8 })
  // A row of 58 tokens needs 2 layers × keys and values × 4 heads × 128 × 4 bytes of each: 475 kB; eight need 3.8 MB.
  setStrictMemory((await bytesInUse()) + 3_500_000)
  const before = emptied()
  expect(await textsOf(scheduler)).toEqual(wanted)
  expect(emptied()).toBeGreaterThan(before)
  setStrictMemory(undefined)
  scheduler.free()
})

describe('runs in a folder', () => {
  let small: SmallAlignment
  beforeAll(async () => {
    small = await makeSmallAlignment()
    small.rows('pairs.jsonl', pairRows(48))
    small.rows(
      'classes.jsonl',
      Array.from({ length: 64 }, (_, i) => ({
        text: i % 2 === 0 ? `hi ${i}` : `ho ho ${i}`,
        label: i % 2 === 0 ? 'a' : 'b',
      })),
    )
  })
  afterAll(() => small.dispose())

  const common = (name: string, more: object = {}) => ({
    base: small.base,
    out: small.at(name),
    device,
    batch: { sequences: 16 },
    budget: { steps: 3 },
    learningRate: 0.003,
    ...more,
  })
  const heard = async (run: (onEvent: (event: TrainingEvent) => void) => Promise<unknown>) => {
    const events: TrainingEvent[] = []
    await run((event) => events.push(event))
    return { losses: lossesOf(events), incidents: ofType(events, 'incident') }
  }

  it('of alignment take smaller micro-batches', async () => {
    const aligned = (name: string) =>
      heard((onEvent) => {
        const recipe = {
          objective: 'dpo',
          data: small.at('pairs.jsonl'),
          answers: { samples: 0 },
          validationShare: 0.1,
        }
        return align(common(name, recipe) as unknown as Parameters<typeof align>[0], { onEvent })
      })
    let free: Awaited<ReturnType<typeof aligned>> | undefined
    const whole = await peakOf(async () => {
      free = await aligned('dpo-free')
    })
    expect(free?.incidents).toEqual([])
    setStrictMemory((await bytesInUse()) + Math.ceil(0.7 * whole))
    const { losses, incidents } = await aligned('dpo-limited')
    expect(incidents.some(({ kind }) => kind === 'out-of-memory')).toBe(true)
    expect(largestDifference(losses, free?.losses ?? [])).toBeLessThan(1e-5)
  })

  it('stay within a memoryBudget of the card, and refuse one that the weights alone exceed', async () => {
    const recipe = { task: 'sequence-classification', data: small.at('classes.jsonl'), variant: 'full' }
    const trained = (name: string, more: object = {}) =>
      heard((onEvent) =>
        finetune(common(name, { ...recipe, ...more }) as unknown as Parameters<typeof finetune>[0], { onEvent }),
      )
    let free: Awaited<ReturnType<typeof trained>> | undefined
    const whole = await peakOf(async () => {
      free = await trained('free')
    })
    const memoryBudget = (await bytesInUse()) + Math.ceil(0.8 * whole)
    const { losses, incidents } = await trained('within', { memoryBudget })
    expect(incidents.map(({ kind }) => kind)).toContain('out-of-memory')
    expect(largestDifference(losses, free?.losses ?? [])).toBeLessThan(1e-5)
    expect(deviceMemory(device)?.limit).toBeUndefined()
    await expect(trained('refused', { memoryBudget: 1000 })).rejects.toThrow(/`memoryBudget`/)
  })

  it('report the peak of their device, and not that of the CPU', async () => {
    const before = await bytesInUse()
    const recipe = { task: 'sequence-classification', data: small.at('classes.jsonl'), variant: 'full' }
    await finetune(common('classes', recipe) as unknown as Parameters<typeof finetune>[0])
    const { measured } = (await readRunCard(small.at('classes'))) as RunCard
    expect(measured?.peakBytes).toBeGreaterThan(100_000)
    expect(measured?.peakBytes).toBe(peak() - before)
    expect(measured?.rssBytes).toBeLessThan(30_000_000)
  })
})
