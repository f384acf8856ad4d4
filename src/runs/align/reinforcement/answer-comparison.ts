// How runs that learn from rewards are compared: by the answers to the same validation prompts.
import { resolveData } from '../../../checkpoint/index.ts'
import { DataError } from '../../../core/index.ts'
import { readPrompts, type TaskRecord } from '../../../tasks/index.ts'
import { splitRecords } from '../../engine/data-splits.ts'
import type { RunComparison } from '../../engine/run-kind.ts'
import { columnsOf } from '../columns.ts'
import { readPredictionLines, scoredIds } from '../prediction-lines.ts'
import type { AlignRecipe } from '../recipe.ts'
import { type AnswerPrediction, scoreAnswers } from './answer-evaluation.ts'

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
    const { data: all, validation: path = all, validationShare, columns } = recipe
    const { records } = await readPrompts(await resolveData(path), columnsOf('prompts', columns))
    const held = recipe.validation === undefined ? splitRecords(records, validationShare).validation : records
    const scored = await scoredIds(recipe.out)
    return held.filter(({ id }) => scored.has(id))
  },
  answerFields: () => ['reference'],
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
