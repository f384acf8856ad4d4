// The package's root: what most programs import from 'tunesmith'. Everything else is in subpaths, such as 'tunesmith/tensor'.

export { applyAdapter, defineAdapter, loadAdapter, registerAdapter, saveAdapter } from './adapters/index.ts'
export {
  defineEnvironment,
  defineReward,
  type Environment,
  type RewardFunction,
  type RewardSample,
  registerEnvironment,
  registerReward,
} from './alignment/index.ts'
export {
  type LoadModelOptions,
  loadModel,
  loadTokenizer,
  type ModelTokenizer,
  saveModel,
  type TokenBatch,
} from './checkpoint/index.ts'
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
export { encodeShards, openTokens } from './data/index.ts'
export {
  type AverageInput,
  type AverageResult,
  averageModels,
  type DropInput,
  type DropResult,
  dropAdapterLayers,
  type ExportInput,
  type ExportResult,
  exportModel,
  type KeepLayersInput,
  type KeepLayersResult,
  keepLayers,
  type MergeInput,
  type MergeResult,
  mergeModels,
  type StackInput,
  type StackResult,
  stackAdapters,
} from './export/index.ts'
export { embedTexts } from './features/index.ts'
export { type GenerationOptions, type GenerationResult, generate, streamText } from './generation/index.ts'
export {
  type Answer,
  type ChatInput,
  type Classification,
  Conversation,
  chat,
  compareMatrix,
  type Entity,
  type EvaluateInput,
  type EvaluateResult,
  evaluate,
  type FilledText,
  type JudgeInput,
  type JudgeResult,
  judgeAnswers,
  type MatrixInput,
  open,
  type PredictInput,
  predict,
  type ScoreInput,
  type ScoreResult,
  score,
  type TaskMatrix,
  TextModel,
} from './inference/index.ts'
export { buildModel, defineModel, Model, type ModelType, registerModel } from './models/index.ts'
export { DropoutMasks, withDropout } from './nn/index.ts'
export { defineObjective, registerObjective } from './objectives/index.ts'
export {
  type AlignInput,
  align,
  type Comparison,
  compareRuns,
  defineRun,
  type FinetuneInput,
  finetune,
  type MultitaskInput,
  multitask,
  openSpecialists,
  type PretrainInput,
  pretrain,
  type ResumeOptions,
  type RunListener,
  type RunResult,
  resume,
  Specialists,
  type SweepInput,
  type SweepResult,
  sweep,
  verifyResume,
} from './runs/index.ts'
export {
  defineHarnessTask,
  defineMetric,
  defineTask,
  type HarnessTaskInput,
  registerMetric,
  registerTask,
} from './tasks/index.ts'
export {
  Generator,
  keep,
  memoryStatistics,
  noGrad,
  scope,
  setMemoryLimit,
  setThreads,
  Tensor,
  tensor,
} from './tensor/public.ts'
export { saveTokenizer, Tokenizer, trainTokenizer } from './tokenizers/index.ts'
export { listRuns, summarizeRun, type TrainingEvent, writeReports } from './tracking/index.ts'
