// The registry of objectives, and what other folders may use of them.
import { z } from 'zod'
import { causalLm } from './causal-lm.ts'
import { maskedLm } from './masked-lm.ts'
import { replacedTokenDetection } from './replaced-token-detection.ts'
import { sentencePretraining } from './sentence-pretraining.ts'
import { spanCorruption } from './span-corruption.ts'

export const objectives = {
  'causal-lm': causalLm,
  'masked-lm': maskedLm,
  'replaced-token-detection': replacedTokenDetection,
  'sentence-pretraining': sentencePretraining,
  'span-corruption': spanCorruption,
} as const
export type ObjectiveType = keyof typeof objectives

const entry = <Type extends ObjectiveType>(type: Type) => {
  const shape: z.core.$ZodLooseShape = { type: z.literal(type).describe(`what is learnt: ${type}`) }
  const tagged: unknown = (objectives[type].config as unknown as z.ZodObject).safeExtend(shape)
  return tagged as z.ZodObject<{ type: z.ZodLiteral<Type> }, z.core.$loose>
}

/** Any objective's config, told apart by `type`. */
export const objectiveSchema = z.discriminatedUnion('type', [
  entry('causal-lm'),
  entry('masked-lm'),
  entry('replaced-token-detection'),
  entry('sentence-pretraining'),
  entry('span-corruption'),
])
export type ObjectiveConfig = z.output<typeof objectiveSchema>

export type { CausalExample } from './causal-lm.ts'
export { accuracyOf, vocabularyHead, vocabularyLoss, wrongHead } from './language-loss.ts'
export type { MaskedExample } from './masked-lm.ts'
export { rowLengthFor } from './noise-spans.ts'
export {
  type AuxiliaryModel,
  type Batch,
  type CollateOptions,
  type Criterion,
  defineObjective,
  type LossOptions,
  type LossTerm,
  type Metric,
  mustPad,
  type Objective,
  type ObjectiveContext,
  type ObjectiveDefinition,
  positionsIn,
  type TextRow,
  type VocabularyFacts,
} from './objective.ts'
export type { DetectionExample } from './replaced-token-detection.ts'
export type { PairExample } from './sentence-pretraining.ts'
export { type PlacedBatch, placeSequences, placesOf, type Sequences, spread, toInt64 } from './sequences.ts'
export type { SpanExample } from './span-corruption.ts'
export { vocabularyFacts } from './vocabulary.ts'
