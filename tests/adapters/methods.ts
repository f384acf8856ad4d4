// Shared by the tests of all methods: settings that exercise more than the defaults, and architectures that a method
// does not support.
import { type AdapterConfig, type AdapterType, adaptersOf, applyAdapter } from '../../src/adapters/index.ts'
import type { Model, ModelType } from '../../src/models/index.ts'
import { Generator, noGrad } from '../../src/tensor/index.ts'

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

/** Adapters that a method stands on, on a model; none for most. */
export const belowOf = (type: AdapterType, model: Model): string[] =>
  type !== 'fusion'
    ? []
    : ['first', 'second'].map((name, seed) => {
        if (adaptersOf(model).has(name)) return name
        const applied = applyAdapter(model, { type: 'houlsby', size: 3 + seed, trainHead: false }, { name, seed })
        noGrad(() => {
          const generator = new Generator(seed)
          for (const value of applied.trainable.values())
            value.detach().add_(value.mul(0).normal_(0, 0.1, { generator }))
        })
        return name
      })
export const configOf = (type: AdapterType) => ({ type, ...configs[type] }) as AdapterConfig

/** Errors of methods on architectures that they do not support; every other pair must work. */
export const refusals: Partial<Record<AdapterType, Partial<Record<ModelType, RegExp>>>> = {
  bitfit: Object.fromEntries(
    [
      ...['gemma', 'gemma2', 'gemma3', 'llama', 'mistral', 'mixtral', 'modernbert', 'mt5'],
      ...['olmo2', 'phi3', 'qwen3', 'qwen3-moe', 'smollm3', 't5'],
    ].map((architecture) => [architecture, /bias terms/]),
  ),
  'prefix-tuning': Object.fromEntries(
    ['albert', 'mpnet', 'deberta-v2'].map((architecture) => [
      architecture,
      new RegExp(`which ${architecture} does not have\\. Choose another method, such as prompt-tuning\\.`),
    ]),
  ),
}
