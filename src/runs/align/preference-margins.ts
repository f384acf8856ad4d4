// The validation records of a run that learned from preferences, with the log-probabilities that its model gives to their answers: margins, and
// answers that became less likely though they were chosen. Reads the files of the run and runs no model.
import { DataError } from '../../core/index.ts'
import { contentOf } from '../../tasks/index.ts'
import { openScoredRun, scoredPredictions, scoredRecords } from '../compare/scored-run.ts'
import { type AnswerQuality, dataOf } from './data.ts'
import { findObjective } from './objectives.ts'
import type { AlignRecipe } from './recipe.ts'
import type { AlignmentPrediction } from './scores.ts'

/** An answer with its log-probabilities in nats. */
export interface ScoredAnswerText {
  quality: AnswerQuality
  text: string
  logProb: number
  /** Log-probability minus that under the base: the implicit reward. Null where the base was not measured. */
  ratio: number | null
  tokens: number
}

/** A validation record with its answers. */
export interface PreferenceMargin {
  id: string
  prompt: string
  answers: ScoredAnswerText[]
  /** Ratio of the chosen minus that of the rejected answer. Null for ratings, and where the base was not measured. */
  margin: number | null
  /** Whether a chosen or good answer has become less likely than under the base. Null where the base was not measured. */
  displaced: boolean | null
}

const marginOf = (answers: readonly ScoredAnswerText[]): number | null => {
  const [chosen, rejected] = answers
  if (rejected === undefined || chosen.ratio === null || rejected.ratio === null) return null
  return chosen.ratio - rejected.ratio
}

/** Whether the data prefers such an answer. */
const isPreferred: Record<AnswerQuality, boolean> = { chosen: true, good: true, rejected: false, bad: false }

const isDisplaced = (answers: readonly ScoredAnswerText[]): boolean | null =>
  answers.every(({ ratio }) => ratio === null)
    ? null
    : answers.some(({ quality, ratio }) => isPreferred[quality] && ratio !== null && ratio < 0)

/**
 * Reads the margins of a run, in the order of its validation records.
 * @throws DataError for a run that did not learn from preferences, is not finished, or whose data has changed
 */
export const readPreferenceMargins = async (folder: string): Promise<PreferenceMargin[]> => {
  const run = await openScoredRun(folder)
  // The next line checks that it is a recipe of `align`.
  const recipe = run.recipe as unknown as AlignRecipe
  if (recipe.command !== 'align' || findObjective(recipe.objective).data === 'prompts')
    throw new DataError(`${folder}: Expected a run that learned from preferences, found another one.`)
  const data = dataOf(findObjective(recipe.objective))
  const records = await scoredRecords(run, folder)
  // Those of `preferenceComparison`, which parses them.
  const predictions = (await scoredPredictions(run, records)) as unknown as readonly AlignmentPrediction[]
  return records.map((record, i): PreferenceMargin => {
    const { completions } = predictions[i]
    const answers = data.answersOf(record).map(({ quality, text }, n): ScoredAnswerText => {
      const { logProb, base, tokens } = completions[n]
      return { quality, text: contentOf(text), logProb, ratio: base === undefined ? null : logProb - base, tokens }
    })
    return {
      id: record.id,
      prompt: contentOf(data.promptOf(record)),
      answers,
      margin: marginOf(answers),
      displaced: isDisplaced(answers),
    }
  })
}
