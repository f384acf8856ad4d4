// The registry of what `evaluate` can measure: language modelling, ranked choices, and every task, registered ones included.
import { taskTypes } from '../../tasks/index.ts'
import type { EvaluationEntry } from './evaluation.ts'
import { harness } from './harness.ts'
import { languageModelling } from './language-modelling.ts'
import { rankedChoices } from './ranked-choices.ts'
import { findTaskEvaluation } from './task-evaluations.ts'

const builtIn: Readonly<Record<string, EvaluationEntry>> = {
  'language-modelling': languageModelling,
  'ranked-choices': rankedChoices,
  harness,
}

/** Names of everything that can be evaluated. */
export const evaluationTypes = (): string[] => ['harness', 'language-modelling', ...taskTypes(), 'ranked-choices']

/** The evaluation of this name, if there is one. */
export const findEvaluation = (type: string): EvaluationEntry | undefined =>
  Object.hasOwn(builtIn, type) ? builtIn[type] : findTaskEvaluation(type)

/** The evaluation that the names of the given options call for, if there is one. */
export const impliedEvaluation = (options: Readonly<Record<string, unknown>>): string | undefined =>
  Object.values(builtIn).find(({ impliedBy }) => impliedBy !== undefined && options[impliedBy] !== undefined)?.type
