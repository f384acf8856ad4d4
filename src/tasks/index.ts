// The registry of tasks, and what other folders may use of tasks, their metrics and their evaluation.

import { z } from 'zod'
import {
  ConfigError,
  type Definition,
  didYouMean,
  openEnum,
  openObject,
  parseConfig,
  Registry,
  unwrap,
  withoutUndefined,
} from '../core/index.ts'
import { extractiveQa } from './extractive-qa.ts'
import { generativeQa } from './generative-qa.ts'
import { instructions } from './instructions.ts'
import { multipleChoice } from './multiple-choice.ts'
import { regression } from './regression.ts'
import { reward } from './reward.ts'
import { sentenceSimilarity } from './sentence-similarity.ts'
import { sequenceClassification } from './sequence-classification.ts'
import { summarization } from './summarization.ts'
import type { TaskDefinition, TaskExample, TaskPrediction, TaskRecord } from './task.ts'
import { tokenClassification } from './token-classification.ts'

/**
 * The checked settings of a task: those of the model's fine-tuning, then those of a known data set, then the given ones, each
 * overriding the ones before.
 * @throws ConfigError for an unknown data set or wrong settings
 */
export const taskConfig = <Config extends object>(
  task: Pick<TaskDefinition<Config>, 'type' | 'config' | 'datasets'>,
  given: { [setting: string]: unknown } = {},
  dataset?: string,
  fineTuned: object = {},
): Config => {
  const known = Object.keys(task.datasets)
  if (dataset !== undefined && !known.includes(dataset))
    throw new ConfigError(
      `Expected a known data set of ${task.type} for \`dataset\` (${known.join(', ') || 'there is none'}), got "${dataset}".${didYouMean(dataset, known)}`,
    )
  const settings = dataset === undefined ? {} : task.datasets[dataset].settings
  return parseConfig(task.config, { ...fineTuned, ...settings, ...withoutUndefined(given) }, task.type)
}

/** The fields of all tasks' settings, optional and without defaults; a name that several tasks have accepts what any of them does. */
export const taskSettingFields = (tasks: readonly { config: unknown }[]): Record<string, z.ZodType> => {
  const fields = new Map<string, { schemas: z.ZodType[]; meta: z.GlobalMeta | undefined }>()
  for (const { config } of tasks)
    for (const [name, field] of Object.entries((config as z.ZodObject).shape as { [name: string]: z.ZodType })) {
      const known = fields.get(name) ?? { schemas: [], meta: field.meta() }
      known.schemas.push(unwrap(field))
      fields.set(name, known)
    }
  return Object.fromEntries(
    [...fields].map(([name, { schemas, meta }]): [string, z.ZodType] => [
      name,
      (schemas.length === 1 ? schemas[0] : z.union(schemas)).optional().meta({ ...meta }),
    ]),
  )
}

const registry = new Registry<Definition>('a task')

/** All tasks by `type`: the built-in ones, and those that packages register. */
export const tasks = registry.builtIn([
  extractiveQa,
  generativeQa,
  instructions,
  multipleChoice,
  regression,
  reward,
  sentenceSimilarity,
  sequenceClassification,
  summarization,
  tokenClassification,
])

/** Names of the built-in tasks. */
export type TaskType = keyof typeof tasks

/**
 * Adds a task that a package defines with `defineTask`, so that recipes, flags and evaluations accept its `type`.
 * Registering the same object again changes nothing.
 * @throws ConfigError for a `type` that is taken, or that no flag could have
 */
export const registerTask = <
  Config extends object,
  Record extends TaskRecord,
  Example extends TaskExample,
  Prediction extends TaskPrediction,
>(
  definition: TaskDefinition<Config, Record, Example, Prediction>,
): void => registry.register(definition)

/** The task of this name, with the types of its records left open. @throws ConfigError for an unknown name */
export const findTask = (type: string): TaskDefinition => {
  const found: unknown = registry.find(type)
  if (found !== undefined) return found as TaskDefinition
  throw new ConfigError(
    `Expected one of ${registry.types.join(', ')} for \`task\`, got "${type}".${didYouMean(type, registry.types)}`,
  )
}

/** Names of all tasks, in the order in which they were added. */
export const taskTypes = (): string[] => registry.types

/** Schema of a task's name. */
export const taskTypeSchema = openEnum<TaskType>(taskTypes)

/** Schema of the settings of any task, all optional and without defaults: for flags, until `taskConfig` checks them. */
export const anyTaskSettings = openObject(() => taskSettingFields(registry.types.map(findTask)))

export {
  type EvaluatedRecords,
  type EvaluateTaskSettings,
  evaluateRecords,
  evaluateTask,
  evaluateTaskSchema,
  type PredictionResult,
  predictTask,
  scoreRecords,
  scoresOf,
  type TaskHooks,
  type TaskResult,
  type TaskSummary,
  taskMaxLength,
} from './evaluation/evaluate-task.ts'
export { largestRecords } from './evaluation/predict-from-logits.ts'
export { readPredictions } from './evaluation/read-predictions.ts'
export type { QuestionExample, QuestionRecord, SpanPrediction } from './extractive-qa.ts'
export { type AnswerExample, createAnswerCriterion } from './generative/answer-criterion.ts'
export type { GeneratedPrediction } from './generative/answer-scores.ts'
export type { GenerativeRecord } from './generative/generative-task.ts'
export type { Turn, TurnRole } from './generative/turns.ts'
export { benchmarkNames, findHarnessTasks, harnessMetricName, isTaskFile } from './harness/benchmarks/index.ts'
export {
  evaluateHarness,
  type HarnessExample,
  type HarnessHooks,
  type HarnessSettings,
  type HarnessTaskResult,
  harnessSchema,
  prepareHarness,
} from './harness/evaluate-harness.ts'
export { type HarnessSource, hubBenchmarks } from './harness/rows.ts'
export { defineHarnessTask, type HarnessTask, type HarnessTaskInput } from './harness/task-file.ts'
export type { LanguageSource } from './language-modelling/documents.ts'
export {
  type EvaluationHooks,
  evaluateLanguageModelling,
  type LanguageModellingResult,
} from './language-modelling/evaluate.ts'
export {
  evaluateMinimalPairs,
  type MinimalPair,
  type MinimalPairsHooks,
  type MinimalPairsResult,
  minimalPairsSchema,
  readMinimalPairs,
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
export type { ScoredModel } from './language-modelling/scoring.ts'
export { type LanguageModellingSettings, languageModellingSchema } from './language-modelling/settings.ts'
export { expectPositions } from './learning/batches.ts'
export { classNumberNote } from './learning/label-set.ts'
export {
  addSums,
  addTargets,
  noTargets,
  priorLogits,
  type RowTargets,
  scaleSums,
  type TargetKind,
  type TargetSums,
} from './learning/prior.ts'
export {
  type BootstrapOptions,
  bootstrapFields,
  bootstrapMean,
  bootstrapRatio,
  type Interval,
  quantile,
  type Stratum,
} from './metrics/bootstrap.ts'
export { type EntityScheme, type EntitySpan, entitySpans } from './metrics/entity-scores.ts'
export { findTextMetric, registerMetric, type TextMetric, textMetricNames } from './metrics/index.ts'
export {
  type Difference,
  pairedDifferences,
  type ScoreIntervals,
  scoreIntervals,
  scoreIntervalsByTurns,
  scoresWithoutIntervals,
} from './metrics/resampling.ts'
export { GrowingList, type ScoredUnits, type Scores } from './metrics/scored-units.ts'
export {
  defineMetric,
  type MetricAccumulator,
  type MetricDefinition,
  type MetricOptions,
  type TextPair,
} from './metrics/text-metric.ts'
export { type ScoreTextsOptions, scoreTexts } from './metrics/text-scores.ts'
export { spacedWords } from './metrics/white-space.ts'
export type { ChoiceExample, ChoicePrediction, ChoiceRecord } from './multiple-choice.ts'
export {
  type CompletionEncoder,
  type CompletionEncoderOptions,
  type CompletionExample,
  createCompletionEncoder,
} from './preferences/completion-encoder.ts'
export {
  type ComparisonSettings,
  type PreferenceSettings,
  pairsOf,
  readComparisons,
  readPreferences,
} from './preferences/read-comparisons.ts'
export { type PromptForm, type PromptSettings, readPrompts } from './preferences/read-prompts.ts'
export { type RatingSettings, readRatings } from './preferences/read-ratings.ts'
export { preferenceSchema, promptSchema, ratingSchema } from './preferences/settings.ts'
export { expectFewSkipped } from './preferences/sift.ts'
export {
  type ComparisonRecord,
  contentOf,
  type PreferenceRecord,
  type PromptRecord,
  type PromptText,
  type RatingRecord,
  type ScoredAnswer,
  turnsOf,
} from './preferences/texts.ts'
export { settingFlag } from './records/columns.ts'
export {
  firstRecords,
  isStreaming,
  limitedRecords,
  openRecords,
  type RecordSource,
  recordsInMemory,
  regrouped,
  streaming,
} from './records/record-source.ts'
export type { ReadReport, Skipped } from './records/row.ts'
export {
  countingRecords,
  mergeStatistics,
  type RecordStatistics,
  type StatisticsCounter,
  statisticsOf,
} from './records/statistics.ts'
export { hasColumns, readTextColumn } from './records/text-columns.ts'
export type { RegressionExample, RegressionPrediction, RegressionRecord } from './regression.ts'
export type { RewardPrediction, RewardRecord } from './reward.ts'
export type {
  ClassificationExample,
  ClassificationPrediction,
  ClassificationRecord,
} from './sequence-classification.ts'
export {
  type AnswerLoss,
  type Baseline,
  type DatasetDeclaration,
  type DiscriminativeTask,
  defineTask,
  type ExampleOutput,
  expectDiscriminative,
  type GeneratedAnswer,
  type GenerativeTask,
  type Measured,
  type Measurement,
  type PreparedTask,
  type PrepareOptions,
  type ReadOptions,
  type Scorer,
  type TaskData,
  type TaskDefinition,
  type TaskExample,
  type TaskPrediction,
  type TaskRecord,
  type TextGenerationPlan,
} from './task.ts'
export type { TaggedExample, TaggedPrediction, TaggedRecord } from './token-classification.ts'
