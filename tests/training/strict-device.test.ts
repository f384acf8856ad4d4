// Training, evaluation, generation and checkpoints on the strict device, which refuses tensors of the CPU: the losses of the CPU, with
// its dropout masks.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { loadModel, saveModel } from '../../src/checkpoint/index.ts'
import { generate } from '../../src/generation/index.ts'
import type { Model } from '../../src/models/index.ts'
import { enableStrictDevice, strictDeviceCounts } from '../../src/tensor/index.ts'
import { evaluateValidation, type TrainingRun } from '../../src/training/index.ts'
import { eventsOf, type Kind, kinds, largestDifference, lossesOf, modelOf, objectiveOf, runOf } from './small-loop.ts'

enableStrictDevice()

const folder = mkdtempSync(join(tmpdir(), 'tunesmith-strict-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const devices = ['cpu', 'strict'] as const
type Device = (typeof devices)[number]

const dropout: Record<Kind, object> = {
  bert: { hiddenDropout: 0.1, attentionDropout: 0.1 },
  gpt2: { embeddingDropout: 0.1, hiddenDropout: 0.1, attentionDropout: 0.1 },
  llama: {},
}

const runOn = (kind: Kind, device: Device, input: object = {}, model?: Model): TrainingRun<never> =>
  runOf(
    kind,
    { budget: { steps: 5 }, maxGradientNorm: 0.5, ...input },
    { model: (model ?? modelOf(kind, dropout[kind])).to({ device }).requireGrad(true), more: { device } },
  )

const valuesOf = (model: Model) => [...model.parameters().values()].map((one) => one.detach().to({ device: 'cpu' }))

const expectSameWeights = (a: Model, b: Model, limit: number): void => {
  const [mine, theirs] = [valuesOf(a), valuesOf(b)]
  for (const [i, one] of mine.entries()) expect(one.sub(theirs[i]).abs().max().item()).toBeLessThanOrEqual(limit)
}

describe.each(kinds)('%s', (kind) => {
  it.each([
    ['packed', {}],
    ['padded', { batch: { sequences: 4, padded: true } }],
    ['in micro-batches with recomputation', { batch: { sequences: 4, microTokens: 64 }, recompute: 'all' }],
  ])('trains %s rows', async (_, input) => {
    const [here, there] = await Promise.all(
      devices.map(async (device) => lossesOf(await eventsOf(runOn(kind, device, input)))),
    )
    expect(here).toHaveLength(5)
    expect(here[4]).not.toBe(here[0])
    expect(largestDifference(here, there)).toBeLessThan(2e-5)
  })

  it('evaluates', async () => {
    const metrics = await Promise.all(
      devices.map((device) => {
        const { trainable, stream } = runOn(kind, device)
        return evaluateValidation(trainable, stream, { examples: 6, microTokens: 100, padded: false, device })
      }),
    )
    expect(Object.keys(metrics[1])).toEqual(Object.keys(metrics[0]))
    for (const [name, value] of Object.entries(metrics[0])) expect(metrics[1][name]).toBeCloseTo(value, 4)
  })

  it('goes on from a state of the other device', async () => {
    const runs = devices.map((device) => runOn(kind, device, { budget: { steps: 2 } }))
    for (const run of runs) await eventsOf(run)
    const [here, there] = runs
    const weights = (run: TrainingRun<never>) => run.trainable.model
    for (const [from, to] of [
      [here, there],
      [there, here],
    ]) {
      weights(to).loadState(weights(from).parameters())
      to.optimizer.loadState(from.optimizer.state())
      expectSameWeights(weights(to), weights(from), 0)
      for (const [name, one] of to.optimizer.state().tensors)
        expect(one.to({ device: 'cpu' }).toArray()).toEqual(from.optimizer.state().tensors.get(name)?.toArray())
    }
  })

  it('writes a checkpoint that the CPU reads, and reads one of the CPU', async () => {
    const [here, there] = devices.map((device) => modelOf(kind).to({ device }))
    for (const [name, model, device] of [
      ['here', here, 'strict'],
      ['there', there, 'cpu'],
    ] as const) {
      const path = join(folder, `${kind}-${name}`)
      await saveModel(model, path)
      const loaded = await loadModel(path, { device })
      expect(loaded.body.embedTokens.device).toBe(device === 'cpu' ? 'cpu' : 'strict:0')
      expectSameWeights(loaded, here, 0)
    }
  })

  it('waits for the device a bounded number of times in a step', async () => {
    const waits = async (steps: number) => {
      const before = strictDeviceCounts()?.waits as number
      await eventsOf(runOn(kind, 'strict', { budget: { steps } }))
      return (strictDeviceCounts()?.waits as number) - before
    }
    const [few, many] = [await waits(2), await waits(6)]
    expect((many - few) / 4).toBeLessThanOrEqual(4)
  })
})

describe('generation', () => {
  const prompts = [[7, 9, 30], [12, 55, 31, 40, 8, 77], [90]]
  it.each([
    ['greedily', {}],
    ['by sampling', { sample: true, temperature: 0.8, seed: 5 }],
    [
      'by sampling with filters',
      { sample: true, temperature: 0.8, topK: 20, topP: 0.9, repetitionPenalty: 1.1, seed: 5 },
    ],
    ['without a cache', { useCache: false }],
    ['with beams', { numBeams: 3 }],
  ] as const)('%s', async (_, options) => {
    for (const kind of ['gpt2', 'llama'] as const) {
      const [here, there] = await Promise.all(
        devices.map((device) =>
          generate(modelOf(kind).to({ device }).eval(), undefined, prompts, {
            maxNewTokens: 12,
            padTokenId: 0,
            ...options,
          }),
        ),
      )
      expect(there.map(({ ids }) => ids)).toEqual(here.map(({ ids }) => ids))
    }
  })
})

it('names the argument where an objective is on another device than the model', () => {
  const model = modelOf('gpt2').to({ device: 'strict' })
  const objective = objectiveOf('gpt2')
  const { stream } = runOn('gpt2', 'cpu')
  const batch = objective.collate([stream.example(0).example], { padded: false })
  expect(() => objective.loss(model, batch, { metrics: false })).toThrow(
    /^embedding.*Expected all tensors on one device, got strict:0 and cpu/,
  )
})
