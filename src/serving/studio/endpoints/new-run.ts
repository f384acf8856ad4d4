// The form of a new run: its schemas, what is asked first, values that other runs have, its check, its command line and its plan while it
// is filled in, and its start.

import { resolve } from 'node:path'
import { z } from 'zod'
import { exists, programCall } from '../../../core/index.ts'
import { models } from '../../../models/index.ts'
import { recipeFormSchemas } from '../../../runs/index.ts'
import { runFiles } from '../../../tracking/index.ts'
import { ApiError } from '../../http/errors.ts'
import { defineStudioEndpoint, type StudioRequest } from '../endpoint.ts'
import { faultsOf, importsModules, startCommand, startRun } from '../new-run/start-run.ts'
import type { RunLibrary } from '../runs/run-library.ts'
import type {
  FormCommand,
  FormSchema,
  RecipeCheck,
  RecipeForm,
  RecipePlan,
  StartAnswer,
} from '../types/new-run-types.ts'

type Fields = Record<string, unknown>

const kebab = (key: string): string => key.replace(/([a-z0-9])([A-Z])/g, '$1-$2').toLowerCase()

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The schemas that a key of an object may have, in any branch of it. */
const schemasOf = (schema: FormSchema | undefined, key: string): FormSchema | undefined =>
  schema?.properties?.[key] ??
  [...(schema?.oneOf ?? []), ...(schema?.anyOf ?? [])].map((branch) => branch.properties?.[key]).find(Boolean)

const wordsOf = (name: string, value: unknown): string[] => {
  const flag = `--${name}`
  if (value === true) return [flag]
  if (value === false) return [`--${name.replace(/([^.]+)$/, 'no-$1')}`]
  if (Array.isArray(value)) return value.flatMap((one) => wordsOf(name, isFields(one) ? JSON.stringify(one) : one))
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  // A value that begins with a dash would read as a flag.
  return text.startsWith('-') ? [`${flag}=${text}`] : [flag, text]
}

const collect = (fields: Fields, schema: FormSchema | undefined, path: readonly string[]): string[] =>
  Object.entries(fields).flatMap(([key, value]) => {
    const own = schemasOf(schema, key)
    if (value === undefined || own?.flag === false) return []
    const names = [...path, typeof own?.flag === 'string' ? own.flag : kebab(key)]
    return isFields(value) ? collect(value, own, names) : wordsOf(names.join('.'), value)
  })

/** The command line of a recipe. */
const commandLineOf = (command: FormCommand, recipe: Fields, { schema }: Pick<RecipeForm, 'schema'>): string =>
  programCall(command, ...collect(recipe, schema, []))

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
const formSchemas = (command: FormCommand): Pick<RecipeForm, 'schema' | 'parts'> => {
  const known = schemas.get(command) ?? (recipeFormSchemas(command) as Pick<RecipeForm, 'schema' | 'parts'>)
  schemas.set(command, known)
  return known
}

/** The form of a command. */
const recipeForm = async (command: FormCommand, runs: RunLibrary): Promise<RecipeForm> => ({
  command,
  ...formSchemas(command),
  essentials: [...essentials[command]],
  suggestions: suggestionsOf(runs),
  presets: presets(),
  out: await freeFolder(runs.roots[0], command),
})

/** The command that the path names. @throws ApiError for another one */
const commandOf = ({ param }: Pick<StudioRequest<unknown, unknown>, 'param'>): FormCommand => {
  const parsed = startCommand.safeParse(param('command'))
  if (parsed.success) return parsed.data
  throw new ApiError(404, `Expected ${startCommand.options.join(', ')} for the command, got ${param('command')}.`)
}

const body = z.strictObject({ recipe: z.record(z.string(), z.unknown()).describe('settings that are not by default') })

export const newRunForm = defineStudioEndpoint({
  method: 'get',
  path: '/api/new-run/:command',
  summary: 'Describe the form of a new run: its settings with help, defaults, ranges and choices',
  answer: (request): Promise<RecipeForm> => recipeForm(commandOf(request), request.studio.runs),
})

export const checkNewRun = defineStudioEndpoint({
  method: 'post',
  path: '/api/new-run/:command/check',
  summary: 'Check a recipe, and write it as a command line',
  body,
  answer(request): RecipeCheck {
    const command = commandOf(request)
    const { recipe } = request.body
    return {
      faults: faultsOf(command, recipe),
      commandLine: commandLineOf(command, recipe, formSchemas(command)),
    }
  },
})

export const planNewRun = defineStudioEndpoint({
  method: 'post',
  path: '/api/new-run/:command/plan',
  summary: 'Plan a recipe: memory, FLOPs and, where the speed of the machine is known, time',
  body,
  answer(request): RecipePlan | Promise<RecipePlan> {
    const command = commandOf(request)
    const { recipe } = request.body
    // The form plans by itself, and a recipe may be that of a run from somebody else: its code runs only once it is started.
    if (importsModules(recipe))
      return { plan: null, fault: 'A recipe with modules of its own is planned when it starts.' }
    return request.studio.planner.plan({ ...recipe, command })
  },
})

export const startNewRun = defineStudioEndpoint({
  method: 'post',
  path: '/api/new-run/:command/start',
  summary: 'Write the recipe of a run and start it in a process of its own',
  body,
  answer: (request): Promise<StartAnswer> => startRun(request.studio.runs, commandOf(request), request.body.recipe),
})
