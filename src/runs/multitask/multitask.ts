// Fine-tuning on several tasks as a function.
import { ConfigError, parseConfig, TunesmithError } from '../../core/index.ts'
import { isLowerBetter, metricNames, metricOfTask } from '../../tracking/index.ts'
import { expectPrecision, fillDefaults, settleModels } from '../engine/base-settings.ts'
import { readDataSets } from '../engine/data-sets.ts'
import { startRun } from '../engine/execute.ts'
import { nameFunctions } from '../engine/recipe-functions.ts'
import type { RunListener, RunResult } from '../engine/run-kind.ts'
import { nonIterativeFits } from '../finetune/feature-learning.ts'
import { settlePaths } from '../finetune/finetune.ts'
import { setsOf, taskOf } from '../finetune/recipe.ts'
import type { MultitaskInput } from '../recipe-types/index.ts'
import { withModules } from '../use-modules.ts'
import { meanMetric, multitaskKind } from './build.ts'
import { type MultitaskRecipe, multitaskSchema, readTasks, recipeOfTask, type TaskEntry } from './recipe.ts'

/**
 * Fine-tunes one base on several tasks at once, in a new folder: one body, and a head for each task. By default: three epochs, 32 examples
 * a step in shares by size, an evaluation after each epoch, and the checkpoint with the best mean of the tasks' main metrics becomes the
 * model. Its folder has a folder for each task, which is a model of its own.
 * @throws ConfigError for settings that do not fit each other, DataError for data that cannot be read
 */
export const multitask = async (input: MultitaskInput, listener: RunListener = {}): Promise<RunResult> =>
  startRun(multitaskKind, await resolveMultitask(input, listener), listener)

/** The recipe with every default filled in and absolute paths. @throws ConfigError for settings that do not fit each other */
export const resolveMultitask = async (
  input: object,
  listener: Pick<RunListener, 'onNote'> = {},
): Promise<MultitaskRecipe> => {
  const recipe = completeMultitask(await withModules(input))
  for (const entry of Object.values(recipe.tasks)) await settlePaths(entry, listener)
  await settleModels(recipe)
  return recipe
}

/** @throws ConfigError for tasks whose names or shares do not fit each other */
const expectTasks = ({ tasks, taskTemperature }: MultitaskRecipe): void => {
  const names = Object.keys(tasks)
  if (names.length < 2)
    throw new ConfigError(
      `Expected at least two tasks for \`tasks\`, got ${names.join(', ') || 'none'}. For a single task, use \`finetune\`.`,
    )
  const metrics = metricNames()
  for (const name of names) {
    if (!/^[A-Za-z][\w-]*$/.test(name))
      throw new ConfigError(
        `Expected a letter and then letters, digits, _ and - for the name of a task, got ${JSON.stringify(name)}. Rename it.`,
      )
    if (metrics.includes(name))
      throw new ConfigError(`Expected a name of a task that no metric has, got "${name}". Rename the task.`)
  }
  const without = names.filter((name) => tasks[name].weight === undefined)
  if (without.length > 0 && without.length < names.length)
    throw new ConfigError(
      `Expected a weight for each task or for none, got none for ${without.join(', ')}. Add the weights that are missing.`,
    )
  if (taskTemperature !== undefined && without.length === 0)
    throw new ConfigError(
      'Expected weights of the tasks or `taskTemperature`, which gives weights by size, got both. Remove one.',
    )
  const scales = new Set(names.map((name) => tasks[name].scale))
  if (scales.size === 1 && !scales.has(1))
    throw new ConfigError(
      `Expected scales that differ between the tasks, got ${[...scales].join()} for all. Leave them out, and change the learning rate instead.`,
    )
}

/** The metric that checkpoints are chosen by: the mean of the main metrics, where a higher value of all is better. */
const bestOf = (recipe: MultitaskRecipe): string => {
  const mains = Object.keys(recipe.tasks).map((name): [string, string] => {
    const { task, config } = taskOf(recipeOfTask(recipe, name))
    return [name, task.mainMetric(config)]
  })
  return mains.some(([, metric]) => isLowerBetter(metric)) ? metricOfTask(...mains[0]) : meanMetric
}

/** Reads the data sets of a task. @throws ConfigError with the name of the task for settings that do not fit it */
const checkTask = (recipe: MultitaskRecipe, name: string, entry: TaskEntry): void => {
  try {
    entry.data = readDataSets(entry.data, entry.dataTemperature)
    const own = recipeOfTask(recipe, name)
    taskOf(own)
    setsOf(own)
  } catch (error) {
    if (error instanceof TunesmithError) error.message = `The task ${name}: ${error.message}`
    throw error
  }
}

/** The recipe with every default filled in. Opens no file. @throws ConfigError for settings that do not fit each other */
export const completeMultitask = (input: object): MultitaskRecipe => {
  const { tasks } = input as { tasks?: unknown }
  const read = tasks === undefined ? {} : { tasks: readTasks(tasks) }
  const whole = { ...input, ...read, command: 'multitask' }
  const recipe = parseConfig(multitaskSchema, whole, 'multitask') as MultitaskRecipe
  Object.assign(recipe, nameFunctions(recipe))
  expectTasks(recipe)
  if (nonIterativeFits[recipe.variant] !== undefined)
    throw new ConfigError(
      `Expected a variant that trains in steps for several tasks, got ${recipe.variant}. Use \`finetune\` for each task.`,
    )
  for (const [name, entry] of Object.entries(recipe.tasks)) checkTask(recipe, name, entry)
  expectPrecision(recipe)
  fillDefaults(recipe, { sequences: 32, epochs: 3, best: bestOf(recipe) })
  return recipe
}
