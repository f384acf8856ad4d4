// Flags of commands whose options depend on an entry of a registry: the flags of all entries, and a check that the chosen entry has those
// that were given.
import type { z } from 'zod'
import { ConfigError } from '../../core/index.ts'

interface EntryWithOptions {
  options: z.ZodObject
}

/** The option fields of all entries. */
export const sharedShape = (entries: readonly EntryWithOptions[]): Record<string, z.ZodType> =>
  Object.assign({}, ...entries.map(({ options }) => options.shape)) as Record<string, z.ZodType>

/**
 * The options that the chosen entry takes.
 * @param entry undefined for a choice without an entry, whose error is the library's to give
 * @throws ConfigError for an option that was given and would have no effect
 */
export const ownOptions = (
  given: Record<string, unknown>,
  entry: EntryWithOptions | undefined,
  shape: Record<string, z.ZodType>,
  what: string,
): Record<string, unknown> => {
  const own: Record<string, unknown> = {}
  if (entry === undefined) return own
  for (const [name, value] of Object.entries(given)) {
    if (name in entry.options.shape) own[name] = value
    else if (JSON.stringify(value) !== JSON.stringify(shape[name].safeParse(undefined).data))
      throw new ConfigError(`\`${name}\` has no effect on ${what}: remove it.`)
  }
  return own
}
