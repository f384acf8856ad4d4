// ZeRO-3 with alignment and with several tasks: what is computed before a step has whole weights, the forward passes of a step those of a
// layer, and the losses are those of one process. The plan of a micro-batch differs by the terms of the loss, such as those of a critic that
// is trained alone at first, and by the tasks that a process has rows of. With TUNESMITH_FULL=1: 50 steps, four processes
// too, and for DPO and GRPO every other way to divide the state.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { loadModel, saveModel } from '../../src/checkpoint/index.ts'
import { withHead } from '../../src/models/index.ts'
import { type AlignInput, align, type MultitaskInput, multitask } from '../../src/runs/index.ts'
import { Generator } from '../../src/tensor/index.ts'
import { makeSmallAlignment, pairRows, ratingRows, type SmallAlignment } from '../alignment/small-alignment.ts'
import { makeParallelRecipes } from './parallel-recipes.ts'
import {
  evaluationsOf,
  expectMetrics,
  type GroupOutcome,
  largestDifference,
  lossesOf,
  runTogether,
} from './parallel-runs.ts'
import { rankMinutes } from './rank-processes.ts'

let small: SmallAlignment
let made: Awaited<ReturnType<typeof makeParallelRecipes>>
type Recipe = { out: string; command: string }
const isFull = process.env.TUNESMITH_FULL === '1'
const steps = isFull ? 50 : 10
const counts = isFull ? ['two', 'three', 'four'] : ['two', 'three']
/** Time for a group where the machine is busy. */
const minutes = isFull ? 60 : rankMinutes
const shard = 'parameters'
const shards = isFull ? ['none', 'optimizer', 'gradients', shard] : [shard]
/** Several buckets in a layer, though the model is small. */
const buckets = { TUNESMITH_BUCKET_MEGABYTES: '0.02' }

const aligned = (objective: string, more: object) => (name: string) => ({
  command: 'align',
  objective,
  base: small.base,
  budget: { steps },
  schedule: { type: 'constant' },
  ...more,
  out: small.at(name),
})
const pairs = (objective: string, more: object = {}) =>
  aligned(objective, {
    data: small.at(objective === 'kto' ? 'ratings.jsonl' : 'pairs.jsonl'),
    validation: small.at(objective === 'kto' ? 'ratings-held.jsonl' : 'pairs-held.jsonl'),
    batch: { sequences: 7, microTokens: 96 },
    learningRate: 0.003,
    evaluate: { steps: 5 },
    checkpoint: { steps: 4 },
    answers: { samples: 0 },
    ...more,
  })
const rollouts = (objective: string, more: object = {}) =>
  aligned(objective, {
    data: small.at('prompts.jsonl'),
    validationShare: 0.3,
    rewards: [{ type: 'length', unit: 'characters', cost: -0.1 }],
    rollout: { prompts: 5, answers: 2, maxNewTokens: 6, exact: true, epochs: 2 },
    batch: { sequences: 5, microTokens: 64 },
    learningRate: 0.005,
    answers: { validation: 6, samples: 0 },
    ...more,
  })
const tasks = (more: object) => (name: string) => ({
  command: 'multitask',
  base: join(made.root, 'base'),
  tasks: {
    stars: {
      type: 'sequence-classification',
      data: join(made.root, 'rows.jsonl'),
      settings: { text: 'review', label: 'stars' },
    },
    words: { type: 'sequence-classification', data: join(made.root, 'words.jsonl'), scale: 0.5 },
  },
  maxLength: 16,
  // Of one row or two: a process often has rows of one task alone.
  batch: { sequences: 4, microTokens: 16 },
  budget: { steps },
  checkpoint: { steps: 4 },
  learningRate: 0.005,
  ...more,
  out: join(made.root, name),
})

const lora = { variant: 'lora', adapter: { rank: 4, dropout: 0.1 } }
/** Every kind of run by name. */
const kinds = () => ({
  dpo: pairs('dpo'),
  'dpo, cached': pairs('dpo', { reference: { cache: true } }),
  'dpo, lora': pairs('dpo', lora),
  // Codes and scales of the base are divided too, and those of a copy that is the reference.
  'dpo, lora, nf4': pairs('dpo', { ...lora, frozenWeights: 'nf4-double' }),
  'dpo, int8': pairs('dpo', { reference: { precision: 'int8' } }),
  'kto, padded': pairs('kto', { batch: { sequences: 8, padded: true } }),
  orpo: pairs('orpo'),
  grpo: rollouts('grpo', { settings: { beta: 0.05 } }),
  'grpo, lora': rollouts('grpo', { ...lora, settings: { beta: 0.05 } }),
  'ppo, warm-up': rollouts('ppo', { settings: { criticWarmup: 3 } }),
  'ppo, lora': rollouts('ppo', { ...lora, settings: { criticWarmup: 2 } }),
  // A critic that is a model of its own is divided beside the policy.
  'ppo, two models': rollouts('ppo', { settings: { criticFrom: small.at('judge'), criticWarmup: 2 } }),
  'online-dpo': rollouts('online-dpo'),
  tasks: tasks({}),
  'tasks, lora': tasks(lora),
})
type Kind = keyof ReturnType<typeof kinds>
const allKinds = () => Object.keys(kinds()) as Kind[]
/** Kinds of the runs in each number of processes. */
const kindsOf = (): Record<string, readonly Kind[]> =>
  isFull
    ? { two: allKinds(), three: allKinds(), four: allKinds() }
    : {
        two: ['dpo', 'dpo, lora, nf4', 'grpo', 'ppo, warm-up', 'tasks'],
        three: ['dpo, int8', 'kto, padded', 'ppo, lora', 'ppo, two models', 'tasks, lora'],
      }
/** The largest difference of a loss. PPO divides its advantages by their spread, so that rounding grows from step to step. */
const mostOf = (kind: Kind): number => (isFull && kind.startsWith('ppo') ? 3e-5 : 1e-6)
const kindsWith = (count: string, own: string): readonly Kind[] => (own === shard ? kindsOf()[count] : ['dpo', 'grpo'])
const recipeOf = (count: string, kind: Kind, more: object = {}): Recipe => ({
  ...kinds()[kind](`${count}-${kind.replaceAll(', ', '-')}`),
  ...more,
})
const trainAlone = (recipe: Recipe) =>
  recipe.command === 'align' ? align(recipe as unknown as AlignInput) : multitask(recipe as unknown as MultitaskInput)
const stoppedKinds = ['dpo', 'grpo', 'ppo, warm-up', 'tasks'] as const
const stopped = () => stoppedKinds.map((kind) => recipeOf('stopped', kind, { shard }))

const outcomes = new Map<string, GroupOutcome>()

beforeAll(
  async () => {
    small = await makeSmallAlignment()
    made = await makeParallelRecipes(2)
    const judge = withHead(await loadModel(small.base), 'reward')
    judge.head.initialize({ std: 0.15, generator: new Generator(8) })
    await saveModel(judge, small.at('judge'), { tokenizer: small.at('tokenizer') })
    small.rows('pairs.jsonl', pairRows(48))
    small.rows('pairs-held.jsonl', pairRows(60).slice(48))
    small.rows('ratings.jsonl', ratingRows(48))
    small.rows('ratings-held.jsonl', ratingRows(60).slice(48))
    small.rows(
      'prompts.jsonl',
      Array.from({ length: 40 }, (_, i) => ({ prompt: `${'hi '.repeat(1 + (i % 3))}${i}:`, answer: 'ho' })),
    )
    writeFileSync(
      join(made.root, 'words.jsonl'),
      Array.from({ length: 60 }, (_, i) =>
        JSON.stringify({ text: `${['small', 'old'][i % 2]} river ${i}`, label: ['few', 'many'][i % 2] }),
      ).join('\n'),
    )
    const wanted = kindsOf()
    for (const kind of new Set([...Object.values(wanted).flat(), ...stoppedKinds]))
      await trainAlone(recipeOf('one', kind))
    for (const [i, count] of counts.entries()) {
      const recipes = shards.flatMap((own) =>
        kindsWith(count, own).map((kind) => recipeOf(`${count}-${own}`, kind, { shard: own })),
      )
      // Two processes are told to stop, and three go on.
      const more = i < 2 ? stopped() : []
      const event = i === 0 ? 'interrupt:1:5:stop' : ''
      outcomes.set(count, await runTogether(i + 2, [...recipes, ...more], event, buckets, minutes))
    }
  },
  4 * minutes * 60_000,
)
afterAll(() => {
  small.dispose()
  made.dispose()
})

it.each(counts)('ends without errors: %s processes', (count) => {
  const { lines, codes } = outcomes.get(count) as GroupOutcome
  expect(lines.filter((line) => line.includes('error'))).toEqual([])
  expect(codes).toEqual(codes.map(() => 0))
})

it.each(counts.flatMap((count) => shards.map((own) => [count, own])))(
  '%s processes give the losses and metrics of one: %s',
  async (count, own) => {
    for (const kind of kindsWith(count, own)) {
      const [one, shared] = [recipeOf('one', kind), recipeOf(`${count}-${own}`, kind)]
      const losses = await lossesOf(one)
      expect(losses, kind).toHaveLength(steps)
      const difference = largestDifference(await lossesOf(shared), losses)
      if (isFull) console.info(`${kind}, ${count}, ${own}: ${difference.toExponential(1)}`)
      expect(difference, kind).toBeLessThan(mostOf(kind))
      const evaluations = await evaluationsOf(one)
      expect(evaluations.length, kind).toBeGreaterThan(0)
      expectMetrics(await evaluationsOf(shared), evaluations, 1e-5)
    }
  },
)

it.each(stoppedKinds)('continues in three processes what two have begun: %s', async (kind) => {
  expect(
    largestDifference(await lossesOf(recipeOf('stopped', kind)), await lossesOf(recipeOf('one', kind))),
  ).toBeLessThan(mostOf(kind))
})
