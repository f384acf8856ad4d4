// A setting that names a column, or several of which the first that a row has is read.
import { z } from 'zod'
import type { Fields } from './row.ts'

/** Schema of a setting with column names. */
export const columnNames = (described: string, ...names: string[]) =>
  z
    .union([z.string().transform((name) => [name]), z.array(z.string()).min(1)])
    .default(names)
    .describe(described)

/** Whether a row has a value in a column. */
export const hasValue = (values: Fields, column: string): boolean =>
  values[column] !== undefined && values[column] !== null

/** The first of the columns in which a row has a value. */
export const firstColumn = (values: Fields, columns: readonly string[]): string | undefined =>
  columns.find((column) => hasValue(values, column))
