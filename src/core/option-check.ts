// Options of functions that have no schema of their own: TypeScript finds a mistyped name in a literal, and nowhere else.
import { z } from 'zod'
import { parseConfig } from './config.ts'

/**
 * A check that what a function is given has no option but these, whatever their values.
 * @param where name of the function in messages
 * @returns throws ConfigError for an option with another name, and for what is not an object
 */
export const optionCheck = <Options extends object>(
  where: string,
  names: { readonly [Name in keyof Required<Options>]: true },
): ((given: Options) => void) => {
  const shape = Object.fromEntries(Object.keys(names).map((name) => [name, z.unknown().optional()]))
  const schema = z.strictObject(shape)
  return (given) => {
    parseConfig(schema, given, where)
  }
}
