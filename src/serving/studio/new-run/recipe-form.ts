// The form of a new run: the schemas of its recipe, what is asked first, and values that other runs have.
import { resolve } from 'node:path'
import { exists } from '../../../core/index.ts'
import { models } from '../../../models/index.ts'
import { recipeFormSchemas } from '../../../runs/index.ts'
import { runFiles } from '../../../tracking/index.ts'
import type { RunLibrary } from '../runs/run-library.ts'
import type { FormCommand, RecipeForm } from '../types/new-run-types.ts'

const data = ['data', 'validation', 'validationShare'] as const
const training = [
  'maxLength',
  'batch.sequences',
  'budget.epochs',
  'budget.steps',
  'budget.minutes',
  'learningRate',
] as const

/** Settings that are asked first. */
const essentials: Record<FormCommand, readonly string[]> = {
  pretrain: ['model.type', 'model.preset', 'model.depth', 'objective', 'data', 'tokenizer', 'out', ...training],
  finetune: ['base', 'task', ...data, 'variant', 'out', ...training],
  multitask: ['base', 'tasks', 'variant', 'taskTemperature', 'out', ...training],
  align: ['base', 'objective', ...data, 'variant', 'rewards', 'out', ...training],
}

/** Settings whose values in other runs are worth suggesting. */
const remembered = ['data', 'validation', 'tokenizer', 'base'] as const

const maxSuggestions = 30

/** Values of the settings in other runs, newest first, and finished models as bases. */
const suggestionsOf = (runs: RunLibrary): Record<string, string[]> => {
  const found = Object.fromEntries(remembered.map((name) => [name, new Set<string>()]))
  const { rows, recipes } = runs
  for (const { id, folder, state } of rows) {
    const recipe = recipes.get(id)
    if (state === 'finished') found.base.add(resolve(folder, runFiles.model))
    for (const name of remembered)
      for (const value of [recipe?.[name]].flat()) if (typeof value === 'string') found[name].add(value)
  }
  return Object.fromEntries(Object.entries(found).map(([name, values]) => [name, [...values].slice(0, maxSuggestions)]))
}

const presets = (): Record<string, string[]> =>
  Object.fromEntries(Object.entries(models).map(([type, model]) => [type, Object.keys(model.presets)]))

/** A folder below the first root that is not there yet. */
const freeFolder = async (root: string, command: FormCommand): Promise<string> => {
  for (let n = 1; ; n++) {
    const folder = resolve(root, `${command}-${n}`)
    if (!(await exists(folder))) return folder
  }
}

/** Schemas are made once: the built-in definitions do not change while the studio runs. */
const schemas = new Map<FormCommand, Pick<RecipeForm, 'schema' | 'parts'>>()

/** The schemas of a command's recipe. */
export const formSchemas = (command: FormCommand): Pick<RecipeForm, 'schema' | 'parts'> => {
  const known = schemas.get(command) ?? (recipeFormSchemas(command) as Pick<RecipeForm, 'schema' | 'parts'>)
  schemas.set(command, known)
  return known
}

/** The form of a command. */
export const recipeForm = async (command: FormCommand, runs: RunLibrary): Promise<RecipeForm> => ({
  command,
  ...formSchemas(command),
  essentials: [...essentials[command]],
  suggestions: suggestionsOf(runs),
  presets: presets(),
  out: await freeFolder(runs.roots[0], command),
})
