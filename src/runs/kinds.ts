// The registry of kinds of runs: how a recipe of each kind is checked, built and started. `command` in run.json names the kind.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { z } from 'zod'
import { type AdapterType, adapters } from '../adapters/index.ts'
import { ConfigError, DataError, parseConfig, parseJson, show } from '../core/index.ts'
import { runFiles } from '../tracking/index.ts'
import { completeAlignment, resolveAlignment } from './align/align.ts'
import { alignKind } from './align/build.ts'
import { alignSchema } from './align/recipe.ts'
import { startRun } from './engine/execute.ts'
import type { CommonRecipe, RunKind, RunListener, RunRecipe, RunResult } from './engine/run-kind.ts'
import { completeRecipe, finetuneKind, resolveFinetuning } from './finetune/finetune.ts'
import { finetuneSchema } from './finetune/recipe.ts'
import { multitaskKind } from './multitask/build.ts'
import { completeMultitask, resolveMultitask } from './multitask/multitask.ts'
import { multitaskSchema } from './multitask/recipe.ts'
import { pretrainKind, resolvePretraining } from './pretrain/pretrain.ts'
import { applyDepth, pretrainSchema } from './pretrain/recipe.ts'
import { comesWith, modulesOutside, useModules } from './use-modules.ts'

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

const entry = <Recipe extends CommonRecipe>(
  kind: RunKind<Recipe>,
  parts: Pick<RunStart, 'schema' | 'check'> & { resolve(recipe: object, listener?: RunListener): Promise<Recipe> },
): Entry => ({
  ...parts,
  kind: kind as RunKind,
  start: async (recipe, listener) => startRun(kind, await parts.resolve(recipe, listener), listener),
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
  }),
  finetune: entry(finetuneKind, {
    schema: finetuneSchema,
    check: (recipe) => checkAdapter(completeRecipe(recipe)),
    resolve: resolveFinetuning,
  }),
  multitask: entry(multitaskKind, {
    schema: multitaskSchema,
    check: (recipe) => checkAdapter(completeMultitask(recipe)),
    resolve: resolveMultitask,
  }),
  align: entry(alignKind, {
    schema: alignSchema,
    check: (recipe) => checkAdapter(completeAlignment(recipe)),
    resolve: resolveAlignment,
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

const fieldsOf = (text: string, path: string): { [field: string]: unknown } => {
  const fields = parseJson(text, { path, advice: () => 'The file is damaged.' })
  if (typeof fields === 'object' && fields !== null && !Array.isArray(fields)) return { ...fields }
  throw new DataError(`Expected the recipe of a run, got ${show(fields)}. The file is damaged.`, path)
}

/**
 * The recipe of a run's folder. Imports the modules of its `use`. Code in the folder itself, which may be somebody else's run, is neither
 * imported nor part of the recipe.
 * @throws DataError for a folder without a run, or a damaged recipe
 */
export const readRunRecipe = async (folder: string): Promise<RunRecipe> => {
  const path = join(folder, runFiles.recipe)
  const text = await readFile(path, 'utf8').catch(() => {
    throw new DataError(`${folder}: Expected the folder of a run, with ${runFiles.recipe}, found none. Check the path.`)
  })
  const fields = fieldsOf(text, path)
  if (fields.use !== undefined) fields.use = await useModules(modulesOutside(folder, fields.use))
  if (typeof fields.recipeFile === 'string' && comesWith(folder, fields.recipeFile)) delete fields.recipeFile
  return { ...parseConfig(kindOf(fields.command).schema, fields, path), out: folder }
}
