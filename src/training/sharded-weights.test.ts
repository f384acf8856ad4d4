// Layers whose weights are in memory only while they run give the outputs and gradients of whole models, for every architecture. One
// process stands for a group.
import { describe, expect, it } from 'vitest'
import { ConfigError } from '../core/index.ts'
import {
  type BodyInputs,
  buildModel,
  type Model,
  type ModelDefinition,
  models,
  withLayerWeights,
} from '../models/index.ts'
import { clearGrads, Generator, scope, type Tensor, tensor } from '../tensor/index.ts'
import { type Gatherer, ShardedWeights } from './sharded-weights.ts'

const groupOfOne = (log: string[] = []): Gatherer => ({
  rank: 0,
  size: 1,
  bucketBytes: 4096,
  overlaps: true,
  beginCollect(part: Tensor) {
    log.push('gathered')
    return part.clone()
  },
  arrived: async (begun: Tensor) => begun.view([-1]),
  arrivedNow: (begun: Tensor) => begun.view([-1]),
})

const build = (type: string): Model => {
  const definition = models[type as keyof typeof models] as ModelDefinition
  const config = definition.adjust(definition.presets.test, {})
  const [head] = Object.keys(definition.heads(config)) as Parameters<typeof buildModel>[2][]
  const model = buildModel(definition, config, head)
  model.initialize({ std: 0.05, generator: new Generator(3) })
  return model.requireGrad(true).eval()
}

const inputsOf = ({ body }: Model): BodyInputs => {
  const ids = tensor([[5, 6, 7, 8, 9]], { dtype: 'int64' })
  return 'decoder' in body ? { inputIds: ids, decoderInputIds: ids } : { inputIds: ids }
}

const gradientsOf = (parameters: ReadonlyMap<string, Tensor>): Map<string, number[]> => {
  const found = new Map<string, number[]>()
  for (const [path, { grad }] of parameters) if (grad !== undefined) found.set(path, [...grad.toFloat32Array()])
  clearGrads([...parameters.values()])
  return found
}

const pass = (model: Model): number =>
  scope(() => {
    const loss = model.bodyForward(inputsOf(model)).hidden.square().sum()
    loss.backward()
    return loss.item()
  })

const largestError = (a: ReadonlyMap<string, number[]>, b: ReadonlyMap<string, number[]>): number =>
  Math.max(
    ...[...a].flatMap(([path, values]) =>
      values.map((value, i) => Math.abs(value - (b.get(path)?.[i] ?? Number.NaN)) / Math.max(1, Math.abs(value))),
    ),
  )

describe('weights of layers that come and go', () => {
  it.each(Object.keys(models))('give the gradients of whole weights: %s', (type) => {
    const model = build(type)
    const parameters = model.parameters()
    const loss = pass(model)
    const expected = gradientsOf(parameters)
    const log: string[] = []
    const weights = new ShardedWeights(groupOfOne(log), [model], parameters)
    const complete: number[] = []
    weights.onGradients = (buckets) => complete.push(...buckets)
    weights.close()
    expect([...parameters.values()].every((parameter) => Number.isNaN(parameter.sum().item()))).toBe(true)
    const gathers: number[] = []
    for (let round = 0; round < 3; round++) {
      log.length = 0
      complete.length = 0
      weights.beginStep()
      weights.beginMicroBatch()
      expect(Math.abs(withLayerWeights(weights, () => pass(model)) - loss) / loss).toBeLessThan(1e-6)
      weights.endMicroBatch()
      weights.endStep()
      const own = gradientsOf(parameters)
      expect([...own.keys()]).toEqual([...expected.keys()])
      expect(largestError(expected, own)).toBeLessThan(1e-5)
      // The buckets of every layer once, when the layer's gradients are complete; the first micro-batch only shows the plan.
      expect([...complete].sort((a, b) => a - b)).toEqual(complete.map((_, i) => i))
      expect(complete.length > 0).toBe(round > 0)
      gathers.push(log.length)
    }
    // The plan knows that the last layer is needed again at once.
    expect(gathers[1]).toBeLessThan(gathers[0])
    expect(gathers[2]).toBe(gathers[1])
    expect([...parameters.values()].every((parameter) => Number.isNaN(parameter.sum().item()))).toBe(true)
  })

  it('are whole while they are open, and keep what was written into the part', async () => {
    const model = build('gpt2')
    const parameters = model.parameters()
    const before = new Map([...parameters].map(([path, parameter]) => [path, [...parameter.toFloat32Array()]]))
    const weights = new ShardedWeights(groupOfOne(), [model], parameters)
    weights.close()
    await weights.whole(() => {
      for (const [path, parameter] of parameters) expect([...parameter.toFloat32Array()]).toEqual(before.get(path))
    })
    weights.trainedPart?.weights.mul_(2)
    await weights.open()
    for (const [path, parameter] of parameters)
      expect([...parameter.toFloat32Array()]).toEqual(before.get(path)?.map((value) => Math.fround(value * 2)))
    weights.close()
    const seen = new Set<Tensor>()
    const shares: number[] = []
    await weights.eachUnit((tensors, share) => {
      for (const one of tensors) {
        expect(Number.isNaN(one.sum().item())).toBe(false)
        seen.add(one)
      }
      shares.push(share)
    })
    expect(seen).toEqual(new Set(parameters.values()))
    expect(shares.every((share, i) => share > (shares[i - 1] ?? 0) && share < 1)).toBe(true)
  })

  it('begin the same collectives in a micro-batch that nothing is learned from, and in one that runs no layer', () => {
    const model = build('gpt2')
    const log: string[] = []
    const weights = new ShardedWeights(groupOfOne(log), [model], model.parameters())
    weights.onGradients = (buckets) => log.push(`complete ${buckets}`)
    weights.close()
    const ways: ((run: () => number) => void)[] = [
      (run) => run(),
      (run) => run(),
      // A forward pass whose loss has nothing to learn from.
      () => scope(() => withLayerWeights(weights, () => void model.bodyForward(inputsOf(model)))),
      () => {},
      (run) => run(),
    ]
    const logs = ways.map((way) => {
      log.length = 0
      weights.beginStep()
      weights.beginMicroBatch()
      way(() => withLayerWeights(weights, () => pass(model)))
      weights.endMicroBatch()
      weights.endStep()
      clearGrads([...model.parameters().values()])
      return [...log]
    })
    expect(logs[1].filter((line) => line.startsWith('complete')).length).toBeGreaterThan(1)
    for (const other of logs.slice(2)) expect(other).toEqual(logs[1])
  })

  it('recompute nothing below the first layer that is trained', () => {
    const model = build('llama')
    const parameters = new Map([...model.parameters()].filter(([path]) => /layers\.1\./.test(path)))
    model.requireGrad(false)
    for (const parameter of parameters.values()) parameter.requiresGrad = true
    const loss = pass(model)
    const expected = gradientsOf(parameters)
    const weights = new ShardedWeights(groupOfOne(), [model], parameters)
    const passes: string[] = []
    const { during } = weights
    weights.during = (layer, which, body) => {
      passes.push(which)
      return during.call(weights, layer, which, body) as ReturnType<typeof body>
    }
    weights.close()
    weights.beginStep()
    weights.beginMicroBatch()
    expect(withLayerWeights(weights, () => pass(model))).toBeCloseTo(loss, 5)
    weights.endMicroBatch()
    weights.endStep()
    expect(largestError(expected, gradientsOf(parameters))).toBeLessThan(1e-5)
    expect(passes).toEqual(['forward', 'forward', 'backward'])
  })

  it('refuse an architecture that does not run its layers so, by name', () => {
    const model = build('llama')
    const weights = new ShardedWeights(groupOfOne(), [model], model.parameters())
    weights.beginMicroBatch()
    // Without `withLayerWeights`, as a body that calls its layers itself.
    pass(model)
    expect(() => weights.endMicroBatch()).toThrow(ConfigError)
    expect(() => weights.endMicroBatch()).toThrow(/layers can be recomputed for `shard` parameters, got llama/)
  })

  it('refuse layers in another order than before', () => {
    const model = build('llama')
    const weights = new ShardedWeights(groupOfOne(), [model], model.parameters())
    weights.beginMicroBatch()
    withLayerWeights(weights, () => pass(model))
    weights.endMicroBatch()
    expect(weights.plan).toMatch(/^1F 0F 0B 1B$/)
    weights.beginMicroBatch()
    const other = [...model.modules()].find(([path]) => path.endsWith('layers.1'))?.[1] as object
    expect(() => weights.during(other, 'forward', () => {})).toThrow(
      /Expected the layers of llama in the same order .* got another one at pass 1 of 4/,
    )
  })
})
