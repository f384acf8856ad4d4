// The recipe of a run of several tasks: one base, and for each task its data, its settings and its share. Independent of single tasks.
import { z } from 'zod'
import { ConfigError, parseConfig, show } from '../../core/index.ts'
import { taskTypeSchema } from '../../tasks/index.ts'
import { trainingSchema } from '../../training/index.ts'
import { baseFields } from '../engine/base-settings.ts'
import { type AssignedFields, assignField, dataField, dataSetSchema, splitAssignments } from '../engine/data-sets.ts'
import { type FinetuneRecipe, finetuneSchema, typedSettings } from '../finetune/recipe.ts'

const ofFinetuning = finetuneSchema.shape

const taskEntrySchema = z.strictObject({
  type: taskTypeSchema.describe('task to learn'),
  data: dataField,
  dataset: ofFinetuning.dataset,
  settings: z.record(z.string(), z.unknown()).default({}).describe('settings of the task: columns, labels …'),
  dataTemperature: ofFinetuning.dataTemperature,
  validation: baseFields.validation,
  validationShare: baseFields.validationShare,
  maxLength: z.int().positive().optional().describe('maximum tokens per example (default: that of the run)'),
  weight: z.number().positive().optional().describe('relative share of the examples (default: by size)'),
  maxEpochs: dataSetSchema.shape.maxEpochs.describe(
    'maximum number of epochs over the task in the whole run, after which the others share its part',
  ),
  scale: z.number().positive().default(1).describe("factor of the task's loss in the loss of a step"),
  loss: ofFinetuning.loss,
  read: ofFinetuning.read,
  metrics: ofFinetuning.metrics,
})
export type TaskEntry = z.output<typeof taskEntrySchema>

/** The schema of the recipe of a run of several tasks; flags, help and run.json follow from it. */
export const multitaskSchema = finetuneSchema
  .omit({
    task: true,
    dataset: true,
    settings: true,
    data: true,
    dataTemperature: true,
    validation: true,
    validationShare: true,
    split: true,
    loss: true,
    read: true,
    metrics: true,
    untrainedBaseline: true,
    resample: true,
    distillation: true,
  })
  .extend({
    learningRate: trainingSchema.shape.learningRate.describe("peak learning rate (default: the variant's)"),
    command: z.literal('multitask').default('multitask').describe('kind of run').meta({ flag: false }),
    tasks: z
      .union([
        z.array(z.string()).min(1).meta({ commas: false, placeholder: 'name=type,data=file' }),
        z.record(z.string(), taskEntrySchema),
      ])
      .describe(
        'tasks with a name each: tone=sequence-classification,data=reviews.csv names=token-classification,data=ner.conll, each with fields such as validation=dev.csv,weight=2,scale=0.5,settings.text=review',
      ),
    taskTemperature: z
      .number()
      .positive()
      .optional()
      .describe('shares of the tasks by size to the power of 1/temperature: 1 by size, larger values more equal'),
  })

type Parsed = z.output<typeof multitaskSchema>
/** The recipe of a run of several tasks, checked and with all defaults. */
export type MultitaskRecipe = Omit<Parsed, 'tasks'> & { tasks: Record<string, TaskEntry> }

const fields: AssignedFields = {
  noun: 'task',
  // Functions are in recipes alone.
  names: Object.keys(taskEntrySchema.shape).filter((name) => !['type', 'loss', 'read', 'metrics'].includes(name)),
  nested: ['settings'],
}

/** `tone=sequence-classification,data=reviews.csv,settings.text=review` as a name and a task. */
const readTask = (text: string): [name: string, entry: object] => {
  const [first, ...assignments] = splitAssignments(text)
  const at = first.indexOf('=')
  if (at < 1 || assignments.some((one) => !one.includes('=')))
    throw new ConfigError(
      `Expected a name, a type and data for a task, as in tone=sequence-classification,data=reviews.csv, got ${JSON.stringify(text)}.`,
    )
  const entry: { [field: string]: unknown } = { type: first.slice(at + 1) }
  for (const assignment of assignments) assignField(entry, assignment, text, fields)
  const { type, settings } = parseConfig(taskEntrySchema, entry, `tasks.${first.slice(0, at)}`)
  return [first.slice(0, at), { ...entry, settings: typedSettings(type, settings) }]
}

/** The tasks of a recipe by name: those of texts, as the command line has them, and those of a recipe. @throws ConfigError */
export const readTasks = (given: unknown): Record<string, TaskEntry> => {
  const isList = Array.isArray(given)
  if (typeof given !== 'object' || given === null)
    throw new ConfigError(
      `Expected tasks by name for \`tasks\`, got ${show(given)}. Give each a type and data: \`tasks: { tone: { type: 'sequence-classification', data: 'reviews.csv' } }\`.`,
    )
  const pairs = isList ? given.map((text) => readTask(String(text))) : Object.entries(given as object)
  const names = pairs.map(([name]) => name)
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice !== undefined)
    throw new ConfigError(`Expected distinct names of tasks, got "${twice}" twice. Rename one of them.`)
  return Object.fromEntries(pairs.map(([name, entry]) => [name, parseConfig(taskEntrySchema, entry, `tasks.${name}`)]))
}

/** A task as the recipe of a fine-tuning run on it alone: how it is read, encoded, scored and compared follows from that. */
export const recipeOfTask = (
  { tasks, taskTemperature: _, ...shared }: MultitaskRecipe,
  name: string,
): FinetuneRecipe => {
  const { type, weight: __, scale: ___, maxEpochs: ____, maxLength = shared.maxLength, ...own } = tasks[name]
  return {
    ...shared,
    ...own,
    ...(maxLength === undefined ? {} : { maxLength }),
    command: 'finetune',
    task: type,
    split: {},
    distillation: {},
    untrainedBaseline: false,
  }
}
