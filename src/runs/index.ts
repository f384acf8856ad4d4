// Runs as functions: pretraining, fine-tuning, resuming, comparing, sweeping, and specialists on one base. The exports of runs.

export { modelFiles, runFiles } from '../tracking/index.ts'
export { align } from './align/align.ts'
export {
  evaluatePreferences,
  type PreferenceKind,
  type PreferenceMargin,
  type PreferenceReport,
  preferenceRunOf,
  readPreferenceMargins,
  type ScoredAnswerText,
} from './align/evaluate-preferences.ts'
export { alignObjectives, columnFields as preferenceColumnFields } from './align/objectives.ts'
export { type AlignRecipe, alignSchema } from './align/recipe.ts'
export {
  browseRollouts,
  type RolloutQuery,
  rolloutForms,
  rolloutQuerySchema,
  writeRollouts,
} from './align/reinforcement/browse-rollouts.ts'
export {
  isReplay,
  loadRolloutTokenizer,
  type ReplayedRow,
  type ReplayInput,
  replayRollouts,
  replaySchema,
} from './align/reinforcement/replay-rollouts.ts'
export { BatchRowsProcess } from './batch-rows/batch-rows-process.ts'
export type { BatchPart, BatchRow, BatchRows } from './batch-rows/batch-rows-types.ts'
export { BatchReader } from './batch-rows/read-batch.ts'
export {
  type ComparedReference,
  type ComparedRun,
  type ComparedSample,
  type CompareOptions,
  type Comparison,
  compareRuns,
  shortNames,
} from './compare/compare.ts'
export { comparisonTables, renderComparisonPage, rewardTable, verdictsOf } from './compare/page.ts'
export type { RewardChart, RewardChartPoint } from './compare/run-costs.ts'
export {
  type ComparedDifference,
  comparePredictions,
  openScoredRuns,
  type PredictionPair,
  type PredictionPairs,
  type ScoredRun,
  scoredRecords,
} from './compare/scored-run.ts'
export {
  type AlignDefinition,
  defineRun,
  type FinetuneDefinition,
  type RecipeCode,
  type TaskCode,
} from './define-run.ts'
export { dataSetsOf } from './engine/data-sets.ts'
export {
  type CardFacts,
  type Evaluation,
  publicName,
  type ReferenceScores,
  readCardFacts,
  readEvaluation,
} from './engine/evaluation-files.ts'
export { execute } from './engine/execute.ts'
export { hasRecipeFunctions } from './engine/recipe-functions.ts'
export type { BuiltRun, ModelInTraining, ModelVisitor, RunListener, RunRecipe, RunResult } from './engine/run-kind.ts'
export { isFinished, sessionSeconds } from './engine/run-record.ts'
export type { CallbackContext, RecipeCallback, StopContext, StopRule } from './engine/user-code.ts'
export { finetune } from './finetune/finetune.ts'
export { type FinetuneRecipe, finetuneSchema } from './finetune/recipe.ts'
export {
  readTask,
  type SavedSample,
  type SpecialistTask,
  writeTask,
} from './finetune/specialist-files.ts'
export type { RecipeLoss, RecipeMetric, RecipeReader } from './finetune/user-task.ts'
export {
  type DataInspection,
  type Finding,
  type InspectDataInput,
  type InspectedPart,
  type InspectionHooks,
  inspectData,
  inspectDataSchema,
  type Lengths,
  type Overlap,
  type RecordPair,
} from './inspect/inspect-data.ts'
export {
  dataOfRecipe,
  inspectRecipeRecords,
  type RecipeData,
  type RecordReading,
  readRecipeRecords,
  type TaskReading,
} from './inspect/recipe-data.ts'
export {
  renderInspection as renderDataInspection,
  renderInspectionPage as renderDataInspectionPage,
} from './inspect/render-inspection.ts'
export { type RunStart, readRunRecipe, startOf } from './kinds.ts'
export { multitask } from './multitask/multitask.ts'
export { type MultitaskRecipe, multitaskSchema } from './multitask/recipe.ts'
export { calibratePlans, type LearnedCalibration, readRunPlan, type StartedPlan } from './plan/finished-plan.ts'
export type { Fit } from './plan/fit.ts'
export { acceleratorNames, interconnectNames, type Network, type NetworkSettings } from './plan/machines.ts'
export { collectivesTable, describePeak, peakHolders, planFacts, planTable, renderPlanPage } from './plan/page.ts'
export { type PlannedRow, type PlanOptions, planRun, type RunPlans } from './plan/plan.ts'
export type { RunPlan } from './plan/plan-run.ts'
export {
  planScaling,
  type ScalingInput,
  type ScalingResult,
  type ScalingRun,
} from './plan/plan-scaling.ts'
export { planSweep } from './plan/plan-sweep.ts'
export {
  type Bounded,
  boundedBy,
  fitScalingLaw,
  lossOf,
  optimalSplit,
  type ScalingFit,
  type ScalingLaw,
  type ScalingPoint,
} from './plan/scaling-law.ts'
export type { Limits, Prices, RunCosts, Speed } from './plan/speed.ts'
export type { PlannedCollectives, ProcessPlan, StepTime } from './plan/step-time.ts'
export { openPretrainingRows, type PretrainingRow, type PretrainingRows } from './pretrain/browse-rows.ts'
export { buildRun, pretrain } from './pretrain/pretrain.ts'
export { modelSchema, type PretrainRecipe, pretrainSchema, type SizeRule, sizeRule } from './pretrain/recipe.ts'
export { recipeParts } from './recipe-parts.ts'
export {
  type RecipeCommand,
  recipeFaults,
  recipeFormSchemas,
  recipeJsonSchema,
  type SchemaPart,
} from './recipe-schema.ts'
export type * from './recipe-types/index.ts'
export { type ResumeOptions, type ResumeProof, resume, verifyResume } from './resume.ts'
export { findRunModel, listRunModels, parseRunReference, type RunModel, type RunReference } from './run-models.ts'
export {
  type AttachedSpecialist,
  type SharedBase,
  type SpecialistKind,
  specialistKindOf,
} from './specialists/attach.ts'
export {
  fineTunedTask,
  openSpecialists,
  type QueryError,
  type QueryOptions,
  type SpecialistAnswer,
  type SpecialistChoice,
  type SpecialistQuery,
  Specialists,
} from './specialists/specialists.ts'
export { runInSubprocess } from './subprocess/run-in-subprocess.ts'
export { parseRange, type SearchRange, type SweepAxes } from './sweep/points.ts'
export { readSweep, type SweepState, type SweepTrial } from './sweep/read-sweep.ts'
export type { SweepListener, SweptRun } from './sweep/run-points.ts'
export { type SearchInput, searchSchema } from './sweep/search/methods.ts'
export type { SearchTrial } from './sweep/search/run-search.ts'
export { replicateKeys, type SweepSetting, unrankedReason } from './sweep/summary.ts'
export { type SweepInput, type SweepResult, sweep } from './sweep/sweep.ts'
export { useModules, useModulesOf } from './use-modules.ts'
