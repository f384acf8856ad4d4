// The objectives of alignment: those that learn from preferences, and those that learn from rewards of the model's own answers. Each says what
// data it learns from, which decides on the settings of reading; nothing here knows a single one.
import type { z } from 'zod'
import { findPreference, preferenceTypes } from '../../alignment/index.ts'
import { ConfigError, didYouMean, parseConfig, withoutUndefined } from '../../core/index.ts'
import { preferenceSchema, promptSchema, ratingSchema, taskSettingFields } from '../../tasks/index.ts'
import { findRolloutObjective, rolloutObjectiveTypes } from './reinforcement/objectives.ts'

/** What an objective learns from: a key of `alignmentData`, or prompts that the model answers while it learns. */
export type DataKind = 'pairs' | 'ratings' | 'prompts'

export interface AlignObjective {
  type: string
  source: string
  summary: string
  /** Settings, without `type`. */
  config: z.ZodObject
  data: DataKind
  /** Default learning rate with AdamW when all weights are trained. */
  learningRate: number
}

/** Names of all objectives, those that packages registered included. */
export const objectiveTypes = (): string[] => [...preferenceTypes(), ...rolloutObjectiveTypes()]

/** Every objective. */
export const alignObjectives = (): AlignObjective[] => objectiveTypes().map(findObjective)

/** The objective of this name. @throws ConfigError for an unknown name */
export const findObjective = (type: string): AlignObjective => {
  if (preferenceTypes().includes(type)) return findPreference(type)
  const found = findRolloutObjective(type)
  if (found !== undefined) return found
  const types = objectiveTypes()
  throw new ConfigError(
    `Expected one of ${types.join(', ')} for \`objective\`, got "${type}".${didYouMean(type, types)}`,
  )
}

/** The fields of all objectives' settings, optional and without defaults. */
export const objectiveFields = (): Record<string, z.ZodType> => {
  // Algorithms have one schema, which is listed once.
  const configs = new Set(alignObjectives().map(({ config }) => config))
  return taskSettingFields([...configs].map((config) => ({ config })))
}

/** The settings of an objective, checked and with all defaults. @throws ConfigError for settings that it does not have */
export const objectiveConfig = (objective: AlignObjective, settings: object): Record<string, unknown> =>
  parseConfig(objective.config, withoutUndefined(settings), objective.type)

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
