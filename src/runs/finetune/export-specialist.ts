// Exports what a fine-tuning run made: the model or adapter, its evaluation, its task, and samples of tasks that generate text.
import { join } from 'node:path'
import type { AppliedAdapter } from '../../adapters/index.ts'
import { writeSentenceSettings } from '../../checkpoint/index.ts'
import { parseConfig, writeFileAtomic } from '../../core/index.ts'
import type { ProcessGroup } from '../../distributed/index.ts'
import type { Model } from '../../models/index.ts'
import {
  type EvaluatedRecords,
  evaluateRecords,
  evaluateTaskSchema,
  firstRecords,
  largestRecords,
  limitedRecords,
  type PreparedTask,
  predictTask,
  type TaskPrediction,
  type TaskRecord,
  type TaskSummary,
} from '../../tasks/index.ts'
import { runFiles } from '../../tracking/index.ts'
import { exportAdapted, withUntrainedBase } from '../engine/adapted-base.ts'
import type { FinalScores } from '../engine/run-kind.ts'
import type { FinetuneData } from './data.ts'
import type { FinetuneRecipe } from './recipe.ts'
import { type SpecialistTask, samplesOf, writeTask, writeTextFiles } from './specialist-files.ts'
import {
  EvaluationDraft,
  type FinalEvaluation,
  inspectAdvice,
  measureSpecialist,
  SetScores,
} from './write-evaluation.ts'

export interface Specialist {
  recipe: FinetuneRecipe
  data: FinetuneData
  /** What is trained, with the model that predicts. */
  applied: Pick<AppliedAdapter, 'inPlace' | 'parameterCount'> & { model: Model }
  prepared: PreparedTask
  maxLength: number
}

/** Writes a model into a folder, with more files beside the weights. */
type Save = (folder: string, addFiles: (folder: string) => Promise<void>) => Promise<void>

interface EvaluationSettings {
  maxLength: number
  /** Tasks that generate text answer this many records, the first ones. */
  answers: number
  /** Score the first ones only (default: all). */
  limit?: number | undefined
  group?: ProcessGroup | undefined
  /** Whether scores have confidence intervals (default: true). */
  intervals?: boolean
}

/**
 * Scores the specialist on the validation records, or on the first `limit` of them, as during training: without confidence intervals.
 * Tasks that generate text answer the first `answers`. The processes of a group divide the records.
 */
export const evaluateSpecialist = async (
  { data, applied, maxLength }: Specialist,
  answers: number,
  { limit, group }: { limit?: number; group?: ProcessGroup | undefined } = {},
): Promise<TaskSummary> => {
  const settings = { maxLength, answers, limit, group, intervals: false }
  const { result } = await evaluateData(data, applied.model, settings)
  return result
}

/** Scores a model on the validation records: on all, and on those of each data set. */
const evaluateData = async (
  { tokenizer, task, validation, config, validationSets }: FinetuneData,
  model: Model,
  { limit, ...settings }: EvaluationSettings,
  take: (record: TaskRecord, prediction: TaskPrediction) => void = () => {},
): Promise<EvaluatedRecords> => {
  const sets = new SetScores({ task, config, validationSets, labels: model.headOptions.labels })
  const records = limitedRecords(validation, limit)
  const { result, warnings } = await evaluateRecords(
    model,
    tokenizer,
    task,
    records,
    config,
    settings,
    (record, prediction) => {
      sets.add(record, prediction)
      take(record, prediction)
    },
  )
  return { result: { ...result, metrics: { ...result.metrics, ...(await sets.metrics(settings)) } }, warnings }
}

/** Scores the specialist on all validation records for the files of its model. The caller closes the draft. */
export const evaluateFinally = async (specialist: Specialist, answers: number): Promise<FinalEvaluation> => {
  const { recipe, data, applied, prepared, maxLength } = specialist
  const draft = new EvaluationDraft({
    ...data,
    labels: applied.model.headOptions.labels,
    seed: recipe.seed,
    folder: recipe.out,
    advice: inspectAdvice(recipe),
    samples: prepared.generation === undefined ? 0 : recipe.answers.samples,
  })
  try {
    const evaluated = await evaluateData(data, applied.model, { maxLength, answers }, (record, prediction) =>
      draft.add(record, prediction),
    )
    return { ...evaluated, draft }
  } catch (error) {
    draft.close()
    throw error
  }
}

/** Records that are few enough to be predicted in a plan. */
const fewRecords = 64
/** Records that a plan looks at. */
const mostPlanned = 512

/** Predicts those of the validation records that take the most memory, for a plan. */
export const predictLargest = async (specialist: Specialist, answers: number): Promise<void> => {
  const { data, applied, prepared, maxLength } = specialist
  const { tokenizer, task, config } = data
  const validation = await firstRecords(data.validation, mostPlanned)
  const predict = (part: readonly TaskRecord[], answered: number) =>
    predictTask(applied.model, tokenizer, task, part, config, { maxLength, answers: answered })
  if (validation.length <= fewRecords) {
    await predict(validation, answers)
    return
  }
  const { batchTokens } = parseConfig(evaluateTaskSchema, {}, 'settings')
  for (const part of await largestRecords(applied.model, prepared, validation, batchTokens)) await predict(part, 0)
  const answered = Math.min(answers, fewRecords)
  if (prepared.generation !== undefined && answered > 0) await predict(validation.slice(0, answered), answered)
}

/** The base before training on the validation records. */
interface Untrained {
  result: TaskSummary
  /** Predictions for the first records. */
  predictions: readonly TaskPrediction[]
}

/** Writes the specialist into a folder and returns its final evaluation. */
export const exportSpecialist = async (
  specialist: Specialist & { applied: AppliedAdapter },
  folder: string,
): Promise<FinalScores> => {
  const { recipe, data, applied, maxLength } = specialist
  const { answers, randomInit } = recipe
  const evaluated = await evaluateFinally(specialist, answers.atEnd)
  try {
    const untrained =
      randomInit || !recipe.untrainedBaseline
        ? undefined
        : await withUntrainedBase(recipe, data, applied, async (model): Promise<Untrained> => {
            const predictions: TaskPrediction[] = []
            const settings = { maxLength, answers: answers.atEnd }
            const { result } = await evaluateData(data, model, settings, (_, prediction) => {
              if (predictions.length < answers.samples) predictions.push(prediction)
            })
            return { result, predictions }
          })
    return await writeSpecialist(specialist, folder, { evaluated, untrained }, (target, addFiles) =>
      exportAdapted(recipe, data.base, applied, target, addFiles),
    )
  } finally {
    evaluated.draft.close()
  }
}

/** Writes the specialist with what was measured into a folder, by `save`, and returns its final evaluation. */
export const writeSpecialist = async (
  specialist: Specialist,
  folder: string,
  { evaluated, untrained }: { evaluated: FinalEvaluation; untrained?: Untrained | undefined },
  save: Save,
): Promise<FinalScores> => {
  const { data, applied } = specialist
  const { model, parameterCount: trained } = applied
  const measured = await measureSpecialist({ ...data, labels: model.headOptions.labels ?? [] }, evaluated)
  const { result, warnings, config, headOptions } = measured
  if (headOptions !== undefined) model.setRewardScale(headOptions.rewardScale)
  await writeSamples(specialist, untrained, evaluated.draft)
  let scores: FinalScores = { metrics: {} }
  await save(folder, async (target) => {
    const parameters = { trained, total: model.parameterCount }
    scores = await evaluated.draft.write(target, { result, warnings, untrained: untrained?.result, parameters })
    await writeTaskFiles({ ...specialist, data: { ...data, config } }, target)
  })
  return scores
}

/** Writes what a specialist, or a checkpoint of one, needs beside its weights to be used as it was trained. */
export const writeTaskFiles = async (
  { recipe, data: { task, config, tokenizer }, applied, prepared: { generation }, maxLength }: Specialist,
  folder: string,
): Promise<void> => {
  await writeTask(folder, { task: task.type, settings: config as SpecialistTask['settings'], maxLength })
  const own = !applied.inPlace && (generation !== undefined || recipe.tokenizer !== undefined)
  // Those of an adapter are in its own settings.
  if (applied.inPlace) await writeSentenceSettings(folder, applied.model, maxLength)
  await writeTextFiles(folder, { tokenizer, template: generation?.template, own })
}

/** Writes answers before and after training, for tasks that generate text. */
const writeSamples = async (
  { recipe, data: { tokenizer }, prepared: { generation } }: Specialist,
  before: Untrained | undefined,
  { samples: after }: EvaluationDraft,
): Promise<void> => {
  if (generation === undefined) return
  const samples = samplesOf({
    promptOf: (record) => tokenizer.decode(generation.prompt(record).ids, { skipSpecialTokens: false }),
    before: before?.predictions,
    after,
  })
  await writeFileAtomic(join(recipe.out, runFiles.samples), `${JSON.stringify(samples, null, 2)}\n`)
}
