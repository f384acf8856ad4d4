// ZeRO-3 with alignment and with several tasks: what is computed before a step has whole weights, the forward passes of a step those of a
// layer, and the losses are those of one process. The plan of a micro-batch differs by the terms of the loss, such as those of a critic that
// is trained alone at first, and by the tasks that a process has rows of.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type AlignInput, align, type MultitaskInput, multitask } from '../../src/runs/index.ts'
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

let small: SmallAlignment
let made: Awaited<ReturnType<typeof makeParallelRecipes>>
type Recipe = { out: string; command: string }
const steps = 10
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
  'online-dpo': rollouts('online-dpo'),
  tasks: tasks({}),
  'tasks, lora': tasks(lora),
})
type Kind = keyof ReturnType<typeof kinds>
const kindNames: readonly Kind[] = [
  ...([
    'dpo',
    'dpo, cached',
    'dpo, lora',
    'dpo, lora, nf4',
    'dpo, int8',
    'kto, padded',
    'orpo',
    'grpo',
    'grpo, lora',
  ] as const),
  ...(['ppo, warm-up', 'ppo, lora', 'online-dpo', 'tasks', 'tasks, lora'] as const),
]
const recipeOf = (count: string, kind: Kind, more: object = {}): Recipe => ({
  ...kinds()[kind](`${count}-${kind.replaceAll(', ', '-')}`),
  ...more,
})
const shard = 'parameters'
const trainAlone = (recipe: Recipe) =>
  recipe.command === 'align' ? align(recipe as unknown as AlignInput) : multitask(recipe as unknown as MultitaskInput)
const stoppedKinds = ['dpo', 'grpo', 'ppo, warm-up', 'tasks'] as const
const stopped = () => stoppedKinds.map((kind) => recipeOf('stopped', kind, { shard }))

let outcomes: Record<'two' | 'three' | 'killed' | 'again' | 'refused', GroupOutcome>

beforeAll(async () => {
  small = await makeSmallAlignment()
  made = await makeParallelRecipes(2)
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
  for (const kind of kindNames) await trainAlone(recipeOf('one', kind))
  const of = (count: string) => kindNames.map((kind) => recipeOf(count, kind, { shard }))
  outcomes = {
    two: await runTogether(2, of('two'), '', buckets),
    three: await runTogether(3, of('three'), '', buckets),
    killed: await runTogether(2, stopped(), 'interrupt:1:5:stop', buckets),
    again: await runTogether(3, stopped(), '', buckets),
    refused: await runTogether(2, [recipeOf('refused', 'dpo', { shard, settings: { referenceSyncSteps: 2 } })]),
  }
}, 900_000)
afterAll(() => {
  small.dispose()
  made.dispose()
})

it.each(['two', 'three', 'killed', 'again'] as const)('ends without errors: %s', (name) => {
  const { lines, codes } = outcomes[name]
  expect(lines.filter((line) => line.includes('error'))).toEqual([])
  expect(codes).toEqual(codes.map(() => 0))
})

it.each(['two', 'three'].flatMap((count) => kindNames.map((kind) => [count, kind] as const)))(
  '%s processes give the losses and metrics of one: %s',
  async (count, kind) => {
    const one = await lossesOf(recipeOf('one', kind))
    expect(one).toHaveLength(steps)
    expect(largestDifference(await lossesOf(recipeOf(count, kind)), one)).toBeLessThan(1e-6)
    const evaluations = await evaluationsOf(recipeOf('one', kind))
    expect(evaluations.length).toBeGreaterThan(0)
    expectMetrics(await evaluationsOf(recipeOf(count, kind)), evaluations, 1e-5)
  },
)

it.each(stoppedKinds)('continues in three processes what two have begun: %s', async (kind) => {
  expect(
    largestDifference(await lossesOf(recipeOf('stopped', kind)), await lossesOf(recipeOf('one', kind))),
  ).toBeLessThan(1e-6)
})

it('refuses a reference that follows the policy', () => {
  expect(outcomes.refused.codes).toEqual([1, 1])
  expect(outcomes.refused.lines.join('\n')).toMatch(/A reference that follows the policy needs all weights/)
})
