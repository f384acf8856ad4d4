// The registry of what `evaluate` can do, one task a file. Shared code asks an entry, and never for its name.

import { languageModelling } from './language-modelling.ts'
import { rankedChoices } from './ranked-choices.ts'
import { recordEvaluations } from './records.ts'
import type { EvaluationTask } from './task.ts'

export const evaluations: Record<string, EvaluationTask> = {
  'language-modelling': languageModelling as unknown as EvaluationTask,
  ...recordEvaluations,
  'ranked-choices': rankedChoices as unknown as EvaluationTask,
}
