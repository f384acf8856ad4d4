// What a task measures once a model is trained, applied: settings and head options that are saved with the specialist, and its
// predictions and scores with them. Independent of tasks and variants.
import type { HeadOptions } from '../../models/index.ts'
import { type RecordSource, scoreIntervalsByTurns, type TaskPrediction, type TaskSummary } from '../../tasks/index.ts'
import { type EvaluationDraft, type ScoredData, SetScores } from './write-evaluation.ts'

/** The evaluation of a specialist on all of its validation records. */
export interface FinalEvaluation {
  result: TaskSummary
  warnings: readonly string[]
  draft: EvaluationDraft
}

/** The result of a specialist with what was measured on its validation records. */
export interface MeasuredSpecialist extends Omit<FinalEvaluation, 'draft'> {
  /** Settings of the task, with those that were fitted. */
  config: object
  headOptions: Pick<HeadOptions, 'rewardScale'> | undefined
}

/** Applies what the task measures on the validation records, which are read once more where predictions change. */
export const measureSpecialist = async (
  data: ScoredData & { validation: RecordSource },
  { result, warnings, draft }: FinalEvaluation,
): Promise<MeasuredSpecialist> => {
  const { task, config, labels, validation } = data
  const measured = draft.measurement?.finish()
  if (measured === undefined) return { result, warnings, config, headOptions: undefined }
  const { headOptions, settings, fitted, predict = (prediction: TaskPrediction) => prediction } = measured
  if (settings === undefined) {
    if (measured.predict !== undefined) await draft.rewrite(validation, (_, prediction) => predict(prediction))
    return { result, warnings, config, headOptions }
  }
  const own = { ...config, ...settings }
  const scorer = task.scorer(own, labels)
  const sets = new SetScores({ ...data, config: own })
  await draft.rewrite(validation, (record, prediction) => {
    const changed = predict(prediction)
    scorer.add(record, changed)
    sets.add(record, changed)
    return changed
  })
  const scored = scorer.units()
  return {
    result: {
      ...result,
      metrics: { ...(await scoreIntervalsByTurns(scored)), ...(await sets.metrics()) },
      details: { ...scored.details(), ...(fitted === undefined ? {} : { fitted }) },
    },
    warnings: scorer.warnings?.() ?? [],
    config: own,
    headOptions,
  }
}
