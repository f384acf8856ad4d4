// The recipe of an alignment run, checked once. Independent of single objectives and variants.
import { z } from 'zod'
import { type AdapterType, adapters } from '../../adapters/index.ts'
import { openEnum, openObject } from '../../core/index.ts'
import { quantizations } from '../../nn/index.ts'
import { trainingSchema } from '../../training/index.ts'
import { baseFields } from '../engine/base-settings.ts'
import { columnFields } from './data.ts'
import { objectiveFields, objectiveTypes } from './objectives.ts'

/** The schema of an alignment recipe; flags, help and run.json follow from it. */
export const alignSchema = trainingSchema.extend({
  learningRate: trainingSchema.shape.learningRate.describe(
    "peak learning rate (default: the objective's; ten times as much for adapters)",
  ),
  command: z.literal('align').default('align').describe('kind of run').meta({ flag: false }),
  base: baseFields.base,
  objective: openEnum<string>(objectiveTypes).describe('what the model learns from its data: dpo, kto, orpo …'),
  settings: openObject(objectiveFields).prefault({}).describe('settings of the objective: beta, label smoothing …'),
  data: baseFields.data,
  columns: openObject(columnFields).prefault({}).describe('columns, form and file format of the data'),
  validation: baseFields.validation,
  validationShare: baseFields.validationShare,
  variant: openEnum<AdapterType>(() => Object.keys(adapters))
    .default('full')
    .describe('fine-tuning method'),
  adapter: baseFields.adapter,
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
      samples: z.int().nonnegative().default(8).describe('validation prompts to answer before and after training'),
      maxNewTokens: z.int().positive().default(128).describe('maximum tokens of these answers'),
    })
    .prefault({})
    .describe('answers to validation prompts at the end, kept in samples.json'),
  device: baseFields.device,
  pricePerHour: baseFields.pricePerHour,
})
/** An alignment recipe, checked and with all defaults. */
export type AlignRecipe = z.output<typeof alignSchema>
