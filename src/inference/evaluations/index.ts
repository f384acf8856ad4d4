// The registry of what `evaluate` can measure: language modelling, ranked choices, preferences, and every task, registered ones included.
import { taskTypes } from '../../tasks/index.ts'
import type { EvaluationEntry } from './evaluation.ts'
import { harness } from './harness.ts'
import { languageModelling } from './language-modelling.ts'
import { preferences, ratings } from './preferences.ts'
import { rankedChoices } from './ranked-choices.ts'
import { findTaskEvaluation } from './task-evaluations.ts'

const builtIn: Readonly<Record<string, EvaluationEntry>> = {
  'language-modelling': languageModelling,
  'ranked-choices': rankedChoices,
  harness,
  preferences,
  ratings,
}

/** Names of everything that can be evaluated. */
export const evaluationTypes = (): string[] => [
  'harness',
  'language-modelling',
  'preferences',
  'ratings',
  ...taskTypes(),
  'ranked-choices',
]

/** The evaluation of this name, if there is one. */
export const findEvaluation = (type: string): EvaluationEntry | undefined =>
  Object.hasOwn(builtIn, type) ? builtIn[type] : findTaskEvaluation(type)

/** The evaluation that the names of the given options call for, if there is one. */
export const impliedEvaluation = (options: Readonly<Record<string, unknown>>): string | undefined =>
  Object.values(builtIn).find(({ impliedBy }) => impliedBy !== undefined && options[impliedBy] !== undefined)?.type

/** The evaluation of what a model was trained for beside tasks with records, if its folder says so. */
export const trainedEvaluation = async (model: string): Promise<string | undefined> => {
  for (const { type, measures } of Object.values(builtIn)) if (await measures?.(model)) return type
  return undefined
}
