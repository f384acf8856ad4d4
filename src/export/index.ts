// Models leave: one command, several formats, one proof that each computes the same.
export {
  type ExportedFile,
  type ExportHooks,
  type ExportResult,
  exportModel,
  PROOF_FILE,
} from './export-model.ts'
export { type ExportInput, exportSchema } from './export-settings.ts'
export type { ExportSource, ExportTarget, ProofContext, ProofRow, WriteContext } from './export-target.ts'
export type { GreedySoup, SoupTrial } from './merge/average-models.ts'
export { type AverageInput, type AverageResult, averageModels, averageModelsSchema } from './merge/average-models.ts'
export {
  type DropInput,
  type DropResult,
  dropAdapterLayers,
  dropLayersSchema,
  type KeepLayersInput,
  type KeepLayersResult,
  keepLayers,
  keepLayersSchema,
} from './merge/keep-layers.ts'
export { type MergeMethod, mergeMethods } from './merge/merge-methods.ts'
export { type MergeHooks, type MergeInput, type MergeResult, mergeModels, mergeSchema } from './merge/merge-models.ts'
export { type StackInput, type StackResult, stackAdapters, stackAdaptersSchema } from './merge/stack-adapters.ts'
export { chooseTarget, exportTargets } from './targets.ts'
