// The package's front door: what users import from 'tunesmith'.
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
export { type ModelType, models } from './models/index.ts'
export * from './tensor/index.ts'
export { loadTokenizer, saveTokenizer, Tokenizer, trainTokenizer } from './tokenizers/index.ts'
