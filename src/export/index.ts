// Models leave: one command, several formats, one proof that each computes the same.
export {
  type ExportedFile,
  type ExportHooks,
  type ExportInput,
  type ExportResult,
  exportModel,
  PROOF_FILE,
} from './export-model.ts'
export type { ExportSource, ExportTarget, ProofContext, ProofRow, WriteContext } from './export-target.ts'
export { chooseTarget, exportTargets, targetNames } from './targets.ts'
