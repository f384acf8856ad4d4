// `evaluate` as a function: a model's metrics on data, with confidence intervals.
import { modelOfTask, resolveModel, taskFolders } from '../checkpoint/index.ts'
import { ConfigError, didYouMean, optionCheck, parseConfig } from '../core/index.ts'
import { modelFilesHash } from '../features/index.ts'
import { fineTunedTask, type SpecialistTask, useModulesOf } from '../runs/index.ts'
import type { EvaluateHooks } from './evaluations/evaluation.ts'
import { dataHash } from './evaluations/evaluation.ts'
import { evaluationTypes, findEvaluation, impliedEvaluation, trainedEvaluation } from './evaluations/index.ts'
import { type ModelChoice, modelChoiceNames } from './load.ts'

/** Which model is evaluated on what. */
export interface EvaluateInput extends ModelChoice {
  /**
   * Task whose metrics are computed, `language-modelling`, `ranked-choices`, `preferences`, `ratings` or `harness` (default: the task of the
   * specialist); for a model of several tasks, the name of one of them.
   */
  task?: string
  /** Files, folders, corpora or token shards. */
  data?: string | readonly string[]
  /** Options of the evaluation, such as `settings`, `dataset` or `predictions`. */
  options?: { [name: string]: unknown }
}

const expectInput = optionCheck<EvaluateInput>('evaluate', {
  ...modelChoiceNames,
  data: true,
  options: true,
})

/** The metrics: what is in it depends on the task; tasks with records give `metrics` with `value`, `low` and `high` by name. */
export interface EvaluateResult {
  task: string
  model: string
  [field: string]: unknown
}

/**
 * The model of one of several tasks with its own task, where the model has several; else model and task as they are.
 * @throws ConfigError for a task that the model does not have
 */
export const evaluatedModel = async (
  model: string,
  task: string | undefined,
): Promise<{ model: string; task?: string }> =>
  task !== undefined && (await taskFolders(model)) !== undefined
    ? { model: await modelOfTask(model, task) }
    : { model, ...(task === undefined ? {} : { task }) }

/**
 * What a model is evaluated on: as given, as an option calls for, or what it was trained for.
 * @param path folder of its files
 */
export const evaluatedTask = async (
  model: string,
  path: string,
  { task: given, options }: { task?: string | undefined; options: Readonly<Record<string, unknown>> },
): Promise<{ task: string | undefined; recorded?: SpecialistTask | undefined }> => {
  const recorded = await fineTunedTask(model, path)
  const task = given ?? impliedEvaluation(options) ?? recorded?.task ?? (await trainedEvaluation(model))
  return { task, ...(recorded?.task === task && { recorded }) }
}

/**
 * Evaluates a model on data.
 * @throws ConfigError for an unknown task or option, DataError with file and line, CheckpointError for files that cannot be loaded
 */
export const evaluate = async (input: EvaluateInput, hooks: EvaluateHooks = {}): Promise<EvaluateResult> => {
  expectInput(input)
  const { task: named, data = [], options = {}, ...chosen } = input
  const { model, task: given } = await evaluatedModel(chosen.model, named)
  const choice = { ...chosen, model }
  const { revision } = choice
  const path = await resolveModel(model, { revision, onProgress: hooks.onDownload })
  await useModulesOf(model)
  const { task, recorded } = await evaluatedTask(model, path, { task: given, options })
  const names = evaluationTypes()
  if (task === undefined)
    throw new ConfigError(
      `\`evaluate\` needs a task for ${model}, which is not a specialist: set \`task\` to one of ${names.join(', ')}.`,
    )
  const entry = findEvaluation(task)
  if (entry === undefined)
    throw new ConfigError(`Expected one of ${names.join(', ')} for \`task\`, got "${task}".${didYouMean(task, names)}`)
  const parsed = parseConfig(entry.options, options, `options of ${task}`)
  await hooks.group?.expectEqual({ model: await modelFilesHash(path), data: await dataHash([data].flat()) })
  const result = await entry.run({ ...choice, data: [data].flat(), recorded }, parsed, hooks)
  return { task, model, ...(result as object) }
}

/** The result of `evaluate` as text for a terminal. */
export const renderEvaluation = (result: EvaluateResult): string => findEvaluation(result.task)?.render(result) ?? ''
