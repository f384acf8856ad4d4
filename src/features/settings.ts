// What a user may say of learning from features: whose vectors, and the learner with its own settings. Knows no learner by name.
import { z } from 'zod'
import { ConfigError, didYouMean, parseConfig, show } from '../core/index.ts'
import { layerField, poolings } from './layers.ts'
import type { LearnerDefinition, ProblemKind } from './learner.ts'
import { learners } from './learners/index.ts'

const fields = {
  layer: layerField.default('last'),
  pooling: z
    .enum(poolings)
    .optional()
    .describe("how a text's tokens become one vector; the mean unless given. Tasks about tokens use `tokens`, always"),
  pairs: z
    .enum(['together', 'apart'])
    .default('together')
    .describe('two texts of a record: in one sequence, or apart, where u, v, |u-v| and u*v are the features'),
  standardize: z
    .boolean()
    .default(false)
    .describe('every feature with mean 0 and deviation 1, as measured on what is learnt from'),
  batchTokens: z.int().positive().default(4096).describe('tokens that go through the base at once'),
  cache: z.string().optional().describe("folder for features; the user's cache unless given"),
}
const shared = z.strictObject(fields)

export type FeatureSettings = z.output<typeof shared> & {
  learner: string
  /** The learner's own. */
  settings: object
}

const all: Record<string, LearnerDefinition> = learners as unknown as Record<string, LearnerDefinition>

/** What every learner's settings stand beside. */
export const featureFields = shared.extend({
  learner: z
    .enum(Object.keys(all) as [string, ...string[]])
    .optional()
    .describe('what learns from the features; the first of these that can learn the problem unless given'),
})

/** @throws ConfigError for a learner that is not there */
export const findLearner = (type: string): LearnerDefinition => {
  if (Object.hasOwn(all, type)) return all[type]
  const names = Object.keys(all)
  throw new ConfigError(
    `Expected one of ${names.map((name) => `\`${name}\``).join(', ')} for \`adapter.learner\`, got ${show(type)}.${didYouMean(type, names)}`,
  )
}

/** Checks settings that lie flat beside each other: those of features and of the learner. */
export const featureSettings = (given: Record<string, unknown>, kind: ProblemKind): FeatureSettings => {
  const { learner: named, ...rest } = given
  const able = Object.values(all).filter(({ kinds }) => kinds.includes(kind))
  const definition = named === undefined ? able[0] : findLearner(String(named))
  if (!definition.kinds.includes(kind))
    throw new ConfigError(
      `Expected a learner of ${describeKind[kind]} (${able.map(({ type }) => type).join(', ')}) for \`adapter.learner\`, got ${definition.type}.`,
    )
  const own = (definition.config as unknown as z.ZodObject).shape
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
