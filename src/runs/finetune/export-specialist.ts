// Exports what a fine-tuning run made: the model or adapter, its evaluation, its task, and samples of tasks that generate text.
import { join } from 'node:path'
import type { AppliedAdapter } from '../../adapters/index.ts'
import { parseConfig, writeFileAtomic } from '../../core/index.ts'
import type { ProcessGroup } from '../../distributed/index.ts'
import type { Model } from '../../models/index.ts'
import {
  evaluateTask,
  evaluateTaskSchema,
  largestRecords,
  type PreparedTask,
  predictTask,
  type TaskRecord,
  type TaskResult,
} from '../../tasks/index.ts'
import { runFiles } from '../../tracking/index.ts'
import { exportAdapted, withUntrainedBase } from '../engine/adapted-base.ts'
import type { FinalScores } from '../engine/run-kind.ts'
import { type MeasuredSpecialist, measureSpecialist } from './after-training.ts'
import type { FinetuneData } from './data.ts'
import type { FinetuneRecipe } from './recipe.ts'
import { type SpecialistTask, samplesOf, writeTask, writeTextFiles } from './specialist-files.ts'
import { scoreSets, writeEvaluation } from './write-evaluation.ts'

/** What the evaluation and the export of a specialist need. */
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

/**
 * Scores the specialist on the validation records, or on the first `limit` of them; tasks that generate text answer the first
 * `answers`. The processes of a group divide the records.
 */
export const evaluateSpecialist = (
  { data, applied, maxLength }: Specialist,
  answers: number,
  { limit, group }: { limit?: number; group?: ProcessGroup | undefined } = {},
): Promise<TaskResult> => evaluateData(data, applied.model, { maxLength, answers, limit, group })

/** Scores a model on the validation records: on all, and on those of each data set. */
const evaluateData = async (
  { tokenizer, task, records, config, validationSets }: FinetuneData,
  model: Model,
  { limit, ...settings }: { maxLength: number; answers: number; limit?: number; group?: ProcessGroup | undefined },
): Promise<TaskResult> => {
  const validation = records.validation.slice(0, limit)
  const result = await evaluateTask(model, tokenizer, task, validation, config, settings)
  const { predictions, metrics } = result
  const bySet = scoreSets({ task, config, validation, validationSets, labels: model.headOptions.labels }, predictions)
  return { ...result, metrics: { ...metrics, ...bySet } }
}

/** Records that are few enough to be predicted in a plan. */
const fewRecords = 64

/** Predicts those of the validation records that take the most memory, for a plan. */
export const predictLargest = async (specialist: Specialist, answers: number): Promise<void> => {
  const { data, applied, prepared, maxLength } = specialist
  const { tokenizer, task, records, config } = data
  const { validation } = records
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

/** Writes the specialist into a folder and returns its final evaluation. */
export const exportSpecialist = async (
  specialist: Specialist & { applied: AppliedAdapter },
  folder: string,
): Promise<FinalScores> => {
  const { recipe, data, applied, maxLength } = specialist
  const { answers, randomInit } = recipe
  const evaluated = await evaluateSpecialist(specialist, answers.atEnd)
  const untrained =
    randomInit || !recipe.untrainedBaseline
      ? undefined
      : await withUntrainedBase(recipe, data, applied, (model) =>
          evaluateData(data, model, { maxLength, answers: answers.atEnd }),
        )
  return writeSpecialist(specialist, folder, { evaluated, untrained }, (target, addFiles) =>
    exportAdapted(recipe, data.base, applied, target, addFiles),
  )
}

/** Writes the specialist with what was measured into a folder, by `save`, and returns its final evaluation. */
export const writeSpecialist = async (
  specialist: Specialist,
  folder: string,
  { evaluated, untrained }: { evaluated: TaskResult; untrained?: TaskResult | undefined },
  save: Save,
): Promise<FinalScores> => {
  const { data, applied } = specialist
  const { task, records, config } = data
  const labels = applied.model.headOptions.labels ?? []
  const measured = measureSpecialist(task, records.validation, evaluated, config, labels)
  if (measured.headOptions !== undefined) applied.model.setRewardScale(measured.headOptions.rewardScale)
  const { result } = measured
  await writeSamples(specialist, untrained, result)
  let scores: FinalScores = { metrics: {} }
  await save(folder, async (target) => {
    scores = await writeSpecialistFiles(specialist, target, measured, untrained)
  })
  return scores
}

/** Adds evaluation, task and tokenizer to the files of the model. */
const writeSpecialistFiles = async (
  specialist: Specialist,
  folder: string,
  { result, config }: MeasuredSpecialist,
  untrained: TaskResult | undefined,
): Promise<FinalScores> => {
  const { recipe, data, applied } = specialist
  const { task } = data
  const { model, parameterCount: trained } = applied
  const scores = await writeEvaluation(folder, {
    task,
    config,
    trained: data.trained,
    validation: data.records.validation,
    validationSets: data.validationSets,
    result,
    untrained,
    labels: model.headOptions.labels,
    parameters: { trained, total: model.parameterCount },
    seed: recipe.seed,
  })
  await writeTaskFiles({ ...specialist, data: { ...data, config } }, folder)
  return scores
}

/** Writes what a specialist, or a checkpoint of one, needs beside its weights to be used as it was trained. */
export const writeTaskFiles = async (
  { recipe, data: { task, config, tokenizer }, applied, prepared: { generation }, maxLength }: Specialist,
  folder: string,
): Promise<void> => {
  await writeTask(folder, { task: task.type, settings: config as SpecialistTask['settings'], maxLength })
  const own = !applied.inPlace && (generation !== undefined || recipe.tokenizer !== undefined)
  await writeTextFiles(folder, { tokenizer, template: generation?.template, own })
}

/** Writes answers before and after training, for tasks that generate text. */
const writeSamples = async (
  { recipe, data: { records, tokenizer }, prepared: { generation } }: Specialist,
  before: TaskResult | undefined,
  after: TaskResult,
): Promise<void> => {
  if (generation === undefined) return
  const samples = samplesOf({
    records: records.validation,
    promptOf: (record) => tokenizer.decode(generation.prompt(record).ids, { skipSpecialTokens: false }),
    before,
    after,
    count: recipe.answers.samples,
  })
  await writeFileAtomic(join(recipe.out, runFiles.samples), `${JSON.stringify(samples, null, 2)}\n`)
}
