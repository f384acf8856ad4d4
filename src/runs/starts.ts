// The registry of what begins a run of each kind, for whoever begins many: a check that opens no file, and the start itself.
import type { z } from 'zod'
import { type AdapterType, adapters } from '../adapters/index.ts'
import { ConfigError, parseConfig } from '../core/index.ts'
import type { RunListener, RunResult } from './engine/execute.ts'
import { completeRecipe, finetune } from './finetune/finetune.ts'
import { type FinetuneInput, finetuneSchema } from './finetune/recipe.ts'
import { pretrain } from './pretrain/pretrain.ts'
import { type PretrainInput, pretrainSchema } from './pretrain/recipe.ts'
import { applyDepth } from './pretrain/size-rule.ts'

export interface RunStart {
  schema: z.ZodObject
  /** @throws ConfigError for a recipe that cannot be run, whatever the data */
  check(recipe: object): void
  start(recipe: object, listener: RunListener): Promise<RunResult>
}

const checkFinetune = (given: object): void => {
  const recipe = completeRecipe(given)
  const adapter = (adapters as Partial<typeof adapters>)[recipe.variant as AdapterType]
  if (adapter !== undefined)
    parseConfig(adapter.config, { ...recipe.adapter, type: recipe.variant }, `adapter ${recipe.variant}`)
}

const starts: Record<string, RunStart> = {
  finetune: {
    schema: finetuneSchema,
    check: checkFinetune,
    start: (recipe, listener) => finetune(recipe as FinetuneInput, listener),
  },
  pretrain: {
    schema: pretrainSchema,
    check: (recipe) => void applyDepth(parseConfig(pretrainSchema, recipe, 'pretrain')),
    start: (recipe, listener) => pretrain(recipe as PretrainInput, listener),
  },
}

/** @throws ConfigError for a kind that is not known */
export const startOf = (command: unknown): RunStart => {
  if (typeof command === 'string' && Object.hasOwn(starts, command)) return starts[command]
  throw new ConfigError(
    `Expected ${Object.keys(starts).join(' or ')} for \`command\`, got ${JSON.stringify(command)}. Correct the recipe.`,
  )
}
