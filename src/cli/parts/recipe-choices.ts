// Flags that depend on a choice: the settings of a task, a variant, an objective or an architecture, and the options of an entry of a registry.
import type { z } from 'zod'
import { ConfigError } from '../../core/index.ts'
import { recipeParts } from '../../runs/index.ts'
import type { HelpChoice } from '../command.ts'

/** What `--help` shows only with the choice that has it. */
export const recipeChoices = (command: keyof ReturnType<typeof recipeParts>): HelpChoice[] =>
  recipeParts()[command].parts.map(({ choice, part, schemas }) => ({
    choice: choice.join('.'),
    part: part.join('.'),
    schemas,
  }))

/** The settings of every task. */
export const taskSchemas = (): HelpChoice['schemas'] =>
  recipeParts().finetune.parts.find(({ choice }) => choice[0] === 'task')!.schemas

/** An entry of a registry, whose options are flags of a command. */
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
