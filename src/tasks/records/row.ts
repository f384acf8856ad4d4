// A row of a file with its columns, and what a reader of rows is. Knows no format.
import type { FaultCounter, Place } from './read-report.ts'

export type Fields = { [name: string]: unknown }

/** Whether a value is an object with fields. */
export const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

export interface DataRow extends Place {
  values: Fields
}

export interface RowContext {
  faults: FaultCounter
  /** Whether the first line of separated values names the columns. */
  header: boolean
  quotes: 'auto' | 'read' | 'literal'
  /** Names of the folders to read, where a folder is a class; all unless given. */
  folders?: readonly string[]
  /** A folder above those of the classes, where a format has splits inside. */
  split?: string
  signal?: AbortSignal
}

export interface RowFormat {
  /** Endings of its files, without that of a compression. */
  extensions: readonly string[]
  rows(file: string, context: RowContext): AsyncIterable<DataRow>
}
