// The registry of what `evaluate` can do, one task a file. Shared code asks an entry, and never for its name.
import { languageModelling } from './evaluate-language-modelling.ts'
import { recordEvaluations } from './evaluate-records.ts'
import type { EvaluationTask } from './evaluation-task.ts'

export const evaluations: Record<string, EvaluationTask> = {
  'language-modelling': languageModelling as unknown as EvaluationTask,
  ...recordEvaluations,
}
