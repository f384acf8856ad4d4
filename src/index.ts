// The package's front door: what users import from 'tunesmith'.

export { adapters, applyAdapter, loadAdapter, saveAdapter } from './adapters/index.ts'
export { loadModel, loadModelWithReport, loadTokenizer, saveModel } from './checkpoint/index.ts'
export {
  CheckpointError,
  ConfigError,
  DataError,
  NativeError,
  OutOfMemoryError,
  SetupError,
  ShapeError,
  TunesmithError,
} from './core/index.ts'
export { buildCorpus, inspectCorpus, readCorpus } from './corpus/index.ts'
export { encodeShards, mixture, openTokens } from './data/index.ts'
export { embedTexts } from './features/index.ts'
export { generate, streamText } from './generation/index.ts'
export { buildModel, Model, type ModelType, models } from './models/index.ts'
export {
  compareRuns,
  defineRun,
  type FinetuneInput,
  finetune,
  openSpecialists,
  type PretrainInput,
  pretrain,
  type RunResult,
  resume,
  type Specialists,
  sweep,
  verifyResume,
} from './runs/index.ts'
export { evaluateLanguageModelling, evaluateMinimalPairs } from './tasks/index.ts'
export * from './tensor/public.ts'
export { saveTokenizer, Tokenizer, trainTokenizer } from './tokenizers/index.ts'
export { listRuns, summarizeRun, writeReports } from './tracking/index.ts'
