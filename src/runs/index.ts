// Runs as functions, for the command line and for programs.
export { type BuiltRun, buildRun } from './build-run.ts'
export { execute, MODEL_FOLDER, readRecipe, RUN_FILE, type RunListener, type RunResult } from './execute.ts'
export { type ResumeProof, pretrain, resume, verifyResume } from './pretrain.ts'
export { modelSchema, type PretrainInput, type PretrainRecipe, pretrainSchema } from './recipe.ts'
export { type SizeRule, sizeRule } from './size-rule.ts'
