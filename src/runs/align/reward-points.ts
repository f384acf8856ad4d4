// Where a run of alignment is on the chart of reward against KL divergence: by its rewards, by its judge, and, for the base that it began
// with, by the best of n of its answers. Reads the files of the run, and runs no model.
import { join } from 'node:path'
import {
  bestOfNKl,
  expectedBestOf,
  parseReward,
  type RewardSettings,
  readRollout,
  rolloutFiles,
} from '../../alignment/index.ts'
import { type ScoreIntervals, scoreIntervals } from '../../tasks/index.ts'
import { runFiles } from '../../tracking/index.ts'
import type { RewardPoint } from '../engine/run-kind.ts'
import type { AlignRecipe } from './recipe.ts'

type Scorer = Pick<RewardPoint, 'scorer' | 'reward'>

const isFunction = (input: unknown): input is { type: 'function'; name: string } =>
  (input as { type?: unknown }).type === 'function'

/** Rewards with their settings: equal ones score equally, however they are written. */
const scorerOf = (inputs: readonly unknown[]): Scorer => {
  const known = inputs.map((input) => (isFunction(input) ? input : parseReward(input as RewardSettings | string)))
  return { scorer: JSON.stringify(known), reward: known.map(({ type, name = type }) => name).join(' + ') }
}

/** Numbers of answers of which the best is taken: powers of two. */
const counts = (most: number): number[] =>
  Array.from({ length: Math.floor(Math.log2(Math.max(1, most))) + 1 }, (_, i) => 2 ** i)

/** The best of n answers of the base, from the first rollout: its answers were sampled before the first step. */
const bestOfN = async (recipe: AlignRecipe, folder: string, scorer: Scorer): Promise<RewardPoint[]> => {
  const [first] = await rolloutFiles(join(folder, runFiles.rollouts))
  if (first === undefined) return []
  const groups = new Map<number, number[]>()
  for (const { step, group, reward } of await readRollout(first))
    if (step === 0 && reward !== null) groups.set(group, [...(groups.get(group) ?? []), reward])
  const rewards = [...groups.values()]
  if (rewards.length === 0) return []
  const most = Math.min(...rewards.map(({ length }) => length))
  return counts(most).map((n): RewardPoint => {
    const best = rewards.map((group) => expectedBestOf(group, n))
    const scores = (times?: ArrayLike<number>) => {
      const weights = best.map((_, i) => times?.[i] ?? 1)
      const total = weights.reduce((sum, weight) => sum + weight, 0)
      return { best: best.reduce((sum, value, i) => sum + weights[i] * value, 0) / total }
    }
    const found = scoreIntervals({ units: best.length, scores, details: () => ({}) }, { seed: recipe.seed })
    const name = n === 1 ? 'the base' : `best of ${n} of the base`
    return { ...scorer, name, method: 'best of n', kl: bestOfNKl(n), ...found.best }
  })
}

/** The places of a run. */
export const rewardPoints = async (
  recipe: AlignRecipe,
  folder: string,
  { reward, judge, kl }: ScoreIntervals,
): Promise<RewardPoint[]> => {
  const method = `${recipe.objective}, ${recipe.variant}`
  const own = (scorer: Scorer, score: ScoreIntervals[string] | undefined): RewardPoint[] =>
    score === undefined || kl === undefined ? [] : [{ ...scorer, method, kl: kl.value, ...score }]
  const judged = recipe.judge === undefined ? [] : own(scorerOf([recipe.judge]), judge)
  if (recipe.rewards.length === 0) return judged
  const scorer = scorerOf(recipe.rewards)
  return [...own(scorer, reward), ...judged, ...(await bestOfN(recipe, folder, scorer))]
}
