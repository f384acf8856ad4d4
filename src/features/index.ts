// Features (hidden states) of a frozen base model, and classical learners that are fitted on them: what other folders may use.
export {
  type Embedded,
  type EmbedHooks,
  type EmbedSettings,
  embedSchema,
  embedTexts,
  embedWithRows,
  maxTextTokens,
} from './embed-texts.ts'
export { defaultCache, type Extracted, type ExtractOptions, extractFeatures, type FeatureSequence } from './extract.ts'
export {
  type FeatureBase,
  isFeatureModel,
  type LoadedBase,
  type LoadedFeatureModel,
  loadBase,
  loadFeatureModel,
  modelFilesHash,
  saveFeatureModel,
} from './feature-model.ts'
export { type FeaturePooling, layerField, poolings } from './layers.ts'
export {
  type FeatureSettings,
  featureFields,
  featureSettings,
  type LearnableTask,
  type LearningResult,
  learnFromFeatures,
  learningProblem,
  predictFromFeatures,
  type TaskFeatures,
  taskFeatures,
  taskPooling,
} from './learn-from-features.ts'
export type {
  FeatureDataset,
  FitHooks,
  FittedLearner,
  LearnerDefinition,
  LearningProblem,
  ProblemKind,
} from './learner.ts'
export { defineLearner } from './learner.ts'
export { findLearner, type LearnerType, learners, registerLearner } from './learners/index.ts'
export { type VectorsOfTexts, vectorFormat, vectorSuffixes } from './vector-files.ts'
