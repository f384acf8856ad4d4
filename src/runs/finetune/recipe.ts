// The recipe of a fine-tuning run, checked once, and the names of all variants. Independent of single tasks and variants.
import { isDeepStrictEqual } from 'node:util'
import { z } from 'zod'
import { type AdapterDefinition, type AdapterType, adapters, type MethodFamily } from '../../adapters/index.ts'
import { ConfigError, openEnum, show } from '../../core/index.ts'
import { anyTaskSettings, findTask, type TaskDefinition, taskConfig, taskTypeSchema } from '../../tasks/index.ts'
import { trainingSchema } from '../../training/index.ts'
import { baseFields } from '../engine/base-settings.ts'
import { type DataSet, dataField, dataSetsOf } from '../engine/data-sets.ts'
import { expectSplit } from '../engine/folds.ts'
import { distillationSchema } from '../engine/teacher.ts'
import { withUserCode } from './user-task.ts'

/** Variants that fit an estimator to features of the frozen base; `feature-learning.ts` has the work of each. */
export const nonIterativeVariants = ['feature-based'] as const
export type NonIterativeVariant = (typeof nonIterativeVariants)[number]

/** Any variant; those that packages register are accepted as well. */
const variantSchema = openEnum<AdapterType | NonIterativeVariant>(() => [
  ...Object.keys(adapters),
  ...nonIterativeVariants,
])

/** The family of a variant, which comparisons draw alike. */
export const variantFamily = (variant: string): MethodFamily => {
  if ((nonIterativeVariants as readonly string[]).includes(variant)) return 'features'
  const method = (adapters as Partial<Record<string, AdapterDefinition>>)[variant]
  return method?.family ?? 'adapter'
}

/** The schema of a fine-tuning recipe; flags, help and run.json follow from it. */
export const finetuneSchema = trainingSchema.extend({
  learningRate: trainingSchema.shape.learningRate.describe("peak learning rate (default: the variant's)"),
  command: z.literal('finetune').default('finetune').describe('kind of run').meta({ flag: false }),
  base: baseFields.base,
  task: taskTypeSchema.describe('task to learn'),
  dataset: z.string().optional().describe('known data set of the task, whose columns need not be named'),
  settings: anyTaskSettings.prefault({}).describe('settings of the task: columns, labels, class weights …'),
  data: dataField,
  dataTemperature: z
    .number()
    .positive()
    .optional()
    .describe('several data sets: shares by size to the power of 1/temperature: 1 by size, larger values more equal'),
  validation: baseFields.validation,
  validationShare: baseFields.validationShare,
  split: z
    .strictObject({
      folds: z.int().min(2).optional().describe('cross-validation: number of parts that `data` is divided into'),
      fold: z.int().nonnegative().optional().describe('cross-validation: the part that validates, from 0'),
      repeat: z
        .int()
        .nonnegative()
        .optional()
        .describe('number of the random split of `data`, from 0, with equal shares of each label in both parts'),
    })
    .prefault({})
    .describe('splits of `data` for cross-validation and repeated evaluation, instead of by a hash of each record'),
  share: z
    .number()
    .gt(0)
    .max(1)
    .default(1)
    .describe('approximate share of the training records to train on; a larger share has all records of a smaller one'),
  variant: variantSchema.default('full').describe('fine-tuning method'),
  adapter: baseFields.adapter,
  stack: baseFields.stack,
  frozenWeights: baseFields.frozenWeights,
  dropout: z
    .number()
    .min(0)
    .lt(1)
    .optional()
    .describe(
      'dropout of hidden states and attention weights of the base in training (default: as in its config.json)',
    ),
  neftuneAlpha: z
    .number()
    .positive()
    .optional()
    .describe('NEFTune: size of the noise on token embeddings in training; 5 to 15 are usual (default: no noise)'),
  fgmEpsilon: z
    .number()
    .positive()
    .optional()
    .describe(
      'FGM: distance by which token embeddings are moved against the model in a second pass; 0.01 to 0.1 for small encoders, as longer moves can keep a model from learning (default: one pass)',
    ),
  mixout: z
    .number()
    .gt(0)
    .lt(1)
    .optional()
    .describe(
      'mixout: share of the elements of trained matrices that are those of the base in a step; 0.5 to 0.9 are usual (default: none)',
    ),
  distillation: distillationSchema.prefault({}),
  resample: z
    .enum(['balanced', 'sqrt'])
    .optional()
    .describe(
      'resampling of classes: balanced (all equally often), or sqrt (by the root of their frequency) (default: as in the data)',
    ),
  randomInit: z
    .boolean()
    .default(false)
    .describe(
      'initialise the base randomly instead of loading its weights: a baseline that shows what pretraining brings',
    ),
  newHead: z
    .boolean()
    .default(false)
    .describe('initialise a new head although the base has one, such as that of another task with other labels'),
  priorBias: z
    .boolean()
    .default(true)
    .describe('initial bias of a new head: the frequencies of the labels or the mean of the targets, instead of zero'),
  untrainedBaseline: z
    .boolean()
    .default(true)
    .describe('also score the base before fine-tuning, as a reference beside the final scores'),
  tokenizer: baseFields.tokenizer,
  out: baseFields.out,
  loss: z
    .unknown()
    .optional()
    .describe("function of a recipe that computes the loss in place of the task's")
    .meta({ flag: false }),
  read: z
    .unknown()
    .optional()
    .describe('function of a recipe that reads `data` and `validation`: rows with the columns of the task')
    .meta({ flag: false }),
  metrics: z
    .array(z.unknown())
    .default([])
    .describe('functions of a recipe that score a prediction for a record; their mean is a metric')
    .meta({ flag: false }),
  maxLength: z
    .int()
    .positive()
    .optional()
    .describe(
      'maximum tokens per example (default: model limit, at most 512, or 1024 for tasks that generate text, minus virtual tokens)',
    ),
  exampleCache: z
    .enum(['auto', 'on', 'off'])
    .default('auto')
    .describe(
      'read and encode in other threads, and keep encoded examples on disk: auto (data of 32 MB or more), on, or off (in memory)',
    ),
  workers: z
    .int()
    .nonnegative()
    .max(64)
    .default(1)
    .describe('threads that encode for `exampleCache`, beside the one that reads; 0: that one encodes too'),
  answers: z
    .strictObject({
      duringTraining: z
        .int()
        .nonnegative()
        .default(32)
        .describe('answers to generate in each evaluation during training; perplexity uses all records'),
      atEnd: z.int().nonnegative().default(100).describe('answers to generate at the end, by specialist and base'),
      samples: z.int().nonnegative().default(20).describe('answers before and after training to keep in samples.json'),
    })
    .prefault({})
    .describe('validation records that tasks which generate text answer'),
  device: baseFields.device,
  pricePerHour: baseFields.pricePerHour,
})
/** A fine-tuning recipe, checked and with all defaults. */
export type FinetuneRecipe = z.output<typeof finetuneSchema>

/** The task of a recipe, and its settings checked. @throws ConfigError for settings that it does not have */
export const taskOf = (recipe: FinetuneRecipe): { task: TaskDefinition; config: object } => {
  const { task: type, settings, dataset } = recipe
  const task = findTask(type)
  return { task: withUserCode(task, recipe), config: taskConfig(task, settings, dataset) }
}

/** Settings that were given as texts, as the types that the task has for them. */
export const typedSettings = (type: string, settings: { [name: string]: unknown }): { [name: string]: unknown } => {
  const task = findTask(type)
  // The config of every task is an object schema, which its declared type does not say.
  const { shape } = task.config as unknown as z.ZodObject
  return Object.fromEntries(
    Object.entries(settings).map(([name, value]) => {
      const field = shape[name] as z.ZodType | undefined
      if (typeof value !== 'string' || field === undefined || field.safeParse(value).success) return [name, value]
      try {
        return [name, JSON.parse(value) as unknown]
      } catch {
        return [name, value]
      }
    }),
  )
}

/**
 * The settings of the task by which a data set is read: those of the recipe, under its own.
 * @throws ConfigError for settings that all data sets share
 */
const configOfSet = (recipe: FinetuneRecipe, { name, dataset, settings = {} }: DataSet): object => {
  const { task, config } = taskOf(recipe)
  if (dataset === undefined && Object.keys(settings).length === 0) return config
  const known = recipe.dataset === undefined ? {} : task.datasets[recipe.dataset].settings
  const own = taskConfig(task, typedSettings(task.type, settings), dataset, { ...known, ...recipe.settings })
  const { dataSettings = [] } = task
  const [before, after] = [config, own] as { [setting: string]: unknown }[]
  for (const key of Object.keys({ ...before, ...after }))
    if (!dataSettings.includes(key) && !isDeepStrictEqual(before[key], after[key]))
      throw new ConfigError(
        `Expected settings of reading for the data set ${name} (${dataSettings.join(', ')}), got \`${key}\` ${show(after[key])}, which all data sets share. Set it in \`settings\`.`,
      )
  return own
}

export interface RecipeSet extends Pick<DataSet, 'name' | 'path' | 'weight' | 'maxExamples' | 'maxEpochs'> {
  /** Settings of the task, its own included. */
  config: object
  validation: string | undefined
  validationShare: number
}

/** The data sets of a recipe: at least one. @throws ConfigError for settings that do not fit */
export const setsOf = (recipe: FinetuneRecipe): RecipeSet[] => {
  const sets = dataSetsOf(recipe.data)
  const { validation, validationShare } = recipe
  if (sets.length > 1 && validation !== undefined)
    throw new ConfigError(
      `Expected the validation data of each data set, got one \`validation\` for ${sets.length}. Give it to its set, as in \`--data ${sets[0].path},validation=${validation}\`; sets without one are validated on a share.`,
    )
  return sets.map((set) => {
    const own = set.validation ?? validation
    if (own !== undefined && set.validationShare !== undefined)
      throw new ConfigError(
        `Expected \`validation\` or \`validationShare\` for the data set ${set.name}, got both. Remove one.`,
      )
    const share = set.validationShare ?? validationShare
    expectSplit(
      recipe.split,
      { ...(own === undefined ? {} : { validation: own }), validationShare: share, exampleCache: recipe.exampleCache },
      finetuneSchema.shape.validationShare.parse(undefined),
    )
    return {
      name: set.name,
      path: set.path,
      weight: set.weight,
      maxExamples: set.maxExamples,
      maxEpochs: set.maxEpochs,
      config: configOfSet(recipe, set),
      validation: own,
      validationShare: share,
    }
  })
}
