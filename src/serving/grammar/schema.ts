// Values in JSON schemas, checked.
import { ConfigError, show } from '../../core/index.ts'

/** A JSON schema that is an object. */
export type Schema = Readonly<Record<string, unknown>>

export const isObject = (given: unknown): given is Schema =>
  typeof given === 'object' && given !== null && !Array.isArray(given)

/** The value of a keyword that is a length or a number of elements. @throws ConfigError for another value */
export const countOf = (schema: Schema, key: string, fallback: number, where: string): number => {
  const given = schema[key]
  if (given === undefined) return fallback
  if (typeof given === 'number' && Number.isInteger(given) && given >= 0 && given <= 100_000) return given
  throw new ConfigError(`Expected a whole number up to 100000 for \`${where}.${key}\`, got ${show(given)}.`)
}
