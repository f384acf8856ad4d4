// A plan of training steps against the steps themselves: the largest memory of tensors, in bytes, as the allocator counts it.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, test } from 'vitest'
import { type AdapterConfig, applyAdapter } from '../../src/adapters/index.ts'
import { createRandom } from '../../src/core/index.ts'
import { type HeadType, type ModelType, quantizeWeights } from '../../src/models/index.ts'
import { distilled, type Objective, type ObjectiveDefinition, objectives } from '../../src/objectives/index.ts'
import { emptyCache, keep, memoryStatistics, plan, resetPeakMemory, Tensor, zeros } from '../../src/tensor/index.ts'
import { type ExampleSource, planSteps, type TrainingRun, train } from '../../src/training/index.ts'
import { away, skippedAway } from '../device.ts'
import { build, noOther, rowOf, vocabulary } from '../objectives/small-models.ts'
import { runOf } from './small-loop.ts'

// oneDNN, which multiplies bf16 on processors that have instructions for it, takes memory of its own from the same allocator: 1.1 to 2 % of
// these small runs. With our own products the figures are equal everywhere.
process.env.TUNESMITH_GEMM = 'own'
setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

interface Case {
  model: ModelType
  config?: object
  objective?: string
  settings?: object
  frozenWeights?: 'int8' | 'nf4' | 'nf4-double'
  adapter?: AdapterConfig
  documents?: number[]
  /** Settings of a larger model of the same kind, whose predictions are learned. */
  teacher?: object
}

const size = { hiddenSize: 192, numLayers: 3, numHeads: 6, maxPositions: 512 }
const gated = { ...size, intermediateSize: 512, numKvHeads: 2 }
const encoder = { ...size, intermediateSize: 768 }

const cases: Record<string, Case> = {
  'GPT-2, causal': { model: 'gpt2', config: size },
  'GPT-2, all layers recomputed': { model: 'gpt2', config: size, settings: { recompute: 'all' } },
  'GPT-2, bfloat16': { model: 'gpt2', config: size, settings: { precision: 'bfloat16' } },
  'GPT-2, several micro-batches': {
    model: 'gpt2',
    config: size,
    settings: { batch: { sequences: 8, microTokens: 600 } },
  },
  'GPT-2, bfloat16, several micro-batches': {
    model: 'gpt2',
    config: size,
    settings: { precision: 'bfloat16', batch: { sequences: 8, microTokens: 600 } },
  },
  'Llama, grouped heads': { model: 'llama', config: gated },
  'Llama, bfloat16, two layers recomputed': {
    model: 'llama',
    config: gated,
    settings: { precision: 'bfloat16', recompute: 2 },
  },
  'Llama, padded rows': { model: 'llama', config: gated, settings: { batch: { sequences: 4, padded: true } } },
  'Qwen3, average of weights': { model: 'qwen3', config: { ...gated, headDim: 32 }, settings: { average: {} } },
  'Gemma 2, soft caps': { model: 'gemma2', config: { ...gated, headDim: 32, slidingWindow: 32 } },
  'Gemma 3, sliding windows': { model: 'gemma3', config: { ...gated, headDim: 32, slidingWindow: 32 } },
  'BERT, masked': { model: 'bert', config: encoder, objective: 'masked-lm' },
  'BERT, masked, bfloat16': {
    model: 'bert',
    config: encoder,
    objective: 'masked-lm',
    settings: { precision: 'bfloat16' },
  },
  'BERT, padded': {
    model: 'bert',
    config: encoder,
    objective: 'masked-lm',
    settings: { batch: { sequences: 4, padded: true } },
  },
  'GPT-2, Lion': { model: 'gpt2', config: size, settings: { optimizer: { type: 'lion' } } },
  'GPT-2, Muon': { model: 'gpt2', config: size, settings: { optimizer: { type: 'muon' } } },
  'GPT-2, updates within the backward pass': {
    model: 'gpt2',
    config: size,
    settings: { updateInBackward: 'one-pass', maxGradientNorm: 0 },
  },
  'GPT-2, updates within the second of two backward passes': {
    model: 'gpt2',
    config: size,
    settings: { updateInBackward: 'two-pass', precision: 'bfloat16' },
  },
  'GPT-2, a teacher': { model: 'gpt2', config: size, teacher: { ...size, numLayers: 4 } },
  'BERT, masked, bfloat16, a teacher': {
    model: 'bert',
    config: encoder,
    objective: 'masked-lm',
    teacher: { ...encoder, hiddenSize: 384 },
    settings: { precision: 'bfloat16', batch: { sequences: 8, microTokens: 600 } },
  },
  'Llama, LoRA': { model: 'llama', config: gated, adapter: { type: 'lora', rank: 8 } as AdapterConfig },
  'Llama, LoRA on int8': {
    model: 'llama',
    config: gated,
    frozenWeights: 'int8',
    adapter: { type: 'lora', rank: 8 } as AdapterConfig,
  },
  'Llama, LoRA on NF4': {
    model: 'llama',
    config: gated,
    frozenWeights: 'nf4-double',
    adapter: { type: 'lora', rank: 8 } as AdapterConfig,
  },
  'Llama, LoRA on NF4, bfloat16': {
    model: 'llama',
    config: gated,
    frozenWeights: 'nf4',
    adapter: { type: 'lora', rank: 8 } as AdapterConfig,
    settings: { precision: 'bfloat16' },
  },
}

const sourceOf = (objective: Objective<never>, documents: readonly number[]): ExampleSource<never> => ({
  perEpoch: 40,
  example(position) {
    const random = createRandom(`plans/${position % 40}`)
    const lengths = documents.map((most) => most - random.integer(20))
    return { example: objective.example(rowOf(lengths, random), random, noOther), cut: 0 }
  },
})

const makeRun = ({ model: type, config, settings, adapter, ...rest }: Case): TrainingRun<never> => {
  const { objective: name = 'causal-lm', frozenWeights, documents = [90, 140], teacher } = rest
  const definition = objectives[name as keyof typeof objectives] as ObjectiveDefinition
  const objective = definition.create(definition.config.parse({}), { vocabulary, maxLength: 256 }) as Objective<never>
  const model = build(type, definition.head as HeadType, { vocabSize: 2048, ...config })
  const { precision } = { precision: 'float32' as const, ...settings }
  if (frozenWeights !== undefined) {
    model.requireGrad(false)
    quantizeWeights(model, frozenWeights)
  }
  if (precision !== 'float32') model.to({ dtype: precision })
  const source = sourceOf(objective, documents)
  if (adapter !== undefined) applyAdapter(model, adapter, { seed: 0 })
  if (teacher === undefined) return runOf(type as never, { ...settings }, { source, model, objective })
  const theirs = build(type, definition.head as HeadType, { vocabSize: 2048, ...teacher })
  if (precision !== 'float32') theirs.to({ dtype: precision })
  const how = { weight: 0.5, temperature: 2, divergence: 'jensen-shannon' } as const
  const taught = distilled(objective, { model: theirs.requireGrad(false).eval(), ...how })
  return runOf(type as never, { ...settings }, { source, model, objective: taught })
}

const measure = async (one: Case): Promise<number> => {
  collect()
  collect()
  emptyCache()
  resetPeakMemory()
  const before = memoryStatistics().inUse
  const run = makeRun(one)
  const length = { timed: false, totalSteps: () => 2, done: ({ step }: { step: number }) => step >= 2 }
  for await (const _ of train({ ...run, length }));
  return memoryStatistics().peak - before
}

const ofTheCpu = skippedAway("a plan is made with the CPU's memory")

describe.skipIf(away)(`the memory of a plan equals that of the run${ofTheCpu}`, () => {
  test.each(Object.entries(cases))('%s', async (_, one) => {
    const measured = await measure(one)
    const { peakBytes, result } = await planSteps(async () => makeRun(one))
    expect(result.steps).toBe(2)
    expect(peakBytes).toBe(measured)
  })
})

describe.skipIf(away)(`a plan${ofTheCpu}`, () => {
  test('says where its peak is and what holds it', async () => {
    const { peak, peakBytes, phases } = await planSteps(async () => makeRun(cases['GPT-2, causal']))
    const held = peak.holders.reduce((sum, { bytes }) => sum + bytes, 0)
    expect(held).toBe(peakBytes)
    const state = peak.holders.find(({ label }) => label === 'optimizer state')
    const weights = peak.holders.find(({ label }) => label === 'weights')
    expect(state?.bytes).toBe(2 * (weights?.bytes ?? 0))
    expect(phases.map(({ phase }) => phase)).toEqual(['', 'forward', 'backward', 'optimizer'])
  })

  test('of a model that no machine here could hold takes no memory', async () => {
    const before = memoryStatistics().inUse
    const wide = { hiddenSize: 8192, numLayers: 4, numHeads: 64, numKvHeads: 8, intermediateSize: 28672 }
    const { peakBytes } = await planSteps(async () => makeRun({ model: 'llama', config: wide }), { steps: 1 })
    // Weights, gradients and AdamW's two moments in float32 of 3.4 billion parameters.
    expect(peakBytes).toBeGreaterThan(16 * 3.4e9)
    expect(memoryStatistics().inUse - before).toBeLessThan(2 ** 20)
  })

  test('of a part of each step has the memory and the tokens of whole steps', async () => {
    const batch = { sequences: 24, microTokens: 600 }
    const make = async () => makeRun({ model: 'gpt2', config: size, settings: { batch } })
    const whole = await planSteps(make)
    const part = await planSteps(make, { microBatches: 3 })
    expect(part.result.tokens).toBeLessThan(whole.result.tokens / 2)
    // The tokens of the first step stand for those of all.
    expect(Math.abs(part.result.tokensPerStep / whole.result.tokensPerStep - 1)).toBeLessThan(0.05)
    expect(Math.abs(part.peakBytes / whole.peakBytes - 1)).toBeLessThan(0.01)
    // Steps of rows of other lengths differ little.
    const late = await planSteps(make, { microBatches: 3, seconds: 0 })
    expect(late.result.steps).toBe(1)
    expect(Math.abs(late.peakBytes / part.peakBytes - 1)).toBeLessThan(0.01)
  })

  test('finds the steps with the most memory of documents that are padded apart', async () => {
    const settings = { batch: { sequences: 2, padded: true }, budget: { steps: 40 } }
    // Rows of 400 tokens: the more documents, the more rows of the padded batch, each as long as the longest.
    const make = async () => {
      const run = makeRun({ model: 'bert', config: encoder, objective: 'masked-lm', settings })
      const objective = run.trainable.objective as Objective<never>
      const stream: ExampleSource<never> = {
        perEpoch: 80,
        example(position) {
          const random = createRandom(`documents/${position}`)
          const count = 1 + random.integer(8)
          const cuts = Array.from({ length: count }, () => 8 + random.integer(40))
          const rest = 400 - cuts.reduce((total, length) => total + length, 0)
          return { example: objective.example(rowOf([...cuts, rest], random), random, noOther), cut: 0 }
        },
      }
      return { ...run, stream }
    }
    const all = await planSteps(make, { steps: 40 })
    const first = await planSteps(make, { steps: 4 })
    const some = await planSteps(make, { steps: 4, largestOf: 40 })
    expect(all.result.steps).toBe(40)
    expect(some.result.steps).toBe(4)
    expect(first.peakBytes).toBeLessThan(0.98 * all.peakBytes)
    expect(Math.abs(some.peakBytes / all.peakBytes - 1)).toBeLessThan(0.01)
  })

  test('counts the freed memory that a run with rows of many lengths keeps', async () => {
    const make = () => {
      const run = makeRun({ model: 'gpt2', config: size, settings: { budget: { steps: 12 } } })
      const objective = run.trainable.objective as Objective<never>
      const stream: ExampleSource<never> = {
        perEpoch: 200,
        example(position) {
          const random = createRandom(`lengths/${position}`)
          return { example: objective.example(rowOf([20 + random.integer(300)], random), random, noOther), cut: 0 }
        },
      }
      return {
        ...run,
        stream,
        length: { timed: false, totalSteps: () => 12, done: (state: { step: number }) => state.step >= 12 },
      }
    }
    collect()
    collect()
    emptyCache()
    resetPeakMemory()
    const before = memoryStatistics().inUse
    for await (const _ of train(make()));
    const { inUse, cached, peak } = memoryStatistics()
    const { peakBytes, heldBytes } = await planSteps(async () => make(), { steps: 12 })
    expect(peakBytes).toBe(peak - before)
    expect(heldBytes).toBeLessThan(1.25 * peakBytes)
    // In use are the weights; the rest of what the steps took is cached.
    expect(Math.abs(heldBytes / (inUse + cached - before) - 1)).toBeLessThan(0.05)
  })

  test('refuses a tensor outside of it, and another plan inside', async () => {
    const { result } = await plan(() => keep(zeros([4, 4])))
    expect(() => result.add(1)).toThrow(/one of a plan, which has a shape only/)
    await expect(plan(() => plan(() => 1))).rejects.toThrow(/another plan/)
    expect(zeros([2]).add(1).toArray()).toEqual([1, 1])
  })

  test('leaves tensors that exist outside of it as they are', async () => {
    const outside = Tensor.from([1, 2, 3, 4, 5, 6])
    await plan(() => outside.mul_(2).add_(zeros([6])))
    expect(outside.toArray()).toEqual([1, 2, 3, 4, 5, 6])
  })
})
