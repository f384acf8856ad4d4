// Checkpoint formats and the Hub. Naming of functions: `load…` brings a model or tokenizer into memory, ready to use;
// `open…` gives a handle on a file that stays on disk; `read…` parses a file into plain data; `save…` writes a file or
// folder.

export { type GgufFile, type GgufTensor, openGguf } from './gguf.ts'
export { ggufPooling, scaledNormKey } from './gguf-encoders.ts'
export {
  type GgufName,
  type GgufSizes,
  hfKeysOf,
  inStoredOrder,
  llama3Divisors,
  ropeFactorNames,
} from './gguf-fields.ts'
export type { GgufValue } from './gguf-header.ts'
export { ggufNames, ggufToHf, type HfCheckpoint } from './gguf-model.ts'
export { type GgufTokenizer, ggufNormalizerKey, ggufPreTokenizer, ggufTokenizer } from './gguf-tokenizer.ts'
export { type GgufType, ggufType } from './gguf-types.ts'
export type { HfFields } from './hf-config.ts'
export { expandRules, fromHfKeys, joinFused, splitFused, toHfKeys } from './hf-keys.ts'
export { expectBaseAt, expectModelName, modelOfTask, type ResolveOptions, resolveModel, taskFolders } from './hub.ts'
export { isHubData, pinData, type ResolveDataOptions, resolveData } from './hub-dataset.ts'
export {
  type HubFile,
  type HubHooks,
  type PullInput,
  type PushInput,
  type PushResult,
  pullFolder,
  pushFolder,
} from './hub-push.ts'
export {
  describeModelLoad,
  expectWeightForm,
  type LoadedModel,
  type LoadModelOptions,
  loadModel,
  loadModelWithReport,
  loadWeightsInto,
  type ModelLoadReport,
  quantizedFormat,
  rememberSource,
  sourceOf,
  type WeightForm,
  weightForms,
} from './load-model.ts'
export { loadTokenizer, ModelTokenizer, type TokenBatch, type TokenBatchOptions } from './model-tokenizer.ts'
export { RowCache, rowKey } from './row-cache.ts'
export {
  makeSafetensorsHeader,
  openSafetensors,
  parseSafetensorsHeader,
  readSafetensorsHeader,
  type SafetensorsFile,
  type SafetensorsHeader,
  saveSafetensors,
  type TensorEntry,
  type WrittenFile,
} from './safetensors.ts'
export {
  extraTensors,
  hfState,
  hfStateOf,
  type SaveModelOptions,
  saveModel,
  shardName,
  writeShardIndex,
} from './save-model.ts'
export { writeSentenceSettings } from './sentence-settings.ts'
export {
  type ChangedVocabulary,
  growVocabulary,
  growVocabularySchema,
  type RowSource,
  resizeVocabulary,
  shrinkVocabulary,
  shrinkVocabularySchema,
  swapTokenizer,
  swapTokenizerSchema,
} from './vocabulary/change-vocabulary.ts'
export { addedTokens, expectTokenizerOf, expectVocabulary } from './vocabulary/vocabulary-record.ts'
export { refusePickle } from './weights.ts'
