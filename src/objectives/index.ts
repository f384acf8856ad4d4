// The registry of objectives, and what other folders may use of them.
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

export type { CausalExample } from './causal-lm.ts'
export type { MaskedExample } from './masked-lm.ts'
export { rowLengthFor } from './noise-spans.ts'
export {
  type AuxiliaryModel,
  type Batch,
  type CollateOptions,
  defineObjective,
  type LossOptions,
  type LossTerm,
  type Metric,
  type Objective,
  type ObjectiveContext,
  type ObjectiveDefinition,
  type TextRow,
  type Vocabulary,
} from './objective.ts'
export type { DetectionExample } from './replaced-token-detection.ts'
export type { PairExample } from './sentence-pretraining.ts'
export type { SpanExample } from './span-corruption.ts'
export { vocabularyOf } from './vocabulary.ts'
