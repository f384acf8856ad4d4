// What to look at if a specialist is no better than a guess: its data, by a command that reads them as the run did.
import { programCall } from '../../core/index.ts'
import { settingFlag } from '../../tasks/index.ts'
import { dataSetsOf } from '../engine/data-sets.ts'
import { type FinetuneRecipe, taskOf } from './recipe.ts'

/** The words of a setting of the task; undefined for a value that no flag takes. */
const wordsOf = (name: string, value: unknown): string[] | undefined => {
  const flag = settingFlag('settings', name)
  if (value === true) return [flag]
  const values =
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.entries(value).map(([key, one]) => `${key}=${one}`)
      : [value].flat()
  return values.every((one) => typeof one === 'string' || typeof one === 'number')
    ? values.flatMap((one) => [flag, String(one)])
    : undefined
}

/** Longer training does not help a model whose targets do not fit its texts, which scores alone do not show. */
export const inspectAdvice = (recipe: FinetuneRecipe): string => {
  const [{ path, dataset = recipe.dataset, settings }] = dataSetsOf(recipe.data)
  const { dataSettings = [] } = taskOf(recipe).task
  const given = Object.entries({ ...recipe.settings, ...settings }).filter(
    ([name, value]) => value !== undefined && dataSettings.includes(name),
  )
  const words = given.map(([name, value]) => wordsOf(name, value))
  // Rows that a function of the recipe reads, and settings without a flag, are not what the command would read.
  if (recipe.read !== undefined || words.includes(undefined))
    return `Do the targets fit their texts? Read some records of ${path}, and look for equal texts with different targets.`
  const call = programCall(
    'inspect',
    path,
    ...['--task', recipe.task],
    ...(dataset === undefined ? [] : ['--dataset', dataset]),
    ...[recipe.use ?? []].flat().flatMap((one) => ['--use', one]),
    ...words.flatMap((one) => one ?? []),
  )
  return `Do the targets fit their texts? \`${call}\` shows records, and equal texts with different labels.`
}
