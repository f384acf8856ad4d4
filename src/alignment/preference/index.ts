// The registry of preference objectives, and what other folders use of them.
import type { z } from 'zod'
import { ConfigError, didYouMean, type Named, named, openUnion, Registry } from '../../core/index.ts'
import type { Criterion } from '../../objectives/index.ts'
import { alphaPo, cpo, orpo, simpo } from './free-objectives.ts'
import { kto } from './kto.ts'
import { discopop, dpo, dpoNorm, exo, hinge, ipo, ipoSum, robustDpo } from './margin-objectives.ts'
import type { PreferenceContext, PreferenceDefinition } from './objective.ts'
import type { PreferencePair, RatedCompletion } from './pairs.ts'
import { aot, aotUnpaired, apoDown, apoZero, bco, nca, sppo } from './reward-objectives.ts'

const registry = new Registry<PreferenceDefinition>('a preference objective')

/** Every preference objective by its `type`, those that packages registered included. */
export const preferences = registry.builtIn([
  dpo,
  robustDpo,
  dpoNorm,
  ipo,
  ipoSum,
  hinge,
  exo,
  discopop,
  nca,
  bco,
  apoZero,
  apoDown,
  sppo,
  aot,
  aotUnpaired,
  kto,
  simpo,
  cpo,
  alphaPo,
  orpo,
])
/** Names of the built-in preference objectives. */
export type PreferenceType = keyof typeof preferences

type Tagged<Definition> = Definition extends {
  type: infer Type extends string
  config: infer Schema extends z.ZodObject
}
  ? Named<Type, Schema>
  : never

const tagged = new Map<PreferenceDefinition, z.ZodObject>()
const schemaOf = (definition: PreferenceDefinition): z.ZodObject => {
  const known = tagged.get(definition) ?? named(definition.type, definition.config, 'preference objective')
  tagged.set(definition, known)
  return known
}

/** Settings of any preference objective, told apart by `type`. */
export const preferenceSchema = openUnion('type', () =>
  registry.list.map((definition) => schemaOf(definition) as Tagged<(typeof preferences)[PreferenceType]>),
)
/** Checked settings of a built-in preference objective, defaults filled in. */
export type PreferenceConfig = z.output<typeof preferenceSchema>
/** Settings of a built-in preference objective as a recipe writes them. */
export type PreferenceInput = z.input<typeof preferenceSchema>

/** Adds a preference objective to recipes and flags. @throws ConfigError for a `type` that is taken */
export const registerPreference = (definition: PreferenceDefinition): void => registry.register(definition)

/** Names of all preference objectives, in the order in which they were added. */
export const preferenceTypes = (): string[] => registry.types

/** The preference objective of this name. @throws ConfigError for an unknown name */
export const findPreference = (type: string): PreferenceDefinition => {
  const found = registry.find(type)
  if (found !== undefined) return found
  throw new ConfigError(
    `Expected one of ${registry.types.join(', ')} for the preference objective, got "${type}".${didYouMean(type, registry.types)}`,
  )
}

const wrongData = ({ type, data }: PreferenceDefinition, expected: PreferenceDefinition['data']): ConfigError =>
  new ConfigError(`Expected a preference objective on ${expected}, got \`${type}\`, which learns from ${data}.`)

/**
 * The criterion of an objective on pairs, for the training loop.
 * @throws ConfigError for settings that exclude each other, and without a reference where one is needed
 */
export const preferenceCriterion = (
  { type, ...config }: PreferenceConfig,
  context: PreferenceContext = {},
): Criterion<PreferencePair> => {
  const definition = findPreference(type)
  if (definition.data !== 'pairs') throw wrongData(definition, 'pairs')
  return definition.criterion(config, context)
}

/** The criterion of an objective on rated completions. @throws ConfigError as `preferenceCriterion` */
export const ratingCriterion = (
  { type, ...config }: PreferenceConfig,
  context: PreferenceContext = {},
): Criterion<RatedCompletion> => {
  const definition = findPreference(type)
  if (definition.data !== 'ratings') throw wrongData(definition, 'ratings')
  return definition.criterion(config, context)
}

export { assertEqualities, type StartEquality, type StartOptions, startEqualities } from '../start-equalities.ts'
export type {
  BatchLogProbs,
  PairDefinition,
  PairObjective,
  PairOptions,
  PairSide,
  PairValues,
  PreferenceContext,
  PreferenceDefinition,
  RatingDefinition,
  WholeBatch,
} from './objective.ts'
export { definePairs } from './pair-criterion.ts'
export { type PreferencePair, pairOf, type RatedCompletion } from './pairs.ts'
