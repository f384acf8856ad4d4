// The recipe of a pretraining run, checked once. run.json is a recipe too.
import { z } from 'zod'
import { type AdapterType, adapters } from '../../adapters/index.ts'
import { openEnum } from '../../core/index.ts'
import { type ModelType, models } from '../../models/index.ts'
import { objectiveSchema } from '../../objectives/index.ts'
import { defaultDevice, deviceSchema } from '../../tensor/index.ts'
import { trainingSchema } from '../../training/index.ts'
import { baseFields } from '../engine/base-settings.ts'
import { distillationSchema } from '../engine/teacher.ts'
import { harnessEvaluationSchema } from './harness-evaluation.ts'

/** The schema of the model to pretrain. */
export const modelSchema = z.strictObject({
  type: openEnum<ModelType>(() => Object.keys(models))
    .optional()
    .describe('architecture'),
  preset: z.string().optional().describe('size from the literature, such as base or tiny'),
  depth: z
    .int()
    .positive()
    .max(128)
    .optional()
    .describe('number of layers; sets width, heads, learning rate, batch and budget by rule, unless they are set'),
  config: z.record(z.string(), z.unknown()).default({}).describe("settings of the architecture, over the preset's"),
})

/** The schema of a pretraining recipe; flags, help and run.json follow from it. */
export const pretrainSchema = trainingSchema.extend({
  command: z.literal('pretrain').default('pretrain').describe('kind of run').meta({ flag: false }),
  model: modelSchema.prefault({}),
  base: z
    .string()
    .optional()
    .describe('model to continue pretraining from, instead of a new one: a folder, a .gguf file, a run or a Hub id'),
  variant: openEnum<AdapterType>(() => Object.keys(adapters))
    .optional()
    .describe(
      'with `base`: fine-tuning method, such as lora, or pfeiffer for a language adapter (default: all weights are trained)',
    ),
  adapter: baseFields.adapter,
  stack: baseFields.stack,
  frozenWeights: baseFields.frozenWeights,
  outputBias: z
    .enum(['zero', 'frequencies'])
    .default('zero')
    .describe(
      'initial output bias: zero, or frequencies (log unigram frequency of the training data, which helps short runs)',
    ),
  objective: objectiveSchema,
  distillation: distillationSchema.prefault({}),
  data: z
    .union([z.string().transform((folder) => [folder]), z.array(z.string()).min(1)])
    .describe('folders of token shards, from `tokenizer encode`'),
  dataWeights: z
    .array(z.number().positive())
    .optional()
    .describe('sampling weight of each data folder (default: by tokens)'),
  tokenizer: z.string().describe('folder of the tokenizer that the shards were encoded with'),
  out: z.string().describe('folder of the run'),
  maxLength: z.int().positive().optional().describe('tokens per example (default: model limit, at most 512)'),
  validationExamples: z.int().nonnegative().default(256).describe('validation examples per evaluation (0 disables)'),
  harness: harnessEvaluationSchema.prefault({}),
  prompts: z.array(z.string()).default([]).describe('prompts of samples (default: validation text)'),
  device: deviceSchema.default(defaultDevice).describe('device to train on: cpu, cuda or cuda:0'),
  pricePerHour: z.number().positive().optional().describe('price of the machine per hour, for the run card'),
})
/** A pretraining recipe, checked and with all defaults. */
export type PretrainRecipe = z.output<typeof pretrainSchema>
