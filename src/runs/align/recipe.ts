// The recipe of an alignment run, checked once. Independent of single objectives and variants.
import { z } from 'zod'
import { type AdapterType, adapters } from '../../adapters/index.ts'
import { alarmSchema, episodeSchema, rolloutSchema } from '../../alignment/index.ts'
import { openEnum, openObject } from '../../core/index.ts'
import { quantizations } from '../../nn/index.ts'
import { trainingSchema } from '../../training/index.ts'
import { baseFields } from '../engine/base-settings.ts'
import { columnFields, objectiveFields, objectiveTypes } from './objectives.ts'
import { answerDistillationSchema } from './reinforcement/complete-recipe.ts'

/** The schema of an alignment recipe; flags, help and run.json follow from it. */
export const alignSchema = trainingSchema.extend({
  learningRate: trainingSchema.shape.learningRate.describe(
    "peak learning rate (default: the objective's; ten times as much for adapters)",
  ),
  command: z.literal('align').default('align').describe('kind of run').meta({ flag: false }),
  base: baseFields.base,
  objective: openEnum<string>(objectiveTypes).describe(
    'what the model learns: preferences (dpo …), rewards of its own answers (ppo …) or a teacher (gkd)',
  ),
  settings: openObject(objectiveFields).prefault({}).describe('settings of the objective: beta, label smoothing …'),
  data: baseFields.data,
  columns: openObject(columnFields).prefault({}).describe('columns, form and file format of the data'),
  validation: baseFields.validation,
  validationShare: baseFields.validationShare,
  variant: openEnum<AdapterType>(() => Object.keys(adapters))
    .default('full')
    .describe('fine-tuning method'),
  adapter: baseFields.adapter,
  stack: baseFields.stack,
  frozenWeights: baseFields.frozenWeights,
  reference: z
    .strictObject({
      precision: z
        .enum(['float32', ...quantizations])
        .optional()
        .describe('precision of the frozen copy (default: that of the base)'),
      cache: z
        .boolean()
        .default(false)
        .describe(
          'compute the log-probabilities of the reference once and keep them on disk: a frozen copy is freed before training',
        ),
    })
    .prefault({})
    .describe('reference model: the base with adapters off, or a frozen copy where the whole model is trained'),
  rewards: z
    .array(z.unknown())
    .default([])
    .describe(
      'rewards of answers that are summed: names with settings, such as numeric-match or length:cost=0.001 (functions and objects in a recipe)',
    )
    .meta({ flag: 'reward', commas: false }),
  judge: z
    .unknown()
    .optional()
    .describe(
      'reward that is not trained on: it scores validation answers, and chooses the best checkpoint (with preferences, it scores answers at the end)',
    ),
  rollout: rolloutSchema
    .prefault({})
    .describe('answers of the model to prompts that objectives with rewards learn from'),
  environment: z
    .unknown()
    .optional()
    .describe(
      'partner of the model in answers of several turns: a name such as calculator (a function `step`, or an object with it, in a recipe)',
    ),
  episode: episodeSchema.prefault({}).describe('limits of answers of several turns'),
  distillation: answerDistillationSchema.prefault({}).describe('teacher of the objective gkd'),
  alarms: alarmSchema
    .prefault({})
    .describe('signs that the model no longer learns what was meant; each becomes an incident'),
  dropout: z
    .boolean()
    .default(false)
    .describe('apply dropout in training; without it, policy and reference are compared exactly'),
  template: z
    .string()
    .optional()
    .describe("chat template for turns: a preset's name or Jinja source (default: the base's)"),
  system: z.string().optional().describe('system prompt of conversations without one'),
  tokenizer: baseFields.tokenizer,
  out: baseFields.out,
  maxLength: z
    .int()
    .positive()
    .optional()
    .describe('maximum tokens of a prompt with its completion (default: model limit, at most 1024)'),
  maxPromptLength: z.int().positive().optional().describe('maximum tokens of a prompt (default: half of maxLength)'),
  tooLong: z
    .enum(['truncate', 'drop', 'error'])
    .default('truncate')
    .describe(
      'longer prompts lose their oldest tokens and completions their end, or the record is dropped, or an error',
    ),
  untrainedBaseline: z
    .boolean()
    .default(true)
    .describe('also score the base before training, as a reference beside the final scores'),
  answers: z
    .strictObject({
      validation: z
        .int()
        .positive()
        .default(64)
        .describe(
          'validation prompts to answer: in each evaluation with rewards, at the end for the judge with preferences',
        ),
      samples: z.int().nonnegative().default(8).describe('answers before and after training to keep in samples.json'),
      maxNewTokens: z
        .int()
        .positive()
        .default(128)
        .describe('maximum tokens of these answers with preferences; with rewards they are as long as in training'),
    })
    .prefault({})
    .describe('answers to validation prompts'),
  device: baseFields.device,
  pricePerHour: baseFields.pricePerHour,
})
/** An alignment recipe, checked and with all defaults. */
export type AlignRecipe = z.output<typeof alignSchema>
