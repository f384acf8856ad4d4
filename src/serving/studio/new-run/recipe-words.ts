// A recipe as the command line that starts it.
import { programCall } from '../../../core/index.ts'
import type { FormCommand, FormSchema, RecipeForm } from '../types/new-run-types.ts'

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
export const commandLineOf = (command: FormCommand, recipe: Fields, { schema }: Pick<RecipeForm, 'schema'>): string =>
  programCall(command, ...collect(recipe, schema, []))
