// The registry of kinds of runs: how a recipe of each kind is checked, built and started. `command` in run.json names the kind.
import type { z } from 'zod'
import { type AdapterType, adapters } from '../adapters/index.ts'
import { ConfigError, parseConfig } from '../core/index.ts'
import { align, completeAlignment, resolveAlignment } from './align/align.ts'
import { alignKind } from './align/build.ts'
import { alignSchema } from './align/recipe.ts'
import type { CommonRecipe, RunKind } from './engine/run-kind.ts'
import type { RunListener, RunResult } from './engine/run-listener.ts'
import { finetuneKind } from './finetune/build.ts'
import { completeRecipe, finetune, resolveFinetuning } from './finetune/finetune.ts'
import { finetuneSchema } from './finetune/recipe.ts'
import { multitaskKind } from './multitask/build.ts'
import { completeMultitask, multitask, resolveMultitask } from './multitask/multitask.ts'
import { multitaskSchema } from './multitask/recipe.ts'
import { pretrainKind } from './pretrain/build.ts'
import { pretrain, resolvePretraining } from './pretrain/pretrain.ts'
import { pretrainSchema } from './pretrain/recipe.ts'
import { applyDepth } from './pretrain/size-rule.ts'
import type { AlignInput, FinetuneInput, MultitaskInput, PretrainInput } from './recipe-types/index.ts'

/** How runs of one kind are checked and started, for callers that start many, such as a sweep. */
export interface RunStart {
  schema: z.ZodObject
  /** Checks a recipe without opening a file. @throws ConfigError for a recipe that cannot run, whatever the data */
  check(recipe: object): void
  /** The recipe with every default filled in and absolute paths. @throws ConfigError for settings that do not fit each other */
  resolve(recipe: object): Promise<CommonRecipe>
  start(recipe: object, listener: RunListener): Promise<RunResult>
}

interface Entry extends RunStart {
  kind: RunKind
}

const entry = <Recipe extends CommonRecipe>(kind: RunKind<Recipe>, start: RunStart): Entry => ({
  ...start,
  kind: kind as RunKind,
})

/** @throws ConfigError for settings of `adapter` that the variant does not have */
const checkAdapter = (recipe: { variant: string; adapter: object }): void => {
  const adapter = (adapters as Partial<typeof adapters>)[recipe.variant as AdapterType]
  if (adapter !== undefined)
    parseConfig(adapter.config, { ...recipe.adapter, type: recipe.variant }, `adapter ${recipe.variant}`)
}

const kinds: Record<string, Entry> = {
  pretrain: entry(pretrainKind, {
    schema: pretrainSchema,
    check: (recipe) => void applyDepth(parseConfig(pretrainSchema, recipe, 'pretrain')),
    resolve: resolvePretraining,
    start: (recipe, listener) => pretrain(recipe as PretrainInput, listener),
  }),
  finetune: entry(finetuneKind, {
    schema: finetuneSchema,
    check: (recipe) => checkAdapter(completeRecipe(recipe)),
    resolve: resolveFinetuning,
    start: (recipe, listener) => finetune(recipe as FinetuneInput, listener),
  }),
  multitask: entry(multitaskKind, {
    schema: multitaskSchema,
    check: (recipe) => checkAdapter(completeMultitask(recipe)),
    resolve: resolveMultitask,
    start: (recipe, listener) => multitask(recipe as MultitaskInput, listener),
  }),
  align: entry(alignKind, {
    schema: alignSchema,
    check: (recipe) => checkAdapter(completeAlignment(recipe)),
    resolve: resolveAlignment,
    start: (recipe, listener) => align(recipe as AlignInput, listener),
  }),
}

const entryOf = (command: unknown): Entry => {
  if (typeof command === 'string' && Object.hasOwn(kinds, command)) return kinds[command]
  throw new ConfigError(
    `Expected ${Object.keys(kinds).join(' or ')} for \`command\`, got ${JSON.stringify(command)}. Correct the recipe.`,
  )
}

/** The kind of run that a recipe's `command` names (default: pretrain). @throws ConfigError for an unknown kind */
export const kindOf = (command: unknown = 'pretrain'): RunKind => entryOf(command).kind

/** How runs of the named kind are checked and started. @throws ConfigError for an unknown kind */
export const startOf = (command: unknown): RunStart => entryOf(command)
