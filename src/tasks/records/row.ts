// A row of a file with its columns, and what a file format defines.
import type { FaultCounter, Place } from './read-report.ts'

/** Values by column. */
export type Fields = { [name: string]: unknown }

/** Whether a value is a plain object. */
export const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** A row with its place. */
export interface DataRow extends Place {
  values: Fields
  /** What separates the columns of a text file, such as a comma; undefined for formats that name the columns of each row. */
  delimiter?: string
  /** By column: names of classes whose numbers the column has, as files of Hugging Face declare them. */
  classNames?: { readonly [column: string]: readonly string[] }
}

/** How rows are read. */
export interface RowContext {
  faults: FaultCounter
  /** Whether the first line of separated values names the columns. */
  header: boolean
  quotes: 'auto' | 'read' | 'literal'
  /** Format folders: names of the folders to read (default: all). */
  folders?: readonly string[]
  /** Format folders: a folder above those of the classes. */
  split?: string
  signal?: AbortSignal | undefined
}

/** A file format of rows. */
export interface RowFormat {
  /** File endings, without that of a compression. */
  extensions: readonly string[]
  rows(file: string, context: RowContext): AsyncIterable<DataRow>
}
