// The registry of tasks: what models are asked to do, and how well they do it. What other folders may use of them.
import { extractiveQa } from './extractive-qa.ts'
import { generativeQa } from './generative-qa.ts'
import { instructions } from './instructions.ts'
import { multipleChoice } from './multiple-choice.ts'
import { regression } from './regression.ts'
import { sequenceClassification } from './sequence-classification.ts'
import { summarization } from './summarization.ts'
import { tokenClassification } from './token-classification.ts'

export const tasks = {
  'extractive-qa': extractiveQa,
  'generative-qa': generativeQa,
  instructions,
  'multiple-choice': multipleChoice,
  regression,
  'sequence-classification': sequenceClassification,
  summarization,
  'token-classification': tokenClassification,
} as const
export type TaskType = keyof typeof tasks

export {
  type EvaluateTaskSettings,
  evaluateTask,
  evaluateTaskSchema,
  type PredictionResult,
  predictTask,
  scoresOf,
  type TaskHooks,
  type TaskResult,
  taskMaxLength,
} from './evaluation/evaluate-task.ts'
export { readPredictions } from './evaluation/read-predictions.ts'
export type { QuestionExample, QuestionRecord, SpanPrediction } from './extractive-qa.ts'
export type { GeneratedPrediction as WrittenAnswer } from './generative/answer-scores.ts'
export type { GenerativeRecord } from './generative/generative-task.ts'
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
export {
  evaluateRankedChoices,
  type RankedChoicesHooks,
  type RankedChoicesResult,
  type RankedChoicesSettings,
  type RankedPrediction,
  rankedChoicesSchema,
  scoreRankedChoices,
} from './language-modelling/ranked-choices.ts'
export { type MinimalPair, readMinimalPairs } from './language-modelling/read-pairs.ts'
export type { ScoredModel } from './language-modelling/scoring.ts'
export { type LanguageModellingSettings, languageModellingSchema } from './language-modelling/settings.ts'
export { expectPositions } from './learning/max-length.ts'
export { priorLogits } from './learning/prior.ts'
export type { RowTargets, TargetKind } from './learning/row-targets.ts'
export {
  type BootstrapOptions,
  bootstrapMean,
  bootstrapRatio,
  type Interval,
  type Stratum,
} from './metrics/bootstrap.ts'
export { type EntityScheme, type EntitySpan, entitySpans } from './metrics/entity-spans.ts'
export { type Difference, pairedDifferences, type ScoreIntervals, scoreIntervals } from './metrics/resampling.ts'
export type { ScoredUnits, Scores } from './metrics/scored-units.ts'
export type { TextPair } from './metrics/text-metric.ts'
export {
  type ScoreTextsOptions,
  scoreTexts,
  type TextMetric,
  textMetricNames,
  textMetrics,
} from './metrics/text-scores.ts'
export type { ChoiceExample, ChoicePrediction, ChoiceRecord } from './multiple-choice.ts'
export type { ReadReport, Skipped } from './records/read-report.ts'
export type { RegressionExample, RegressionPrediction, RegressionRecord } from './regression.ts'
export type {
  ClassificationExample,
  ClassificationPrediction,
  ClassificationRecord,
} from './sequence-classification.ts'
export {
  type Baseline,
  type DatasetDeclaration,
  type DiscriminativeTask,
  defineTask,
  type ExampleOutput,
  expectDiscriminative,
  type GeneratedAnswer,
  type GenerativeTask,
  type PreparedTask,
  type PrepareOptions,
  type ReadOptions,
  type TaskData,
  type TaskDefinition,
  type TaskExample,
  type TaskPrediction,
  type TaskRecord,
} from './task.ts'
export { allTaskSettings, taskConfig } from './task-config.ts'
export type { TaggedExample, TaggedPrediction, TaggedRecord } from './token-classification.ts'
