// The settings of learning from features: which vectors of the base, and the learner with its own settings.
import { z } from 'zod'
import { ConfigError, openEnum, parseConfig } from '../core/index.ts'
import { layerField, poolings } from './layers.ts'
import type { ProblemKind } from './learner.ts'
import { findLearner, type LearnerType, learnerTypes } from './learners/index.ts'

const fields = {
  layer: layerField.default('last'),
  pooling: z
    .enum(poolings)
    .optional()
    .describe(
      "pooling of a text's token vectors into one (default: mean; tasks that label tokens always use `tokens`)",
    ),
  pairs: z
    .enum(['together', 'separate'])
    .default('together')
    .describe('two texts of a record: together in one sequence, or separate, with u, v, |u-v| and u*v as features'),
  standardize: z
    .boolean()
    .default(false)
    .describe('scale each feature to mean 0 and standard deviation 1 on the training data'),
  batchTokens: z.int().positive().default(4096).describe('tokens per batch through the base'),
  cache: z
    .string()
    .optional()
    .describe("folder of the feature cache (default: tunesmith/features in the user's cache)"),
}
const shared = z.strictObject(fields)

/** Checked settings of learning from features. */
export type FeatureSettings = z.output<typeof shared> & {
  learner: string
  /** The learner's own settings. */
  settings: object
}

/** Settings that all learners share, and the choice of the learner. */
export const featureFields = shared.extend({
  learner: openEnum<LearnerType>(learnerTypes)
    .optional()
    .describe('learner on the features (default: the first of these that supports the task)'),
})

/** Checks flat settings, those of the features and those of the learner together. @throws ConfigError for a learner without support for `kind` */
export const featureSettings = (given: Record<string, unknown>, kind: ProblemKind): FeatureSettings => {
  const { learner: named, ...rest } = given
  const able = learnerTypes()
    .map(findLearner)
    .filter(({ kinds }) => kinds.includes(kind))
  const definition = named === undefined ? able[0] : findLearner(String(named))
  if (!definition.kinds.includes(kind))
    throw new ConfigError(
      `Expected a learner for ${describeKind[kind]} (${able.map(({ type }) => type).join(', ')}) for \`adapter.learner\`, got ${definition.type}.`,
    )
  const own = (definition.config as z.ZodObject).shape
  const schema = z.strictObject({ ...fields, ...own })
  const parsed = parseConfig(schema, rest, 'adapter') as Record<string, unknown>
  const pick = (names: object) => Object.fromEntries(Object.entries(parsed).filter(([name]) => name in names))
  return { ...(pick(fields) as z.output<typeof shared>), learner: definition.type, settings: pick(own) }
}

const describeKind: Record<ProblemKind, string> = {
  class: 'classes',
  labels: 'several labels at once',
  number: 'numbers',
}
