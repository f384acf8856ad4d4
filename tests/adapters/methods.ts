// Shared by the tests of all methods: settings that exercise more than the defaults, and architectures that a method
// does not support.
import type { AdapterConfig, AdapterType } from '../../src/adapters/index.ts'
import type { ModelType } from '../../src/models/index.ts'

const configs: Partial<Record<AdapterType, object>> = {
  lora: { targets: 'all-linear', rank: 3 },
  adalora: { initialRank: 4, targetRank: 2 },
  loha: { rank: 3 },
  lokr: { rank: 2, decomposeBoth: true },
  vera: { rank: 6 },
  oft: { blockSize: 8 },
  'last-n-layers': { layers: 1 },
  houlsby: { size: 5 },
  pfeiffer: { size: 5 },
  parallel: { size: 5 },
  'prefix-tuning': { virtualTokens: 3 },
  'prompt-tuning': { virtualTokens: 3 },
}
export const configOf = (type: AdapterType) => ({ type, ...configs[type] }) as AdapterConfig

/** Errors of methods on architectures that they do not support; every other pair must work. */
export const refusals: Partial<Record<AdapterType, Partial<Record<ModelType, RegExp>>>> = {
  bitfit: { llama: /bias terms/, qwen3: /bias terms/, t5: /bias terms/ },
}
