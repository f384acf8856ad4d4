// Runs as functions, for the command line and for programs.

export { buildRun } from './build-run.ts'
export {
  type ComparedReference,
  type ComparedRun,
  type ComparedSample,
  type CompareOptions,
  type Comparison,
  compareRuns,
  comparison,
} from './compare.ts'
export { comparisonTables, renderComparisonPage } from './compare-page.ts'
export type { ComparedDifference } from './compare-pairs.ts'
export {
  EVALUATION_FILE,
  type Evaluation,
  type EvaluationInput,
  PREDICTIONS_FILE,
  type ReferenceScores,
  readEvaluation,
  writeEvaluation,
} from './evaluation-files.ts'
export { execute, MODEL_FOLDER, RUN_FILE, type RunListener, type RunResult, readRecipe } from './execute.ts'
export { finetune } from './finetune.ts'
export { type FinetuneInput, type FinetuneRecipe, finetuneSchema } from './finetune-recipe.ts'
export { pretrain } from './pretrain.ts'
export { defineRun, modelSchema, type PretrainInput, type PretrainRecipe, pretrainSchema } from './recipe.ts'
export { type ResumeProof, resume, verifyResume } from './resume.ts'
export { carryOutApart } from './run-apart.ts'
export { isFinished } from './run-folder.ts'
export type { BuiltRun, RunRecipe } from './run-kind.ts'
export { type SizeRule, sizeRule } from './size-rule.ts'
export { readTask, SAMPLES_FILE, type Sample, type SpecialistTask, TASK_FILE } from './specialist-files.ts'
export {
  type Answer,
  type AskOptions,
  openSpecialists,
  type Question,
  type SpecialistChoice,
  Specialists,
  taughtTask,
} from './specialists.ts'
export { type RunStart, startOf } from './starts.ts'
export { SWEEP_FILE, type SweepInput, type SweepListener, type SweepResult, type SweptRun, sweep } from './sweep.ts'
export type { SweepAxes } from './sweep-points.ts'
export type { SweepSetting } from './sweep-summary.ts'
export { variantSettings } from './variant-settings.ts'
