// Functions of recipes: run.json is JSON, so it has their names alone. They are found again in the process that started the run, or in the
// recipe file, which is read again.
import { dirname } from 'node:path'
import { ConfigError, importUserModule } from '../../../core/index.ts'
import type { AlignRecipe } from '../recipe.ts'

/** A function of a recipe in run.json. */
interface NamedFunction {
  type: 'function'
  name: string
}

const isNamed = (input: unknown): input is NamedFunction => (input as Partial<NamedFunction>)?.type === 'function'

/** A key of the recipe that may have functions. */
interface FunctionPlace {
  key: 'rewards' | 'judge' | 'environment'
  noun: string
  /** Method of objects that are kept as functions are. */
  method: 'score' | 'step'
  register: string
}

const places: readonly FunctionPlace[] = [
  { key: 'rewards', noun: 'reward', method: 'score', register: 'registerReward' },
  { key: 'judge', noun: 'reward', method: 'score', register: 'registerReward' },
  { key: 'environment', noun: 'environment', method: 'step', register: 'registerEnvironment' },
]

/** Functions of recipes that this process knows, by the folder of the run, the key of the recipe and their name. */
const functions = new Map<string, unknown>()
const keyOf = (out: string, key: string, name: string) => [out, key, name].join('\0')

/** The function of a run; that of the run whose folder it is in, for the runs that verify a resume. */
const lookUp = (out: string, key: string, name: string): unknown => {
  for (let folder = out; ; folder = dirname(folder)) {
    const found = functions.get(keyOf(folder, key, name))
    if (found !== undefined || folder === dirname(folder)) return found
  }
}

const hasMethod = (input: unknown, method: string): boolean =>
  typeof input === 'object' && input !== null && typeof (input as Record<string, unknown>)[method] === 'function'

const isFunctional = (input: unknown, { method }: FunctionPlace): boolean =>
  typeof input === 'function' || hasMethod(input, method)

/** Whether a recipe has functions, so that a resumed run needs the file that they are in. */
export const hasRecipeFunctions = (recipe: { readonly [key: string]: unknown }): boolean =>
  places.some((place) => [recipe[place.key]].flat().some((input) => isFunctional(input, place)))

/** Replaces a function, or an object with the method, by its name, and keeps it. */
const nameFunction = (input: unknown, out: string, place: FunctionPlace, otherwise: string): unknown => {
  if (!isFunctional(input, place)) return input
  const { key } = place
  const { name } = input as { name?: unknown }
  const own = typeof name === 'string' && name !== '' ? name : otherwise
  functions.set(keyOf(out, key, own), input)
  return { type: 'function', name: own } satisfies NamedFunction
}

type Functional = Pick<AlignRecipe, 'out'> & Partial<Pick<AlignRecipe, FunctionPlace['key']>>

/** The keys of a recipe that may have functions, with these named. */
export const nameFunctions = (recipe: Functional): Pick<AlignRecipe, FunctionPlace['key']> => {
  const { out, rewards = [], judge, environment } = recipe
  const [ofRewards, ofJudge, ofEnvironment] = places
  return {
    rewards: rewards.map((reward, i) => nameFunction(reward, out, ofRewards, `reward-${i + 1}`)),
    judge: nameFunction(judge, out, ofJudge, 'judge'),
    environment: nameFunction(environment, out, ofEnvironment, 'environment'),
  }
}

/**
 * A reward, judge or environment of run.json with the function that it names.
 * @throws ConfigError for a function that this process does not know
 */
export const functionOf = (input: unknown, key: FunctionPlace['key'], out: string): unknown => {
  if (!isNamed(input)) return input
  const found = lookUp(out, key, input.name)
  if (found !== undefined) return found
  const place = places.find((one) => one.key === key)
  throw new ConfigError(
    `The ${place?.noun} \`${input.name}\` is a function of the recipe, which a resumed run does not have: register it with \`${place?.register}\` in a module that the recipe names in \`use\`, and name it in \`${key}\`. Functions of a recipe file (\`--recipe\`) are read again.`,
  )
}

/** Whether a recipe has a function that this process does not know. */
const hasUnknown = ({ out, rewards, judge, environment }: AlignRecipe): boolean =>
  [
    ...rewards.map((reward) => ['rewards', reward] as const),
    ['judge', judge] as const,
    ['environment', environment] as const,
  ].some(([key, input]) => isNamed(input) && lookUp(out, key, input.name) === undefined)

/**
 * Reads the functions of a resumed run from its recipe file.
 * @returns a line for people where the file was read
 * @throws ConfigError for a file that throws, or is gone
 */
export const restoreFunctions = async (recipe: AlignRecipe): Promise<string[]> => {
  const { recipeFile, out } = recipe
  if (recipeFile === undefined || !hasUnknown(recipe)) return []
  let module: { default?: unknown }
  try {
    module = (await importUserModule(recipeFile, { again: true })) as { default?: unknown }
  } catch (error) {
    throw new ConfigError(
      `Expected the recipe ${recipeFile}, whose functions the run uses, got an error: ${(error as Error).message.split('\n')[0]}. Restore the file.`,
    )
  }
  const found = await module.default
  if (typeof found === 'object' && found !== null) nameFunctions({ ...(found as Partial<Functional>), out })
  return [`Read the functions of the recipe again from ${recipeFile}.`]
}
