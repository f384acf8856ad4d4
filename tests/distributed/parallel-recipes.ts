// Recipes of every kind of run that several processes train, over small invented data.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type FinetuneInput, finetune, type PretrainInput, pretrain } from '../../src/runs/index.ts'
import { makeSmallData, smallRecipe } from '../training/small-run.ts'

/** Names of the recipes. */
export const parallelKinds = ['masked', 'masked, padded, with a teacher', 'causal', 'full', 'lora', 'pairs'] as const
export type ParallelRecipes = Record<(typeof parallelKinds)[number], { out: string }>

/** Trains each in this process. */
export const trainAlone = async (recipes: ParallelRecipes): Promise<void> => {
  for (const recipe of Object.values(recipes))
    await ('task' in recipe ? finetune(recipe as FinetuneInput) : pretrain(recipe as PretrainInput))
}

/** @param numLayers of every model */
export const makeParallelRecipes = async (numLayers = 1) => {
  const data = await makeSmallData()
  const bytes = await makeSmallData('bpe')
  const base = join(data.root, 'base')
  const withDropout = { numLayers, hiddenDropout: 0.1, attentionDropout: 0.1 }
  const masked = (out: string, more: object = {}) => ({
    ...smallRecipe(data, join(data.root, out), {
      model: { type: 'bert', preset: 'test', config: withDropout },
      // Seven rows: no count of processes divides them.
      batch: { sequences: 7, microTokens: 64 },
      budget: { steps: 50 },
      evaluate: { steps: 25 },
      checkpoint: { steps: 20 },
      ...more,
    }),
    out: join(data.root, out),
  })
  const causal = (out: string, more: object = {}) => ({
    ...smallRecipe(bytes, join(data.root, out), {
      model: { type: 'llama', preset: 'test', config: { numLayers } },
      objective: { type: 'causal-lm' },
      batch: { tokens: 200, microTokens: 96 },
      budget: { steps: 50 },
      average: undefined,
      evaluate: {},
      checkpoint: { steps: 50 },
      keep: { last: 1 },
      ...more,
    }),
    out: join(data.root, out),
  })
  const classes = (out: string, more: object = {}) => ({
    command: 'finetune',
    base,
    task: 'sequence-classification',
    settings: { text: 'review', label: 'stars' },
    data: join(data.root, 'rows.jsonl'),
    out: join(data.root, out),
    maxLength: 32,
    batch: { sequences: 5 },
    budget: { steps: 50 },
    learningRate: 0.005,
    ...more,
  })
  await pretrain(masked('base', { budget: { steps: 5 }, evaluate: {}, keep: {} }))
  const words = ['the house', 'a river walks', 'old bird sleeps over the green stone', 'rain and light']
  const rows = Array.from({ length: 160 }, (_, i) => ({
    review: `${words[i % 4]} ${i % 3 === 0 ? 'green' : 'stone'} number ${i}`,
    stars: i % 3 === 0 ? 'plant' : 'rock',
  }))
  writeFileSync(join(data.root, 'rows.jsonl'), rows.map((row) => JSON.stringify(row)).join('\n'))

  const pairs = rows.map(({ review }, i) => ({ text: review, pair: `a ${words[i % 4]} number ${i}` }))
  writeFileSync(join(data.root, 'pairs.jsonl'), pairs.map((row) => JSON.stringify(row)).join('\n'))

  /** Every kind of run, under a name for each number of processes. */
  const recipesFor = (name: string, more: object = {}): ParallelRecipes => ({
    masked: masked(`${name}-masked`, more),
    'masked, padded, with a teacher': masked(`${name}-padded`, {
      distillation: { teacher: base },
      batch: { sequences: 7, padded: true },
      evaluate: {},
      average: undefined,
      keep: {},
      ...more,
    }),
    causal: causal(`${name}-causal`, more),
    full: classes(`${name}-full`, { variant: 'full', ...more }),
    // The loss compares all texts of a batch, whichever process computes them.
    pairs: classes(`${name}-pairs`, {
      task: 'sentence-similarity',
      // A large scale would multiply what is rounded.
      settings: { scale: 5 },
      data: join(data.root, 'pairs.jsonl'),
      ...more,
    }),
    lora: classes(`${name}-lora`, { variant: 'lora', adapter: { rank: 4, dropout: 0.1 }, ...more }),
  })
  const dispose = () => {
    data.dispose()
    bytes.dispose()
  }
  return { masked, causal, classes, recipesFor, dispose, root: data.root }
}
