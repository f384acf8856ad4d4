// Functions of recipes: run.json is JSON, so it has their names alone. They are found again in the process that started the run, or in the
// recipe file, which is read again. Whether the user's code is what the run was started with.

import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { ConfigError, importUserModule, parseJson, sha256, show, writeFileAtomic } from '../../core/index.ts'
import { runFiles } from '../../tracking/index.ts'
import type { CommonRecipe, RunMode } from './run-kind.ts'

/** A function of a recipe in run.json. */
interface NamedFunction {
  type: 'function'
  name: string
  /** Task that it belongs to, in a run of several. */
  task?: string
}

const isNamed = (input: unknown): input is NamedFunction => (input as Partial<NamedFunction>)?.type === 'function'

interface FunctionPlace {
  key: string
  noun: string
  /** Method of objects that are kept as functions are. */
  method: string
  /** The function that registers it in a module; undefined for what only a recipe has. */
  register?: string
}

const places: readonly FunctionPlace[] = [
  { key: 'rewards', noun: 'reward', method: 'score', register: 'registerReward' },
  { key: 'judge', noun: 'reward', method: 'score', register: 'registerReward' },
  { key: 'environment', noun: 'environment', method: 'step', register: 'registerEnvironment' },
  { key: 'callbacks', noun: 'callback', method: 'onEvent' },
  { key: 'stopWhen', noun: 'stopping rule', method: 'stopWhen' },
  { key: 'loss', noun: 'loss', method: 'loss' },
  { key: 'read', noun: 'reader', method: 'read' },
  { key: 'metrics', noun: 'metric', method: 'score' },
]

/** Functions of recipes that this process knows, by the folder of the run, the key of the recipe and their name. */
const functions = new Map<string, unknown>()
const keyOf = (out: string, key: string, { task, name }: Pick<NamedFunction, 'task' | 'name'>) =>
  [out, key, ...(task === undefined ? [] : [task]), name].join('\0')

/** The function of a run; that of the run whose folder it is in, for the runs that verify a resume. */
const lookUp = (out: string, key: string, named: NamedFunction): unknown => {
  for (let folder = out; ; folder = dirname(folder)) {
    const found = functions.get(keyOf(folder, key, named))
    if (found !== undefined || folder === dirname(folder)) return found
  }
}

const hasMethod = (input: unknown, method: string): boolean =>
  typeof input === 'object' && input !== null && typeof (input as Record<string, unknown>)[method] === 'function'

const isFunctional = (input: unknown, { method }: FunctionPlace): boolean =>
  typeof input === 'function' || hasMethod(input, method)

/** The tasks of a recipe of several by name, as a recipe has them; each may have functions of its own. */
const tasksOf = (recipe: object): [task: string, entry: object][] => {
  const { tasks } = recipe as { tasks?: unknown }
  if (typeof tasks !== 'object' || tasks === null || Array.isArray(tasks)) return []
  return Object.entries(tasks).filter(([, entry]) => typeof entry === 'object' && entry !== null)
}

/** A recipe and its tasks: all that may have functions. */
const scopesOf = (recipe: object): object[] => [recipe, ...tasksOf(recipe).map(([, entry]) => entry)]

/** Whether a recipe, or one of its tasks, has a value where functions may be for which `is` holds. */
const someValue = (recipe: object, is: (input: unknown, place: FunctionPlace) => boolean): boolean =>
  scopesOf(recipe).some((scope) =>
    places.some((place) => [fieldOf(scope, place.key)].flat().some((input) => is(input, place))),
  )

/** Whether a recipe has functions, so that a resumed run needs the file that they are in. */
export const hasRecipeFunctions = (recipe: { readonly [key: string]: unknown }): boolean =>
  someValue(recipe, isFunctional)

interface Owner {
  out: string
  task?: string
}

/**
 * Replaces a function, or an object with the method, by its name, and keeps it.
 * @throws ConfigError for something else where only a function will do
 */
const nameFunction = (input: unknown, { out, task }: Owner, place: FunctionPlace, otherwise: string): unknown => {
  const { key, method, register } = place
  if (!isFunctional(input, place)) {
    if (register !== undefined || isNamed(input)) return input
    throw new ConfigError(
      `Expected a function, or an object with the method \`${method}\`, for \`${key}\`, got ${show(input)}.`,
    )
  }
  const { name } = input as { name?: unknown }
  const own = typeof name === 'string' && name !== '' ? name : otherwise
  const named: NamedFunction = { type: 'function', name: own, ...(task === undefined ? {} : { task }) }
  functions.set(keyOf(out, key, named), input)
  return named
}

interface Functional {
  readonly out: string
  readonly recipeFile?: string | undefined
}

const fieldOf = (recipe: object, key: string): unknown => (recipe as Record<string, unknown>)[key]

/** The keys of a recipe or of a task that may have functions, with these named. @throws ConfigError for two with one name */
const nameIn = (scope: object, owner: Owner): Record<string, unknown> => {
  const named: Record<string, unknown> = {}
  for (const place of places) {
    const value = fieldOf(scope, place.key)
    if (value === undefined) continue
    if (!Array.isArray(value)) {
      named[place.key] = nameFunction(value, owner, place, place.key)
      continue
    }
    const noun = place.noun.replace(/ /g, '-')
    const list = value.map((input, i) => nameFunction(input, owner, place, `${noun}-${i + 1}`))
    const names = list.filter(isNamed).map(({ name }) => name)
    const twice = names.find((name, i) => names.indexOf(name) !== i)
    if (twice !== undefined)
      throw new ConfigError(
        `Expected functions with different names for \`${place.key}\`, got \`${twice}\` twice. Rename one.`,
      )
    named[place.key] = list
  }
  return named
}

/** What of a recipe may have functions, with these named: its own keys, and its tasks. @throws ConfigError for two with one name */
export const nameFunctions = (recipe: Functional): Record<string, unknown> => {
  const { out } = recipe
  const tasks = tasksOf(recipe).map(([task, entry]) => [task, { ...entry, ...nameIn(entry, { out, task }) }])
  return { ...nameIn(recipe, { out }), ...(tasks.length === 0 ? {} : { tasks: Object.fromEntries(tasks) }) }
}

/**
 * A reward, judge or environment of run.json with the function that it names.
 * @throws ConfigError for a function that this process does not know
 */
export const functionOf = (input: unknown, key: string, out: string): unknown => {
  if (!isNamed(input)) return input
  const found = lookUp(out, key, input)
  if (found !== undefined) return found
  const place = places.find((one) => one.key === key)
  if (place?.register === undefined)
    throw new ConfigError(
      `The ${place?.noun} \`${input.name}\` is a function of the recipe, which a resumed run does not have: keep it in a recipe file (\`--recipe\`), which is read again.`,
    )
  throw new ConfigError(
    `The ${place?.noun} \`${input.name}\` is a function of the recipe, which a resumed run does not have: register it with \`${place?.register}\` in a module that the recipe names in \`use\`, and name it in \`${key}\`. Functions of a recipe file (\`--recipe\`) are read again.`,
  )
}

/** A function of run.json, or the method of an object that is kept as functions are. @throws as `functionOf` */
export const callableOf = <Call>(input: unknown, key: string, out: string): Call => {
  const found = functionOf(input, key, out)
  if (typeof found === 'function') return found as Call
  const { method = '' } = places.find((place) => place.key === key) ?? {}
  return (found as Record<string, () => unknown>)[method].bind(found) as Call
}

/** Whether a recipe has a function that this process does not know. */
const hasUnknown = (recipe: Functional): boolean =>
  someValue(recipe, (input, { key }) => isNamed(input) && lookUp(recipe.out, key, input) === undefined)

export const namesFunctions = (recipe: object): boolean => someValue(recipe, isNamed)

/** SHA-256 of the files with the user's code: the recipe file if it has functions, and the modules of `use`. Files that are gone have none. */
const hashCode = async (recipe: Functional & { use?: readonly string[] }): Promise<Record<string, string>> => {
  const { recipeFile, use = [] } = recipe
  const files = [...(recipeFile === undefined ? [] : [recipeFile]), ...use]
  const texts = await Promise.all(
    files.map(async (file) => [file, await readFile(file, 'utf8').catch(() => undefined)] as const),
  )
  return Object.fromEntries(texts.flatMap(([file, text]) => (text === undefined ? [] : [[file, sha256(text)]])))
}

/**
 * Reads the functions of a resumed run from its recipe file.
 * @param options.again also where this process knows them, as the file may have been corrected since
 * @returns a line for people where the file was read
 * @throws ConfigError for a file that throws, or is gone
 */
export const restoreFunctions = async (
  recipe: Functional,
  { again = false }: { again?: boolean } = {},
): Promise<string[]> => {
  const { recipeFile, out } = recipe
  if (recipeFile === undefined || !(again ? namesFunctions(recipe) : hasUnknown(recipe))) return []
  let module: { default?: unknown }
  try {
    module = (await importUserModule(recipeFile, { again: true })) as { default?: unknown }
  } catch (error) {
    throw new ConfigError(
      `Expected the recipe ${recipeFile}, whose functions the run uses, got an error: ${(error as Error).message.split('\n')[0]}. Restore the file.`,
    )
  }
  const found = await module.default
  if (typeof found === 'object' && found !== null) nameFunctions({ ...found, out })
  return [`Read the functions of the recipe again from ${recipeFile}.`]
}

/**
 * Keeps the hashes of the user's code in the folder of a new run, and compares those of a resumed one. Reads the functions of its recipe.
 * @returns lines for people
 * @throws ConfigError for a recipe file that throws, or is gone
 */
export const checkCode = async (recipe: CommonRecipe, mode: RunMode): Promise<string[]> => {
  const path = join(recipe.out, runFiles.code)
  const now = await hashCode(recipe)
  const notes = await restoreFunctions(recipe, { again: mode !== 'new' })
  const text = mode === 'new' ? undefined : await readFile(path, 'utf8').catch(() => undefined)
  if (Object.keys(now).length === 0) return notes
  const before =
    text === undefined ? {} : (parseJson(text, { path, advice: () => 'Delete the file.' }) as Record<string, string>)
  await writeFileAtomic(path, `${JSON.stringify({ ...now, ...before }, null, 2)}\n`)
  const changed = Object.keys(now).filter((file) => before[file] !== undefined && before[file] !== now[file])
  return [
    ...notes,
    ...changed.map(
      (file) =>
        `warning: ${file} has changed since the run was started, and its new code is used: steps before and after may not be comparable. Restore the file, or start the run again in a new folder, for one result.`,
    ),
  ]
}
