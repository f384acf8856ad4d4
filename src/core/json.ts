// JSON text as a value, with one error text for all readers. Independent of what the value means.
import { DataError } from './errors.ts'

/** Where a JSON text comes from, and what else to tell about a fault in it. */
export interface JsonOrigin {
  readonly path?: string
  /** 1-based line of the file when the text is one line of it. */
  readonly line?: number
  /** A sentence with what to do about the broken text; called only after a fault. */
  readonly advice?: (text: string) => string | undefined
}

/** JSON text as a value. @throws DataError with the path, and with the line where it is known */
export const parseJson = (text: string, origin?: JsonOrigin): unknown => {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw jsonFault(text, (error as Error).message, origin)
  }
}

const jsonFault = (text: string, message: string, { path, line, advice }: JsonOrigin = {}): DataError => {
  const hint = advice?.(text)
  const sentence = `Expected JSON, got ${message}.${hint === undefined ? '' : ` ${hint}`}`
  return new DataError(sentence, path, line ?? lineOfFault(text, message))
}

/** The line that V8 names by its position; undefined for a text of one line. */
const lineOfFault = (text: string, message: string): number | undefined => {
  const position = / position (\d+)/.exec(message)?.[1]
  if (position === undefined || !text.includes('\n')) return undefined
  return text.slice(0, Number(position)).split('\n').length
}
