// The reference answer of a sample, for rewards that compare.
import { z } from 'zod'
import { ConfigError } from '../../core/index.ts'
import type { RewardSample } from './reward.ts'

/** The setting of the column with the reference. */
export const columnField = z
  .string()
  .optional()
  .describe('column with the reference answer (default: the reference of the prompts)')

/** Reference answers of a sample; a column may have a list of several. Empty where the data has none. */
export const referencesOf = ({ record }: RewardSample, column: string | undefined): string[] => {
  if (column === undefined) return record.reference === undefined ? [] : [record.reference]
  if (!Object.hasOwn(record.fields, column))
    throw new ConfigError(
      `Expected one of ${Object.keys(record.fields).join(', ') || 'no column, since the data has none'} for \`column\` of the reward, got ${column}.`,
    )
  const value = record.fields[column]
  const values: unknown[] = Array.isArray(value) ? value : [value]
  return values.flatMap((one) =>
    typeof one === 'string' || typeof one === 'number' || typeof one === 'bigint' || typeof one === 'boolean'
      ? [String(one)]
      : [],
  )
}
