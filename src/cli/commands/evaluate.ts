// `tunesmith evaluate`: metrics of a model on data. The work is `evaluate` of src/inference.
import { z } from 'zod'
import { resolveModel } from '../../checkpoint/index.ts'
import { openEnum } from '../../core/index.ts'
import {
  evaluatedModel,
  evaluatedTask,
  evaluate as evaluateModel,
  evaluationTypes,
  findEvaluation,
  renderEvaluation,
} from '../../inference/index.ts'
import { useModulesOf } from '../../runs/index.ts'
import { defineCommand } from '../command.ts'
import { withFields } from '../flags.ts'
import { textsField } from '../parts/fields.ts'
import { labelledProgress } from '../parts/labelled-progress.ts'
import { loadHooks, modelFields } from '../parts/model-flags.ts'
import { ownOptions, sharedShape, taskSchemas } from '../parts/recipe-choices.ts'

const entries = evaluationTypes().flatMap((type) => findEvaluation(type) ?? [])
const shape = sharedShape(entries)

/** The options of an evaluation beside the settings of its task. */
const withoutSettings = (type: string): z.ZodObject => {
  const { settings: _, ...own } = findEvaluation(type)?.options.shape ?? {}
  return z.strictObject(own)
}

export const evaluate = defineCommand({
  name: 'evaluate',
  summary: 'Measure a model on data, with confidence intervals',
  example: 'tunesmith evaluate --model runs/bert --task language-modelling --data shards',
  processes: 'divided',
  choices: () => [
    { choice: 'task', part: 'settings', schemas: taskSchemas() },
    {
      choice: 'task',
      part: '',
      schemas: Object.fromEntries(evaluationTypes().map((type) => [type, withoutSettings(type)])),
    },
  ],
  options: withFields(
    z.strictObject({
      ...modelFields,
      // A model of several tasks has names of its own for them.
      task: z
        .union([openEnum(evaluationTypes), z.string()])
        .optional()
        .describe(
          'task whose metrics are computed (default: the task of the specialist), or the name of one of the tasks of a model of several',
        ),
      data: textsField('data: token shards, corpora, or files, folders and globs').meta({ commas: false }),
    }),
    shape,
  ),
  async run(options, _args, context) {
    const { use: _, model: chosen, revision, device, weights, data, task: named, ...rest } = options
    const { model, task: given } = await evaluatedModel(chosen, named)
    const hooks = loadHooks(context)
    const path = await resolveModel(model, { revision, onProgress: hooks.onDownload })
    await useModulesOf(model)
    const { task } = await evaluatedTask(model, path, { task: given, options: rest })
    const own = task === undefined ? {} : ownOptions(rest, findEvaluation(task), shape, `the task ${task}`)
    const { onProgress, stop } = labelledProgress(context)
    try {
      return await evaluateModel(
        { model, revision, device, weights, data, task, options: own },
        {
          ...hooks,
          group: context.group,
          signal: context.signal,
          onProgress,
        },
      )
    } finally {
      stop()
    }
  },
  render: renderEvaluation,
})
