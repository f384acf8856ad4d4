// The settings that runs on a pretrained base share: base, fine-tuning method, quantisation, data and folders, with absolute paths, so that a
// run means the same wherever it is resumed or compared. Independent of what is learned.
import { isAbsolute, resolve } from 'node:path'
import { z } from 'zod'
import { isHubData, pinData } from '../../checkpoint/index.ts'
import { ConfigError, exists } from '../../core/index.ts'
import { quantizations } from '../../nn/index.ts'
import { defaultDevice, deviceSchema } from '../../tensor/index.ts'
import type { CommonRecipe, RunListener } from './run-kind.ts'

/** Fields of the recipe of a run on a base; the kind of run adds its own. */
export const baseFields = {
  base: z.string().describe('pretrained model: a folder, a .gguf file, a run or a Hub id'),
  data: z.string().describe('file or folder with training data'),
  validation: z.string().optional().describe('file or folder with validation data (default: a share of `data`)'),
  validationShare: z
    .number()
    .gt(0)
    .lt(1)
    .default(0.1)
    .describe('approximate share of `data` to validate on, if there is no `validation`: a hash decides on each record'),
  adapter: z.record(z.string(), z.unknown()).default({}).describe('settings of the variant, such as rank'),
  stack: z
    .array(z.string())
    .default([])
    .describe(
      'adapters that stay frozen under the trained one, lowest first: folders or runs, such as a language adapter (default: none)',
    ),
  frozenWeights: z
    .enum(['float32', ...quantizations])
    .default('float32')
    .describe(
      'quantisation of the frozen base: bfloat16, int8, nf4 (4 bits) or nf4-double (its scales in 8 bits) take less memory and round the weights',
    ),
  tokenizer: z.string().optional().describe("folder of the tokenizer (default: the base's)"),
  out: z.string().describe('folder of the run'),
  device: deviceSchema.default(defaultDevice).describe('device to train on: cpu, cuda or cuda:0'),
  pricePerHour: z.number().positive().optional().describe('price of the machine per hour, for the run card'),
}

type FrozenWeights = z.output<typeof baseFields.frozenWeights>

/** The settings of a recipe that decide how its base is opened. */
export interface BaseRecipe extends Pick<CommonRecipe, 'seed' | 'precision' | 'device'> {
  base: string
  /** Tokenizer of the run (default: the base's own). */
  tokenizer?: string
  variant: string
  adapter: { [setting: string]: unknown }
  /** Adapters under the trained one, lowest first. */
  stack?: readonly string[]
  frozenWeights: FrozenWeights
  /** Initialise a new head although the base has one. */
  newHead?: boolean
  randomInit?: boolean
}

/** @throws ConfigError for a dtype that the device does not compute in, and for a scale without effect */
export const expectPrecision = ({
  frozenWeights,
  precision,
  lossScale,
  device,
}: Pick<BaseRecipe, 'frozenWeights' | 'precision' | 'device'> & Pick<CommonRecipe, 'lossScale'>): void => {
  if (precision !== 'float16' && lossScale !== undefined)
    throw new ConfigError(
      `\`lossScale\` has no effect with ${precision} as \`precision\`: remove it, or set \`precision\` to float16.`,
    )
  if (precision === 'float16' && device === 'cpu')
    throw new ConfigError(
      'Expected bfloat16 or float32 for `precision` on the CPU, got float16, which processors convert for every operation. Set it to bfloat16.',
    )
  if (precision !== 'float32' && frozenWeights === 'bfloat16')
    throw new ConfigError(
      `\`frozenWeights\` bfloat16 has no effect with ${precision} as \`precision\`, which holds the base in 16 bits too: remove it, or set \`precision\` to float32.`,
    )
}

interface Unfilled {
  batch: { sequences?: number; tokens?: number }
  budget: { [limit: string]: number | undefined }
  keep: { best?: string }
}

/** Fills in what a recipe of a run on a base leaves open: the size of a step, the budget, and the metric of the best checkpoint. */
export const fillDefaults = (
  recipe: Unfilled,
  defaults: { sequences: number; epochs: number; best: string | undefined },
): void => {
  if (recipe.batch.sequences === undefined && recipe.batch.tokens === undefined)
    recipe.batch.sequences = defaults.sequences
  if (Object.values(recipe.budget).every((value) => value === undefined)) recipe.budget.epochs = defaults.epochs
  if (recipe.keep.best === undefined && defaults.best !== undefined) recipe.keep.best = defaults.best
}

/** A path, pattern or list file (`@files.txt`) of data as an absolute one; a URL or a data set of the Hub stays as it is. */
export const absoluteData = (path: string): string => {
  if (isHubData(path) || /^[a-z][a-z\d+.-]+:\/\//i.test(path)) return path
  return path.startsWith('@') ? `@${resolve(path.slice(1))}` : resolve(path)
}

/** A model that is a file or folder as an absolute path; a Hub id stays as it is. */
export const absoluteModel = async <Path extends string | undefined>(path: Path): Promise<Path> =>
  path === undefined || isAbsolute(path) || !(await exists(path)) ? path : (resolve(path) as Path)

/** Data as it is kept in a recipe: an absolute path, or a data set of the Hub with its commit, whose files are downloaded. */
export const settledData = (path: string, { onNote }: Pick<RunListener, 'onNote'> = {}): Promise<string> =>
  pinData(absoluteData(path), { onProgress: (file) => onNote?.(`Downloading ${file} …`) })

/** The models that a recipe names, as absolute paths. */
export const settleModels = async (recipe: { base?: string; tokenizer?: string; stack: string[] }): Promise<void> => {
  recipe.tokenizer = await absoluteModel(recipe.tokenizer)
  recipe.base = await absoluteModel(recipe.base)
  recipe.stack = await Promise.all(recipe.stack.map(absoluteModel))
}
