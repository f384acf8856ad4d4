// What other folders may use of checkpoint.
export { type GgufFile, type GgufTensor, openGguf } from './gguf.ts'
export type { GgufValue } from './gguf-header.ts'
export { ggufToHf, type HfCheckpoint } from './gguf-model.ts'
export { type GgufTokenizer, ggufTokenizer } from './gguf-tokenizer.ts'
export type { HfFields } from './hf-config.ts'
export { expandRules, fromHfKeys, toHfKeys } from './hf-keys.ts'
export { type ResolveOptions, resolveModel } from './hub.ts'
export { loadTokenizer } from './load-tokenizer.ts'
export {
  describeOpening,
  loadInto,
  loadModel,
  type OpenedModel,
  type OpenOptions,
  type OpenReport,
  openModel,
  rememberSource,
  sourceOf,
} from './open-model.ts'
export { refusePickle } from './refuse-pickle.ts'
export {
  makeHeader,
  openSafetensors,
  parseHeader,
  readHeader,
  type SafetensorsFile,
  type SafetensorsHeader,
  saveSafetensors,
  type TensorEntry,
} from './safetensors.ts'
export { hfState, type SaveOptions, saveModel } from './save-model.ts'
