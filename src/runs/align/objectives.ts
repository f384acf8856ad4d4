// The objectives of alignment, of all families: preferences so far. Each says what data it learns from; nothing here knows a single one.

import type { z } from 'zod'
import { findPreference, type PreferenceDefinition, preferenceTypes } from '../../alignment/index.ts'
import { ConfigError, didYouMean, parseConfig } from '../../core/index.ts'
import { taskSettingFields } from '../../tasks/index.ts'

/** An objective of alignment. */
export interface AlignObjective {
  type: string
  source: string
  summary: string
  /** Settings, without `type`. */
  config: z.ZodObject
  /** What it learns from: a key of `alignmentData`. */
  data: PreferenceDefinition['data']
  learningRate: number
}

/** Names of all objectives, those that packages registered included. */
export const objectiveTypes = (): string[] => preferenceTypes()

/** Every objective. */
export const alignObjectives = (): AlignObjective[] => objectiveTypes().map(findObjective)

/** The objective of this name. @throws ConfigError for an unknown name */
export const findObjective = (type: string): AlignObjective => {
  const types = objectiveTypes()
  if (types.includes(type)) return findPreference(type)
  throw new ConfigError(
    `Expected one of ${types.join(', ')} for \`objective\`, got "${type}".${didYouMean(type, types)}`,
  )
}

/** The fields of all objectives' settings, optional and without defaults. */
export const objectiveFields = (): Record<string, z.ZodType> => taskSettingFields(alignObjectives())

/** The settings of an objective, checked and with all defaults. @throws ConfigError for settings that it does not have */
export const objectiveConfig = (objective: AlignObjective, settings: object): Record<string, unknown> =>
  parseConfig(
    objective.config,
    Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined)),
    objective.type,
  )
