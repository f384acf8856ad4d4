// The largest difference of a device to the CPU for each suite, in a process of its own: `parity.ts DEVICE [--smoke]`. The same seeds give the
// same weights, rows and dropout masks on both. One JSON line for each suite, as one may not end in time.
import { parseArgs } from 'node:util'
import { type AdapterConfig, type AdapterType, adapters, applyAdapter } from '../../src/adapters/index.ts'
import {
  frozenCopy,
  modelReference,
  type PreferencePair,
  pairOf,
  preferenceCriterion,
  preferenceSchema,
} from '../../src/alignment/index.ts'
import { parseConfig } from '../../src/core/index.ts'
import { generate } from '../../src/generation/index.ts'
import { buildModel, type Model, type ModelDefinition, type ModelType, models } from '../../src/models/index.ts'
import { createOptimizer, optimizerSchema, optimizers } from '../../src/optim/index.ts'
import { type Dtype, Generator, noGrad, randn, scope, type Tensor, tensor } from '../../src/tensor/index.ts'
import { computeGradients, trainedParameters } from '../../src/training/index.ts'
import { belowOf } from '../../tests/adapters/methods.ts'
import { build } from '../../tests/objectives/small-models.ts'
import { classLearner, classRow } from '../../tests/training/class-learner.ts'
import { eventsOf, type Kind, kinds, lossesOf, modelOf, runOf } from '../../tests/training/small-loop.ts'
import { type Difference, differenceOf } from './differences.ts'
import { openDevice } from './models.ts'

/** Values by the name of what was computed. */
type Values = Record<string, ArrayLike<number>>

interface Suite {
  name: string
  /** Most that a difference may be, relative to the largest value. */
  tolerance: number
  /** Computes the suite; `few` leaves most of its cases out. */
  compute(device: string, few: boolean): Promise<Values>
}

const some = <Item>(items: readonly Item[], few: boolean): readonly Item[] => (few ? items.slice(0, 2) : items)
const valuesOf = (value: Tensor): Float32Array =>
  value.detach().to({ dtype: 'float32', device: 'cpu' }).toFloat32Array()
const dropouts = { hiddenDropout: 0.1, attentionDropout: 0.1 }

/** Hidden states and gradients of every architecture. */
const architectures = async (device: string, few: boolean): Promise<Values> => {
  const values: Values = {}
  for (const [type, one] of some(Object.entries(models), few)) {
    const definition = one as ModelDefinition
    const config = definition.adjust(definition.presets.test, {})
    const [head] = Object.keys(definition.heads(config)) as Parameters<typeof buildModel>[2][]
    scope(() => {
      const model = buildModel(definition, config, head)
      model.initialize({ std: 0.05, generator: new Generator(3) })
      model.to({ device }).requireGrad(true).eval()
      const ids = tensor([[5, 6, 7, 8, 9, 10, 11]], { dtype: 'int64', device })
      const inputs = 'decoder' in model.body ? { inputIds: ids, decoderInputIds: ids } : { inputIds: ids }
      const { hidden } = model.bodyForward(inputs)
      hidden.square().mean().backward()
      values[`${type}: hidden states`] = valuesOf(hidden)
      const grads = [...model.parameters().values()].flatMap(({ grad }) => (grad === undefined ? [] : [grad]))
      values[`${type}: gradients`] = grads.flatMap((grad) => [...valuesOf(grad)])
    })
  }
  return values
}

const trainedLosses =
  (precision: Dtype, onCpu: Dtype = precision) =>
  async (device: string, few: boolean): Promise<Values> => {
    const dtype = device === 'cpu' ? onCpu : precision
    const values: Values = {}
    const inputs = { packed: {}, padded: { batch: { sequences: 4, padded: true } }, recomputed: { recompute: 'all' } }
    for (const kind of some(kinds, few))
      for (const [name, input] of some(Object.entries(inputs), few)) {
        const model = modelOf(kind, kind === 'llama' ? {} : dropouts).to({ device, dtype })
        const settings = { budget: { steps: 5 }, precision: dtype, ...input }
        const run = runOf(kind as Kind, settings, { model: model.requireGrad(true), more: { device } })
        values[`${kind}, ${name}`] = lossesOf(await eventsOf(run))
      }
    return values
  }

const rows = Array.from({ length: 6 }, (_, i) =>
  classRow(
    Array.from({ length: [2, 9, 5, 13, 3, 7][i] }, (_, at) => 7 + ((i * 31 + at * 17) % 80)),
    i % 3,
  ),
)

/** Gradients of every fine-tuning method, with dropout. */
const methods = async (device: string, few: boolean): Promise<Values> => {
  const values: Values = {}
  for (const type of some(['bert', 'gpt2'] as ModelType[], few))
    for (const variant of some(Object.keys(adapters) as AdapterType[], few)) {
      const definition = models[type] as ModelDefinition
      const config = definition.adjust(definition.presets.test, dropouts)
      const model = buildModel(definition, config, 'sequence-classification', { labels: ['a', 'b', 'c'], dropout: 0.1 })
      model.initialize({ std: 0.1, generator: new Generator(1) }).to({ device })
      const applied = applyAdapter(model, { type: variant } as AdapterConfig, { below: belowOf(variant, model) })
      applied.model.train()
      const trainable = { model: applied.model, objective: classLearner(3), parameters: applied.trainable }
      const how = { microTokens: 8192, padded: false, recompute: 0, generator: new Generator(3), device }
      const { gradients, loss, release } = await computeGradients(trainable, rows, how)
      values[`${type}, ${variant}`] = [loss, ...[...gradients.values()].flatMap((one) => [...valuesOf(one)])]
      release()
    }
  return values
}

/** Weights after five updates of every optimizer. */
const updates = async (device: string, few: boolean): Promise<Values> => {
  const shapes = { 'body.embedTokens.weight': [17, 8], 'body.layers.0.mlp.upProj.weight': [24, 8], 'body.norm': [8] }
  const draw = (seed: number) => {
    const generator = new Generator(seed)
    return new Map(Object.entries(shapes).map(([path, shape]) => [path, randn(shape, { generator }).to({ device })]))
  }
  const values: Values = {}
  for (const type of some(Object.keys(optimizers), few)) {
    const parameters = draw(1)
    const optimizer = createOptimizer(parseConfig(optimizerSchema, { type }, 'optimizer'), parameters)
    for (let step = 0; step < 5; step++) optimizer.step(draw(10 + step), { learningRate: 0.01, maxGradientNorm: 1 })
    values[type] = [...parameters.values()].flatMap((one) => [...valuesOf(one)])
  }
  return values
}

/** Tokens that are generated. A difference is that of an id, so any counts. */
const texts = async (device: string, few: boolean): Promise<Values> => {
  const prompts = [[7, 9, 30], [12, 55, 31, 40, 8, 77], [90]]
  const ways = {
    greedy: {},
    sampled: { sample: true, temperature: 0.8, topK: 20, seed: 5 },
    'without a cache': { useCache: false },
    beams: { numBeams: 3 },
  }
  const values: Values = {}
  for (const kind of ['gpt2', 'llama'] as const)
    for (const [name, options] of some(Object.entries(ways), few)) {
      const model = modelOf(kind).to({ device }).eval()
      const found = await generate(model, undefined, prompts, { maxNewTokens: 12, padTokenId: 0, ...options })
      values[`${kind}, ${name}`] = found.flatMap(({ ids }) => ids)
    }
  return values
}

/** Losses of a run that is on the device for three steps, on the CPU for two, and on the device again. */
const moved = async (device: string): Promise<Values> => {
  const values: Values = {}
  for (const kind of kinds) {
    const make = (place: string, steps: number) =>
      runOf(
        kind,
        { budget: { steps } },
        { model: modelOf(kind).to({ device: place }).requireGrad(true), more: { device: place } },
      )
    let before: ReturnType<typeof make> | undefined
    const losses: number[] = []
    for (const [place, steps] of [
      [device, 3],
      ['cpu', 5],
      [device, 7],
    ] as const) {
      const run = make(place, steps)
      if (before !== undefined) {
        run.trainable.model.loadState(before.trainable.model.parameters())
        run.optimizer.loadState(before.optimizer.state())
        run.state = { ...run.state, step: losses.length, position: 4 * losses.length }
      }
      losses.push(...lossesOf(await eventsOf(run)))
      before = run
    }
    values[kind] = losses
  }
  return values
}

/** Loss and gradients of preference objectives beside a frozen reference. */
const preferences = async (device: string, few: boolean): Promise<Values> => {
  const completion = (prompt: readonly number[], answer: readonly number[]) => ({
    ids: Uint32Array.from([...prompt, ...answer, 6]),
    starts: [0],
    promptTokens: prompt.length,
    truncatedTokens: 0,
  })
  const pairs: PreferencePair[] = [1, 2, 3, 4].map((i) => {
    const prompt = [10 + i, 20 + i]
    return pairOf(completion(prompt, [30 + i, 40 + i, 50]), completion(prompt, [60 + i]))
  })
  const values: Values = {}
  for (const type of some(['dpo', 'ipo', 'simpo'], few)) {
    const policy: Model = build('llama', 'causal-lm', { std: 0.2 }).to({ device }).requireGrad(true)
    const reference = modelReference(frozenCopy(policy), policy)
    noGrad(() => {
      for (const parameter of policy.parameters().values()) parameter.detach().mul_(1.01)
    })
    const settings = parseConfig(preferenceSchema, { type }, 'objective')
    const objective = preferenceCriterion(settings, type === 'simpo' ? {} : { reference })
    const context = { model: policy, microTokens: 8192, padded: false, device, step: 0, position: 0, seed: 0 }
    const examples = [...((await objective.prepare?.(pairs, context)) ?? pairs)]
    const parameters = trainedParameters(policy)
    const how = { microTokens: 8192, padded: false, recompute: 0, generator: new Generator(3), device }
    const trainable = { model: policy, objective, parameters }
    const { gradients, loss, release } = await computeGradients(trainable, examples, how)
    values[type] = [loss, ...[...gradients.values()].flatMap((one) => [...valuesOf(one)])]
    release()
  }
  return values
}

const suites: readonly Suite[] = [
  { name: 'architectures, hidden states and gradients', tolerance: 1e-4, compute: architectures },
  { name: 'training, losses in float32', tolerance: 1e-3, compute: trainedLosses('float32') },
  { name: 'training, losses in bfloat16', tolerance: 2e-2, compute: trainedLosses('bfloat16') },
  { name: 'training, losses in float16 to float32', tolerance: 2e-2, compute: trainedLosses('float16', 'float32') },
  { name: 'fine-tuning methods, gradients', tolerance: 1e-3, compute: methods },
  { name: 'optimizers, weights', tolerance: 1e-4, compute: updates },
  { name: 'generation, tokens', tolerance: 0, compute: texts },
  { name: 'resume on the other device, losses', tolerance: 1e-3, compute: moved },
  { name: 'preference objectives, gradients', tolerance: 1e-3, compute: preferences },
]

/** A suite's outcome. */
export interface ParityRow extends Difference {
  suite: string
  tolerance: number
  seconds: number
}

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: { smoke: { type: 'boolean', default: false } },
})
const [device] = positionals
openDevice(device)
for (const { name, tolerance, compute } of suites) {
  const started = performance.now()
  const difference = differenceOf(await compute('cpu', flags.smoke), await compute(device, flags.smoke))
  const seconds = (performance.now() - started) / 1000
  console.log(JSON.stringify({ suite: name, tolerance, ...difference, seconds } satisfies ParityRow))
}
