// What other folders may use of checkpoint.
export { expandRules, fromHfKeys, toHfKeys } from './hf-keys.ts'
export {
  makeHeader,
  openSafetensors,
  parseHeader,
  readHeader,
  type SafetensorsFile,
  type SafetensorsHeader,
  type TensorEntry,
  writeSafetensors,
} from './safetensors.ts'
