// What models are asked to do and how well they do it. What other folders may use of tasks.

export { type EmbedHooks, type EmbedSettings, embedSchema, embedTexts } from './embedding.ts'
export type { LanguageSource } from './language-modelling/documents.ts'
export {
  type EvaluationHooks,
  evaluateLanguageModelling,
  type LanguageModellingResult,
} from './language-modelling/evaluate.ts'
export {
  evaluateMinimalPairs,
  type MinimalPairsHooks,
  type MinimalPairsResult,
  minimalPairsSchema,
} from './language-modelling/minimal-pairs.ts'
export { type MinimalPair, readMinimalPairs } from './language-modelling/read-pairs.ts'
export type { ScoredModel } from './language-modelling/scoring.ts'
export { type LanguageModellingSettings, languageModellingSchema } from './language-modelling/settings.ts'
export {
  type BootstrapOptions,
  bootstrapMean,
  bootstrapRatio,
  type Interval,
  type Stratum,
} from './metrics/bootstrap.ts'
