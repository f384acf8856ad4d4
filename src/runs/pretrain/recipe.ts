// The recipe of a pretraining run: everything a user may say of it, checked once. `run.json` is one too.
import { z } from 'zod'
import { type ModelType, models } from '../../models/index.ts'
import { objectiveSchema } from '../../objectives/index.ts'
import { trainingSchema } from '../../training/index.ts'
import type { FinetuneInput } from '../finetune/recipe.ts'

const modelTypes = Object.keys(models) as [ModelType, ...ModelType[]]

export const modelSchema = z.strictObject({
  type: z.enum(modelTypes).optional().describe('architecture'),
  preset: z.string().optional().describe('a size from the literature, such as base or tiny'),
  depth: z
    .int()
    .positive()
    .max(128)
    .optional()
    .describe('layers; sets width, heads, learning rate, batch and budget by rule where they are not given'),
  config: z.record(z.string(), z.unknown()).default({}).describe("the architecture's own settings, over the preset's"),
})

export const pretrainSchema = trainingSchema.extend({
  command: z.literal('pretrain').default('pretrain').describe('what kind of run this is').meta({ flag: false }),
  model: modelSchema.prefault({}),
  base: z
    .string()
    .optional()
    .describe('go on from this model in place of a fresh one: a folder, a .gguf file or a Hub id'),
  outputBias: z
    .enum(['zero', 'frequencies'])
    .default('zero')
    .describe(
      "bias of a fresh model's scores of words: zero, as published, or the logarithm of how common each is in the data, which a short run has no time to learn",
    ),
  objective: objectiveSchema,
  data: z
    .union([z.string().transform((folder) => [folder]), z.array(z.string()).min(1)])
    .describe('folders of token shards, as `tokenizer encode` writes them'),
  weights: z.array(z.number().positive()).optional().describe('shares of the folders, where there are several'),
  tokenizer: z.string().describe('folder of the tokenizer that the shards were encoded with'),
  out: z.string().describe('folder of the run'),
  maxLength: z
    .int()
    .positive()
    .optional()
    .describe('tokens in an example; what the model can take, up to 512, unless given'),
  heldOut: z.int().nonnegative().default(256).describe('held-out examples that an evaluation looks at; 0 for none'),
  prompts: z.array(z.string()).default([]).describe('beginnings or sentences for samples; held-out text unless given'),
  device: z.string().default('cpu').describe('cpu, cuda or cuda:0'),
  pricePerHour: z.number().positive().optional().describe('of the machine, for the run card'),
})
export type PretrainRecipe = z.output<typeof pretrainSchema>
export type PretrainInput = z.input<typeof pretrainSchema>

/** A recipe of a fine-tuning run says so, since `run.json` and recipes have one form. */
export type FinetuneDefinition = FinetuneInput & { command: 'finetune' }

/** A recipe, checked by the compiler while it is written and by the schema when it is run. */
export function defineRun(recipe: FinetuneDefinition): FinetuneDefinition
export function defineRun(recipe: PretrainInput): PretrainInput
export function defineRun<Recipe>(recipe: Recipe): Recipe {
  return recipe
}
