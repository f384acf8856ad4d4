// Alignment that begins with an adapter, and the models of PPO as adapters of one frozen base: the base is in memory once, in any precision.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { adaptersOf, applyAdapter, loadAdapter, saveAdapter } from '../../src/adapters/index.ts'
import {
  adaptersOffReference,
  closeRewards,
  createCritic,
  criticOfAdapter,
  openRewards,
  putOnBase,
  scoreValues,
} from '../../src/alignment/index.ts'
import { loadModel, saveModel } from '../../src/checkpoint/index.ts'
import { loadForInference } from '../../src/inference/index.ts'
import { buildModel, type ModelDefinition, models, quantizeWeights, withHead } from '../../src/models/index.ts'
import { align, verifyResume } from '../../src/runs/index.ts'
import { Generator, memoryStatistics, noGrad } from '../../src/tensor/index.ts'
import type { TrainingEvent } from '../../src/tracking/index.ts'
import { chatTokenizer } from '../tasks/chat-tokenizer.ts'
import { makeSmallAlignment, pairRows, type SmallAlignment } from './small-alignment.ts'

let small: SmallAlignment
let pairs: string
let prompts: string

/** An adapter on a base with values that change what it gives, and a reward head if it is a reward model. */
const saveInventedAdapter = async (base: string, folder: string, head: 'causal-lm' | 'reward', seed: number) => {
  const language = await loadModel(base)
  const model = head === 'reward' ? withHead(language, 'reward') : language
  if (head === 'reward') model.head.initialize({ std: 0.15, generator: new Generator(seed) })
  const applied = applyAdapter(model, { type: 'lora', rank: 2 }, { seed })
  const generator = new Generator(seed)
  noGrad(() => {
    for (const [path, tensor] of applied.trainable)
      if (path.includes('.adapters.')) tensor.detach().normal_(0, 0.1, { generator })
  })
  await saveAdapter(applied, folder, { base })
}

beforeAll(async () => {
  small = await makeSmallAlignment()
  pairs = small.rows('pairs.jsonl', pairRows(40))
  prompts = small.rows(
    'prompts.jsonl',
    Array.from({ length: 24 }, (_, i) => ({ prompt: `${'hi '.repeat(1 + (i % 3))}${i}:` })),
  )
  await saveInventedAdapter(small.base, small.at('sft'), 'causal-lm', 3)
  await saveInventedAdapter(small.base, small.at('judge'), 'reward', 5)
})
afterAll(() => small.dispose())

const run = async (recipe: object) => {
  const events: TrainingEvent[] = []
  const notes: string[] = []
  const result = await align(recipe as unknown as Parameters<typeof align>[0], {
    onEvent: (event) => events.push(event),
    onNote: (note) => notes.push(note),
  })
  const steps = events.flatMap((event) => (event.type === 'step' ? [event] : []))
  const rollouts = events.flatMap((event) => (event.type === 'rollout' ? [event.metrics] : []))
  return { result, steps, rollouts, notes: notes.join('\n') }
}

const preferring = (name: string, more: object) => ({
  objective: 'dpo',
  base: small.at('sft'),
  data: pairs,
  out: small.at(name),
  batch: { sequences: 8 },
  budget: { steps: 3 },
  learningRate: 0.01,
  answers: { samples: 0 },
  untrainedBaseline: false,
  ...more,
})

const rewarding = (name: string, more: object) => ({
  objective: 'ppo',
  base: small.base,
  data: prompts,
  validationShare: 0.3,
  variant: 'lora',
  adapter: { rank: 2 },
  rewards: [{ type: 'reward-model', model: small.at('judge') }],
  rollout: { prompts: 8, maxNewTokens: 5 },
  out: small.at(name),
  budget: { steps: 2 },
  learningRate: 0.01,
  answers: { validation: 4, samples: 0 },
  untrainedBaseline: false,
  ...more,
})

describe('virtual tokens', () => {
  it.each([
    ['dpo', 'prefix-tuning'],
    ['grpo', 'prompt-tuning'],
  ])('%s: %s learns, and a note says that it does not begin at the reference', async (objective, variant) => {
    const recipe = (objective === 'dpo' ? preferring : rewarding)(`${objective}-${variant}`, {
      objective,
      base: small.base,
      variant,
      adapter: { virtualTokens: 2 },
      settings: { beta: 0.1 },
    })
    const { result, notes } = await run(recipe)
    expect(result.reason).toBe('finished')
    expect(notes).toMatch(/The 2 virtual tokens change the model before the first step, by up to [\d.]+ nats per token/)
  })
})

describe('an adapter as base', () => {
  it('is trained further, with itself as it was as the reference, and the base in memory once', async () => {
    const { steps, notes } = await run(preferring('further', { variant: 'lora', untrainedBaseline: true }))
    expect(steps[0].loss).toBeCloseTo(Math.LN2, 6)
    expect(steps.at(-1)?.loss).toBeLessThan(Math.LN2 - 0.01)
    expect(notes).toMatch(/Reference model: the base with the adapter as it was before training/)
    expect(notes).toMatch(/agree on \d+ tokens before the first step: largest difference 0 nats/)
    // What is written is one adapter on the same base.
    const config = JSON.parse(readFileSync(join(small.at('further'), 'model', 'adapter_config.json'), 'utf8')) as object
    expect(config).toMatchObject({ base_model_name_or_path: small.base, r: 2 })
    const base = await loadModel(small.base)
    const [before, after] = await Promise.all(
      [small.at('sft'), join(small.at('further'), 'model')].map((folder, i) =>
        loadAdapter(folder, { base, name: `adapter-${i}` }),
      ),
    )
    const moved = [...after.applied.trainable].map(([path, tensor]) => {
      const old = before.applied.trainable.get(path.replace('adapter-1', 'adapter-0'))?.toFloat32Array() ?? []
      return Math.max(...tensor.toFloat32Array().map((value, i) => Math.abs(value - old[i])))
    })
    expect(Math.max(...moved)).toBeGreaterThan(1e-3)
    expect(Math.max(...moved)).toBeLessThan(0.1)
    // A run whose model is an adapter is a base too, and it resumes to the bit.
    const again = await run(preferring('again', { base: small.at('further'), variant: 'lora', budget: { steps: 1 } }))
    expect(again.steps[0].loss).toBeCloseTo(Math.LN2, 6)
    expect(await verifyResume(small.at('again'), { steps: 2 })).toMatchObject({ equal: true, different: [] })
  })

  it('is merged first where the variant trains the base itself', async () => {
    const { steps, notes } = await run(preferring('merged', { variant: 'full', learningRate: 1e-3 }))
    expect(steps[0].loss).toBeCloseTo(Math.LN2, 6)
    expect(notes).toMatch(/Reference model: a frozen copy/)
    const { model } = await loadForInference({ model: small.at('merged') })
    expect(adaptersOf(model).names).toEqual([])
  })

  it('serves rewards of an objective that samples', async () => {
    const { rollouts, notes } = await run({
      ...rewarding('sampled', { base: small.at('sft'), objective: 'grpo', adapter: {} }),
      rewards: ['length:cost=0.01'],
      rollout: { prompts: 4, answers: 4, maxNewTokens: 5 },
    })
    expect(notes).toMatch(/the base with the adapter as it was/)
    expect(Math.abs(rollouts[0].kl)).toBeLessThan(1e-4)
  })

  it('is refused with another method, with other settings, and with a head of its own', async () => {
    const fault = (more: object) => align(preferring('wrong', more) as unknown as Parameters<typeof align>[0])
    await expect(fault({ variant: 'ia3' })).rejects.toThrow(/Expected lora for `variant`, the method of the adapter/)
    await expect(fault({ variant: 'lora', adapter: { rank: 4 } })).rejects.toThrow(/no `adapter` settings.*got rank/)
    await expect(fault({ base: small.at('judge'), variant: 'lora' })).rejects.toThrow(/head causal-lm.*reward/)
  })
})

describe('a critic that begins as a reward model', () => {
  it('shares the base, is exported as a reward model, and is opened again', async () => {
    const first = await run(rewarding('critic', { settings: { criticFrom: small.at('judge') } }))
    expect(first.notes).toMatch(/Critic: an adapter of its own on the frozen base, which begins as .*judge/)
    expect(first.rollouts[0].explainedVariance).toEqual(expect.any(Number))
    expect(await verifyResume(small.at('critic'), { steps: 3 })).toMatchObject({ equal: true, different: [] })
    const exported = join(small.at('critic'), 'model', 'critic')
    // Its head has moved from that of the reward model, in the direction of the returns.
    const base = await loadModel(small.base)
    const [judge, critic] = [
      await putOnBase(small.at('judge'), base, 'judge'),
      await putOnBase(exported, base, 'critic'),
    ]
    expect(critic.model.headType).toBe('reward')
    const heads = [judge, critic].map(({ name }) => {
      const [, head] = [...adaptersOf(base).tensorsOf(name)].find(([path]) => path.startsWith('head.')) ?? []
      return head?.toFloat32Array() ?? new Float32Array()
    })
    expect(heads[0]).toHaveLength(32)
    expect([...heads[0]]).not.toEqual([...heads[1]])
    const second = await run(
      rewarding('reopened', {
        settings: { criticFrom: exported },
        rewards: [{ type: 'reward-model', model: exported, name: 'critic' }],
      }),
    )
    expect(second.notes).toMatch(/which begins as .*model\/critic/)
  })

  it('is a model of its own where it is not on the base, with the tokenizer of the policy', async () => {
    const judge = withHead(await loadModel(small.base), 'reward')
    judge.head.initialize({ std: 0.15, generator: new Generator(8) })
    await saveModel(judge, small.at('whole-judge'), { tokenizer: small.at('tokenizer') })
    const whole = { settings: { criticFrom: small.at('whole-judge') }, rewards: ['length:cost=0.01'] }
    const { notes } = await run(rewarding('whole', whole))
    expect(notes).toMatch(/Critic: a model of its own, which begins as .*whole-judge/)
    expect((await loadModel(join(small.at('whole'), 'model', 'critic'))).headType).toBe('reward')
    // Other tokens, other ids: a critic reads those of the policy.
    await chatTokenizer({ pad: null }).save(small.at('other-tokenizer'))
    const path = join(small.at('other-tokenizer'), 'tokenizer.json')
    const changed = readFileSync(path, 'utf8').replaceAll('<pad>', '<other>')
    writeFileSync(path, changed)
    await saveModel(judge, small.at('foreign'), { tokenizer: small.at('other-tokenizer') })
    const fault = (settings: object, more: object = {}) =>
      align(rewarding('wrong', { settings, rewards: ['finished'], ...more }) as unknown as Parameters<typeof align>[0])
    await expect(fault({ criticFrom: small.at('foreign') })).rejects.toThrow(/tokenizer of the policy.*tokens 2 differ/)
    await expect(fault({ criticFrom: small.at('judge'), critic: 'head' })).rejects.toThrow(/no `settings.critic` head/)
    await expect(fault({ criticFrom: small.at('judge') }, { objective: 'rloo' })).rejects.toThrow(/has no critic/)
    await expect(fault({ criticWarmup: 5 }, { objective: 'grpo' })).rejects.toThrow(
      /no `settings.criticWarmup`.*no critic/,
    )
    await expect(fault({ value: { clip: 0.5 } }, { objective: 'grpo' })).rejects.toThrow(
      /no `settings.value`.*no critic/,
    )
    await expect(fault({ klIn: 'loss' }, { objective: 'grpo' })).rejects.toThrow(/`klIn` has no effect.*`beta`/)
    await expect(fault({ klRatioCorrected: true })).rejects.toThrow(/`klRatioCorrected` has no effect.*in the reward/)
  })
})

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

describe('policy, critic, reward model and reference on one frozen base', () => {
  const sizes = { hiddenSize: 256, numLayers: 4, numHeads: 4, numKvHeads: 4, intermediateSize: 1024, maxPositions: 64 }

  beforeAll(async () => {
    const definition = models.llama as unknown as ModelDefinition
    const config = definition.adjust({}, { ...sizes, vocabSize: chatTokenizer().maxId + 1 })
    const model = buildModel(definition, config, 'causal-lm').initialize({ std: 0.05, generator: new Generator(1) })
    await saveModel(model, small.at('wide'), { tokenizer: small.at('tokenizer') })
    await saveInventedAdapter(small.at('wide'), small.at('wide-judge'), 'reward', 7)
  })

  /** Bytes of the quantised base alone in a process: here the garbage of earlier tests may go while it is made. */
  const baseBytes = { bfloat16: 8_663_040, int8: 4_521_984, nf4: 2_633_728 }

  it.each(['bfloat16', 'int8', 'nf4'] as const)(
    'need the memory of one model and small adapters: %s',
    async (precision) => {
      // Finalizers of collected tensors run in later turns of the event loop.
      const bytes = async () => {
        for (let i = 0; i < 3; i++) {
          collect()
          await new Promise((resolve) => setTimeout(resolve, 10))
        }
        return memoryStatistics().inUse
      }
      const folder = small.at('wide')
      const model = await loadModel(folder)
      quantizeWeights(model, precision)
      const ofBase = baseBytes[precision]
      const before = await bytes()
      const policy = applyAdapter(model, { type: 'lora', rank: 2 }, { name: 'policy', seed: 1 })
      const reference = adaptersOffReference(policy)
      const { name } = await putOnBase(small.at('wide-judge'), model, 'critic')
      const critic = criticOfAdapter(model, name)
      const rewards = await openRewards([{ type: 'reward-model', model: small.at('wide-judge') }], {
        tokenizer: chatTokenizer(),
        base: { model, folder },
      })
      const ofAdapters = (await bytes()) - before
      // Three adapters of rank 2 with two reward heads; a second base would be 16 times as much even in four bits.
      const trained = [...policy.trainable.values(), ...critic.trainable.values()].reduce(
        (sum, { size }) => sum + size,
        0,
      )
      expect(ofAdapters).toBeLessThan(1.6 * 4 * trained)
      expect(ofAdapters).toBeLessThan(ofBase / { bfloat16: 14, int8: 7, nf4: 4 }[precision])
      // All four compute, and a step of sampling, scoring and training leaves nothing behind.
      const ids = Uint32Array.from([8, 9, 10, 11, 12])
      const completions = [{ ids, starts: [0], promptTokens: 2 }]
      const how = { microTokens: 64, padded: true }
      const use = async () => {
        await reference.logProbs(completions, how)
        await scoreValues(critic, model, completions, how)
      }
      await use()
      const used = await bytes()
      for (let i = 0; i < 3; i++) await use()
      expect((await bytes()) - used).toBeLessThan(ofBase / 100)
      expect(adaptersOf(model).active).toEqual(['policy'])
      await closeRewards(rewards)
      // A critic that is new is no larger.
      const fresh = createCritic(model, { adapter: { type: 'lora', rank: 2 }, name: 'fresh' })
      expect([...fresh.trainable.values()].reduce((sum, { size }) => sum + size, 0)).toBeLessThan(trained)
    },
  )
})
