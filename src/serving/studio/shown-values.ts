// Values of any size for a page: texts that are cut between characters, numbers that JSON can have, and what a run trains in a few words.

import type { RunRow } from './types/api-types.ts'
import type { IntervalValue } from './types/compare-types.ts'
import type { CutText } from './types/data-types.ts'

/** Characters of a cell in a table. */
export const cellLength = 300
/** Characters of a text that is shown by itself. */
export const wholeLength = 65_536
/** Characters of a text in a list of records. */
const listedLength = 4000

/** The beginning of a text, with the length of the whole. */
export const cutText = (text: string, most: number): CutText => {
  if (text.length <= most) return { text }
  // A surrogate pair is one character.
  const end = /[\ud800-\udbff]/.test(text[most - 1]) ? most - 1 : most
  return { text: text.slice(0, end), length: text.length }
}

/** A text as a list of records shows it: one that is too long says how much is left out. */
export const listedText = (text: string): string => {
  const { text: start, length } = cutText(text, listedLength)
  return length === undefined ? start : `${start} … (${length - start.length} more characters)`
}

const isTurn = (value: unknown): value is { role: string; content: string } =>
  typeof value === 'object' &&
  value !== null &&
  typeof (value as { role?: unknown }).role === 'string' &&
  typeof (value as { content?: unknown }).content === 'string'

const replaceBytes = (_: string, value: unknown): unknown => {
  if (typeof value === 'bigint') return String(value)
  return value instanceof Uint8Array ? `<${value.length} bytes>` : value
}

/** Any value of a row as text: texts as they are, turns with their role, others as JSON. */
export const valueText = (value: unknown): string => {
  if (typeof value === 'string') return value
  if (value === undefined || value === null) return ''
  if (Array.isArray(value) && value.length > 0 && value.every(isTurn))
    return value.map(({ role, content }) => `${role}: ${content}`).join('\n\n')
  return JSON.stringify(value, replaceBytes) ?? String(value)
}

/** A value as a list of records shows it: the words of a list in one line. */
export const listedValue = (value: unknown): string =>
  listedText(Array.isArray(value) && value.every((one) => typeof one === 'string') ? value.join(' ') : valueText(value))

/** A number that JSON can have; null for NaN and infinities. */
export const finiteOrNull = (value: number | null | undefined): number | null =>
  value !== null && value !== undefined && Number.isFinite(value) ? value : null

/** A value with its confidence interval, as JSON can have it. */
export const intervalOf = ({ value, low, high }: { value: number; low: number; high: number }): IntervalValue => ({
  value: finiteOrNull(value),
  low: finiteOrNull(low),
  high: finiteOrNull(high),
})

/** Mean, smallest and largest of the values that are finite. */
export const spreadOf = (values: readonly (number | null)[]) => {
  const known = values.filter((value): value is number => value !== null && Number.isFinite(value))
  if (known.length === 0) return { mean: null, min: null, max: null }
  let [sum, min, max] = [0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  for (const value of known) {
    sum += value
    min = Math.min(min, value)
    max = Math.max(max, value)
  }
  return { mean: sum / known.length, min, max }
}

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
