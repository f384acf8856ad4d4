// The registry of pretraining objectives, and what other folders use of them.
import type { z } from 'zod'
import { type Named, named, openUnion, Registry } from '../core/index.ts'
import { causalLm } from './causal-lm.ts'
import { maskedLm } from './masked-lm.ts'
import type { ObjectiveDefinition } from './objective.ts'
import { replacedTokenDetection } from './replaced-token-detection.ts'
import { sentencePretraining } from './sentence-pretraining.ts'
import { spanCorruption } from './span-corruption.ts'

const registry = new Registry<ObjectiveDefinition>('an objective')

/** Every objective by its `type`, those that packages registered included. */
export const objectives = registry.builtIn([
  causalLm,
  maskedLm,
  replacedTokenDetection,
  sentencePretraining,
  spanCorruption,
])
/** Names of the built-in objectives. */
export type ObjectiveType = keyof typeof objectives

type Tagged<Definition> = Definition extends ObjectiveDefinition<infer Schema, infer Type> ? Named<Type, Schema> : never

const tagged = new Map<ObjectiveDefinition, z.ZodObject>()
const schemaOf = (definition: ObjectiveDefinition): z.ZodObject => {
  const known = tagged.get(definition) ?? named(definition.type, definition.config, 'pretraining objective')
  tagged.set(definition, known)
  return known
}

/** Settings of any objective, told apart by `type`. */
export const objectiveSchema = openUnion('type', () =>
  registry.list.map((definition) => schemaOf(definition) as Tagged<(typeof objectives)[ObjectiveType]>),
)
/** Checked settings of a built-in objective, defaults filled in. */
export type ObjectiveConfig = z.output<typeof objectiveSchema>
/** Settings of a built-in objective as a recipe writes them. */
export type ObjectiveInput = z.input<typeof objectiveSchema>

/**
 * Adds an objective to recipes and flags.
 * @throws ConfigError for a `type` that is taken
 */
export const registerObjective = (definition: ObjectiveDefinition): void => registry.register(definition)

export type { CausalExample } from './causal-lm.ts'
export {
  type Comparison,
  distillationTerm,
  distilled,
  divergenceNames,
  rowDivergence,
  type Teacher,
  teacherLogits,
  unlikely,
  vocabularyDivergence,
  withTeacher,
} from './distillation.ts'
export { accuracyOf, labelSmoothingField, vocabularyHead, vocabularyLoss, wrongHead } from './language-loss.ts'
export type { MaskedExample } from './masked-lm.ts'
export {
  type AuxiliaryModel,
  type Batch,
  type CarriedState,
  type CollateOptions,
  type Criterion,
  defineObjective,
  joinMetrics,
  type LossOptions,
  type LossTerm,
  type Metric,
  mustPad,
  type Objective,
  type ObjectiveContext,
  type ObjectiveDefinition,
  type PrepareContext,
  positionsIn,
  type ShareWork,
  sequenceLengths,
  sequencesIn,
  type TextRow,
  type VocabularyFacts,
} from './objective.ts'
export type { DetectionExample } from './replaced-token-detection.ts'
export type { PairExample } from './sentence-pretraining.ts'
export {
  inputAndTarget,
  type PlacedBatch,
  placeSequences,
  placesOf,
  type Sequences,
  type ShownTokens,
  sequencesOf,
  spread,
  toInt64,
  trainedFrom,
} from './sequences.ts'
export { type SharedRow, shareBeginnings, sharesPrompts } from './shared-prompts.ts'
export type { SpanExample } from './span-corruption.ts'
export { rowLengthFor } from './span-corruption.ts'
export { type SequenceView, type TokenView, viewExample } from './view-example.ts'
export { vocabularyFacts } from './vocabulary.ts'
