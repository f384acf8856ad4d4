// The recipe of a pretraining run, checked once, and the settings that follow from a depth. run.json is a recipe too.
import { z } from 'zod'
import { type AdapterType, adapters } from '../../adapters/index.ts'
import { openEnum } from '../../core/index.ts'
import { type ModelType, models } from '../../models/index.ts'
import { objectiveSchema } from '../../objectives/index.ts'
import { defaultDevice, deviceSchema } from '../../tensor/index.ts'
import { trainingSchema } from '../../training/index.ts'
import { baseFields } from '../engine/base-settings.ts'
import { distillationSchema } from '../engine/teacher.ts'
import { harnessEvaluationSchema } from './evaluation.ts'

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

/** Settings that follow from a depth. */
export interface SizeRule {
  hiddenSize: number
  numHeads: number
  learningRate: number
  /** Tokens per step. */
  batchTokens: number
  /** Tokens of the whole run. */
  budgetTokens: number
}

/**
 * The settings for a depth. Width: 64 per layer, in heads of 64. Tokens: 20 for every parameter of the layers (Chinchilla). Learning
 * rate: 6e-4 at a width of 768, inversely proportional to the width, at most 3e-3 (GPT-3's table). Batch: a two-thousandth of the
 * tokens, to the nearest power of two between 4,096 and 524,288.
 * @source arXiv:2203.15556 (tokens), arXiv:2005.14165 table 2.1 (learning rates, batches)
 */
export const sizeRule = (depth: number): SizeRule => {
  const hiddenSize = 64 * depth
  const budgetTokens = 20 * 12 * depth * hiddenSize ** 2
  const power = 2 ** Math.round(Math.log2(budgetTokens / 2000))
  return {
    hiddenSize,
    numHeads: depth,
    learningRate: Math.min(3e-3, (6e-4 * 768) / hiddenSize),
    batchTokens: Math.min(524_288, Math.max(4096, power)),
    budgetTokens,
  }
}

/**
 * Sizes of the heads, where the architecture has settings for them: their defaults belong to its published widths. All
 * heads have keys and values of their own.
 */
const headSizes = ({ type, preset = '' }: PretrainRecipe['model'], { hiddenSize, numHeads }: SizeRule): object => {
  if (type === undefined) return {}
  const { adjust, presets } = models[type]
  const sizes = { numKvHeads: numHeads, headDim: hiddenSize / numHeads }
  const known = adjust(presets[preset] ?? {}, {})
  return Object.fromEntries(Object.entries(sizes).filter(([name]) => name in known))
}

const isEmpty = (fields: object) => Object.values(fields).every((value) => value === undefined)

/** The recipe with the settings of its depth, where it does not set them itself. */
export const applyDepth = (recipe: PretrainRecipe): PretrainRecipe => {
  const { depth } = recipe.model
  if (depth === undefined) return recipe
  const rule = sizeRule(depth)
  const { sequences, tokens } = recipe.batch
  return {
    ...recipe,
    model: {
      ...recipe.model,
      config: {
        numLayers: depth,
        hiddenSize: rule.hiddenSize,
        numHeads: rule.numHeads,
        intermediateSize: 4 * rule.hiddenSize,
        ...headSizes(recipe.model, rule),
        ...recipe.model.config,
      },
    },
    learningRate: recipe.learningRate ?? rule.learningRate,
    batch: {
      ...recipe.batch,
      ...(sequences === undefined && tokens === undefined ? { tokens: rule.batchTokens } : {}),
    },
    budget: isEmpty(recipe.budget) ? { tokens: rule.budgetTokens } : recipe.budget,
  }
}
