// The recipe of a fine-tuning run, checked once. Independent of single tasks and variants.
import { z } from 'zod'
import { anyTaskSettings, findTask, type TaskDefinition, taskConfig, taskTypeSchema } from '../../tasks/index.ts'
import { trainingSchema } from '../../training/index.ts'
import { baseFields } from '../engine/base-settings.ts'
import { variantSchema } from './variant-names.ts'

/** The schema of a fine-tuning recipe; flags, help and run.json follow from it. */
export const finetuneSchema = trainingSchema.extend({
  learningRate: trainingSchema.shape.learningRate.describe("peak learning rate (default: the variant's)"),
  command: z.literal('finetune').default('finetune').describe('kind of run').meta({ flag: false }),
  base: baseFields.base,
  task: taskTypeSchema.describe('task to learn'),
  dataset: z.string().optional().describe('known data set of the task, whose columns need not be named'),
  settings: anyTaskSettings.prefault({}).describe('settings of the task: columns, labels, class weights …'),
  data: baseFields.data,
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
  frozenWeights: baseFields.frozenWeights,
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
export const taskOf = ({ task: type, settings, dataset }: FinetuneRecipe): { task: TaskDefinition; config: object } => {
  const task = findTask(type)
  return { task, config: taskConfig(task, settings, dataset) }
}
