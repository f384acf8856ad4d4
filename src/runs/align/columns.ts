// The settings of reading data, by what an objective learns from.
import type { z } from 'zod'
import { parseConfig } from '../../core/index.ts'
import { preferenceSchema, promptSchema, ratingSchema, taskSettingFields } from '../../tasks/index.ts'
import type { DataKind } from './objectives.ts'

const schemas = { pairs: preferenceSchema, ratings: ratingSchema, prompts: promptSchema } satisfies Record<
  DataKind,
  z.ZodObject
>

/** Settings of reading any kind of data, optional and without defaults. */
export const columnFields = (): Record<string, z.ZodType> =>
  taskSettingFields(Object.values(schemas).map((config) => ({ config })))

/** The settings of reading one kind of data, checked and with all defaults. @throws ConfigError for settings that it does not have */
export const columnsOf = <Kind extends DataKind>(kind: Kind, columns: object): z.output<(typeof schemas)[Kind]> =>
  parseConfig(schemas[kind] as z.ZodType, columns, 'columns') as z.output<(typeof schemas)[Kind]>
