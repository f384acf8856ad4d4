// Features of a frozen base, and models that learn from them. What other folders may use of it.
export { defaultCache } from './cache.ts'
export {
  type Embedded,
  type EmbedHooks,
  type EmbedSettings,
  embedSchema,
  embedTexts,
  embedWithRows,
} from './embed-texts.ts'
export { type Extracted, type ExtractOptions, extractFeatures, type FeatureSequence } from './extract.ts'
export {
  isFeatureModel,
  type LoadedBase,
  modelFilesHash,
  type OpenBase,
  type OpenedFeatureModel,
  openBase,
  openFeatureModel,
  saveFeatureModel,
} from './feature-model.ts'
export { type FeaturePooling, layerField, poolings } from './layers.ts'
export {
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
export { type LearnerType, learners } from './learners/index.ts'
export { type FeatureSettings, featureFields, featureSettings } from './settings.ts'
export { type VectorsOfTexts, vectorFormat, vectorSuffixes } from './vector-files.ts'
