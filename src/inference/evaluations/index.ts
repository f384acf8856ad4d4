// The registry of what `evaluate` can measure, one kind a file.
import type { EvaluationEntry } from './evaluation.ts'
import { languageModelling } from './language-modelling.ts'
import { rankedChoices } from './ranked-choices.ts'
import { taskEvaluations } from './task-evaluations.ts'

export const evaluations: Readonly<Record<string, EvaluationEntry>> = {
  'language-modelling': languageModelling,
  ...taskEvaluations,
  'ranked-choices': rankedChoices,
}
