// The recipe of a fine-tuning run. Knows no task and no variant by name.
import { z } from 'zod'
import { holdings } from '../../nn/index.ts'
import { anyTaskSettings, findTask, type TaskDefinition, taskConfig, taskTypeSchema } from '../../tasks/index.ts'
import { trainingSchema } from '../../training/index.ts'
import { variantNames } from './variant-names.ts'

export const finetuneSchema = trainingSchema.extend({
  learningRate: trainingSchema.shape.learningRate.describe("peak of the schedule; the variant's own unless given"),
  command: z.literal('finetune').default('finetune').describe('what kind of run this is').meta({ flag: false }),
  base: z.string().describe('the generalist: a folder, a .gguf file, a run or a Hub id'),
  task: taskTypeSchema.describe('what is learnt'),
  dataset: z.string().optional().describe('a known data set of the task, whose columns need not be named'),
  settings: anyTaskSettings.prefault({}).describe("the task's own settings: columns, labels, class weights …"),
  data: z.string().describe('file or folder to train on'),
  validation: z.string().optional().describe('file or folder to evaluate on; a share of `data` unless given'),
  validationShare: z
    .number()
    .gt(0)
    .lt(1)
    .default(0.1)
    .describe('of `data`, held out by the hash of the record, where there is no `validation`'),
  variant: z.enum(variantNames).default('full').describe('how much of the model moves'),
  adapter: z.record(z.string(), z.unknown()).default({}).describe("the variant's own settings, such as rank"),
  frozenWeights: z
    .enum(['float32', ...holdings])
    .default('float32')
    .describe(
      'how the matrices of a base that is not trained are held: bfloat16, int8 or nf4 (4 bits; nf4-double: with scales in 8 bits) take less memory and round them',
    ),
  fresh: z
    .boolean()
    .default(false)
    .describe('start from random weights of the same shape, to see what pretraining brought'),
  newHead: z
    .boolean()
    .default(false)
    .describe('draw a new head though the base brings one, such as that of another task with other labels'),
  priorBias: z
    .boolean()
    .default(true)
    .describe(
      'begin the bias of a new head at what is right most often (the shares of the classes, the mean of the numbers), not at zero',
    ),
  untrained: z
    .boolean()
    .default(true)
    .describe('judge the base with its untrained head as well, as a reference beside the scores'),
  tokenizer: z.string().optional().describe('folder of the tokenizer; that of the base unless given'),
  out: z.string().describe('folder of the run'),
  maxLength: z
    .int()
    .positive()
    .optional()
    .describe(
      'most tokens of an example; what the model takes, up to 512 (tasks that write: 1024), unless given; fewer beside virtual tokens',
    ),
  answers: z
    .strictObject({
      during: z
        .int()
        .nonnegative()
        .default(32)
        .describe('answered in each evaluation while training; perplexity looks at all'),
      end: z.int().nonnegative().default(100).describe('answered at the end, by the specialist and by its base'),
      samples: z.int().nonnegative().default(20).describe('whose answers before and after stand in samples.json'),
    })
    .prefault({})
    .describe('tasks that write: held-out records'),
  device: z.string().default('cpu').describe('cpu, cuda or cuda:0'),
  pricePerHour: z.number().positive().optional().describe('of the machine, for the run card'),
})
export type FinetuneRecipe = z.output<typeof finetuneSchema>

/** The task of a recipe, and its settings checked. @throws ConfigError for settings that it does not have */
export const taskOf = ({ task: type, settings, dataset }: FinetuneRecipe): { task: TaskDefinition; config: object } => {
  const task = findTask(type)
  return { task, config: taskConfig(task, settings, dataset) }
}
export type FinetuneInput = Omit<z.input<typeof finetuneSchema>, 'command'>
