// What a run trains, in a few words from its recipe.
import type { RunRow } from '../types/api-types.ts'

type Fields = Record<string, unknown>

const asFields = (value: unknown): Fields => (typeof value === 'object' && value !== null ? (value as Fields) : {})

const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined)

/** Name of a choice, given as a name or as an object with its type. */
const choice = (value: unknown): string | undefined => text(value) ?? text(asFields(value).type)

const lastPart = (path: string | undefined): string | undefined => path?.split(/[\\/]/).filter(Boolean).at(-1)

/** Names of the tasks of a run of several. */
const taskNames = (tasks: unknown): string | undefined =>
  Array.isArray(tasks) ? undefined : Object.keys(asFields(tasks)).join(', ') || undefined

/** The command and the title of a row; a missing or foreign recipe gives an empty title. */
export const recipeTitle = (recipe: Fields | undefined): Pick<RunRow, 'command' | 'title'> => {
  const { command, model, base, objective, task, tasks, variant } = recipe ?? {}
  const learned = choice(task) ?? taskNames(tasks)
  const architecture = [text(asFields(model).type), text(asFields(model).preset)].filter(Boolean).join(' ')
  const parts = [
    architecture || lastPart(text(base)),
    learned ?? choice(objective),
    learned === undefined ? undefined : choice(variant),
  ]
  return { command: text(command) ?? null, title: parts.filter((part) => part !== undefined).join(' · ') }
}
