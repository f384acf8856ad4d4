// How alignment runs are compared: by the log-probabilities of the same validation records or the answers to the same prompts, and by their places on
// the chart of reward against KL divergence. Reads the files of runs and runs no model.
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import {
  bestOfNKl,
  expectedBestOf,
  parseReward,
  type RewardSettings,
  readRollout,
  rolloutFiles,
} from '../../alignment/index.ts'
import { resolveData } from '../../checkpoint/index.ts'
import { DataError, parseJson } from '../../core/index.ts'
import { readPrompts, type ScoreIntervals, scoreIntervals, type TaskRecord } from '../../tasks/index.ts'
import { modelFiles, runFiles } from '../../tracking/index.ts'
import type { RewardPoint, RunComparison } from '../engine/run-kind.ts'
import { splitRecords } from '../examples/run-data.ts'
import { type AlignmentPrediction, dataOf, parsePrediction } from './data.ts'
import { columnsOf, findObjective } from './objectives.ts'
import type { AlignRecipe } from './recipe.ts'
import { type AnswerPrediction, scoreAnswers } from './reinforcement/answer-evaluation.ts'

/** @throws DataError for a missing or damaged file */
const readPredictionLines = async (path: string): Promise<Map<string, { [name: string]: unknown }>> => {
  const text = await readFile(path, 'utf8').catch(() => {
    throw new DataError('Expected the predictions of a run, found none. Run it again.', path)
  })
  const lines = text.split('\n').filter((line) => line !== '')
  return new Map(
    lines.map((line, i) => {
      const fields = parseJson(line, { path, line: i + 1 }) as { [name: string]: unknown }
      return [String(fields.id), fields]
    }),
  )
}

/** The validation records among all of a file that were not dropped as too long, which have no prediction. */
const scoredRecordsOf = async <Record extends TaskRecord>(
  { validation, validationShare, out }: AlignRecipe,
  records: readonly Record[],
): Promise<Record[]> => {
  const held = validation === undefined ? splitRecords(records, validationShare).validation : records
  const lines = await readPredictionLines(join(out, runFiles.model, modelFiles.predictions))
  return held.filter(({ id }) => lines.has(id))
}

const dataOfRecipe = ({ objective }: AlignRecipe) => dataOf(findObjective(objective))

export const preferenceComparison: RunComparison<AlignRecipe> = {
  describe: (recipe) => ({ task: dataOfRecipe(recipe).noun, variant: `${recipe.objective}, ${recipe.variant}` }),
  async records(recipe) {
    const data = dataOfRecipe(recipe)
    const { data: all, validation: path = all, columns } = recipe
    const { records } = await data.read(await resolveData(path), columns)
    return scoredRecordsOf(recipe, records)
  },
  async predictions(path, records) {
    const lines = await readPredictionLines(path)
    return records.map((record: TaskRecord): AlignmentPrediction => {
      const fields = lines.get(record.id)
      if (fields === undefined)
        throw new DataError(`Expected a prediction for record ${record.id}, found none in ${dirname(path)}.`, path)
      return parsePrediction(fields, record)
    })
  },
  score: (records, predictions, recipe) =>
    dataOfRecipe(recipe).scores.score(records, predictions as readonly AlignmentPrediction[]),
}

const rewardNames = (rewards: readonly unknown[]): string =>
  rewards
    .map((reward) =>
      typeof reward === 'string'
        ? reward
        : ((reward as { name?: string; type?: string }).name ?? (reward as { type?: string }).type ?? ''),
    )
    .join(' + ')

export const answerComparison: RunComparison<AlignRecipe> = {
  describe: ({ rewards, judge, objective, variant, distillation: { teacher } }) => ({
    task:
      judge !== undefined
        ? `answers judged by ${rewardNames([judge])}`
        : rewards.length > 0
          ? `answers by ${rewardNames(rewards)}`
          : `answers like those of ${teacher}`,
    variant: `${objective}, ${variant}`,
  }),
  async records(recipe) {
    const { data: all, validation: path = all, columns } = recipe
    const { records } = await readPrompts(await resolveData(path), columnsOf('prompts', columns))
    return scoredRecordsOf(recipe, records)
  },
  async predictions(path, records) {
    const lines = await readPredictionLines(path)
    return records.map(({ id }: TaskRecord): AnswerPrediction => {
      // A line of JSON: its fields are checked below.
      const found = lines.get(id) as unknown as AnswerPrediction | undefined
      if (typeof found?.answer !== 'string' || typeof found.rewards !== 'object')
        throw new DataError(`Expected an answer with rewards for record ${id}, found none.`, path)
      return found
    })
  },
  score: (records, predictions) => scoreAnswers(records, predictions as readonly AnswerPrediction[]),
}

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
