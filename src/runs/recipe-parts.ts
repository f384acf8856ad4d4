// The parts of a recipe whose fields depend on a choice: `adapter` on `variant`, `settings` on `task`, `model.config` on `model.type`.
// Recipe types, JSON schemas and help follow from them.
import { z } from 'zod'
import { adapters } from '../adapters/index.ts'
import { unwrap } from '../core/index.ts'
import { featureFields, learners } from '../features/index.ts'
import { models } from '../models/index.ts'
import { tasks } from '../tasks/index.ts'
import { findObjective, objectiveTypes } from './align/objectives.ts'
import { alignSchema } from './align/recipe.ts'
import { finetuneSchema } from './finetune/recipe.ts'
import { multitaskSchema } from './multitask/recipe.ts'
import { pretrainSchema } from './pretrain/recipe.ts'

/** The schemas of a part by the choice that decides which of them applies. Every field is optional. */
export interface ChosenPart {
  /** Path of the key that decides. */
  choice: readonly string[]
  /** Path of the part. */
  part: readonly string[]
  schemas: Readonly<Record<string, z.ZodObject>>
}

/** A schema with optional fields, without the one that names the choice itself. */
const optionalFields = (config: unknown): z.ZodObject => {
  const { type: _, ...fields } = (unwrap(config as z.ZodType) as z.ZodObject).shape as z.ZodRawShape
  return z.strictObject(fields).partial()
}

/** The fields of every estimator beside those of the features. */
const featureSettings = (): z.ZodObject =>
  Object.values(learners).reduce<z.ZodObject>(
    (all, { config }) => all.extend(optionalFields(config).shape),
    optionalFields(featureFields),
  )

const schemasOf = (definitions: object): Record<string, z.ZodObject> =>
  Object.fromEntries(
    Object.entries(definitions).map(([type, { config }]: [string, { config: unknown }]) => [
      type,
      optionalFields(config),
    ]),
  )

/** The kinds of recipes, each with its schema and the parts that depend on a choice. Registered definitions are included. */
export const recipeParts = (): Record<
  'pretrain' | 'finetune' | 'multitask' | 'align',
  { schema: z.ZodObject; parts: ChosenPart[] }
> => ({
  pretrain: {
    schema: pretrainSchema,
    parts: [
      { choice: ['model', 'type'], part: ['model', 'config'], schemas: schemasOf(models) },
      { choice: ['variant'], part: ['adapter'], schemas: schemasOf(adapters) },
    ],
  },
  finetune: {
    schema: finetuneSchema,
    parts: [
      { choice: ['task'], part: ['settings'], schemas: schemasOf(tasks) },
      {
        choice: ['variant'],
        part: ['adapter'],
        schemas: { ...schemasOf(adapters), 'feature-based': featureSettings() },
      },
    ],
  },
  multitask: {
    schema: multitaskSchema,
    parts: [{ choice: ['variant'], part: ['adapter'], schemas: schemasOf(adapters) }],
  },
  align: {
    schema: alignSchema,
    parts: [
      {
        choice: ['objective'],
        part: ['settings'],
        schemas: Object.fromEntries(objectiveTypes().map((type) => [type, optionalFields(findObjective(type).config)])),
      },
      { choice: ['variant'], part: ['adapter'], schemas: schemasOf(adapters) },
    ],
  },
})
