// Texts of any length for a page: cut between characters, with the length of the whole.
import type { CutText } from '../data-types.ts'

/** Characters of a cell in a table. */
export const cellLength = 300
/** Characters of a text that is shown by itself. */
export const wholeLength = 65_536

/** The beginning of a text. */
export const cutText = (text: string, most: number): CutText => {
  if (text.length <= most) return { text }
  // A surrogate pair is one character.
  const end = /[\ud800-\udbff]/.test(text[most - 1]) ? most - 1 : most
  return { text: text.slice(0, end), length: text.length }
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
