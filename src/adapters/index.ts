// The registry of ways to adapt a model, and what other folders may use of adapters.
import { z } from 'zod'
import { parseConfig } from '../core/index.ts'
import type { Model } from '../models/index.ts'
import { type AppliedAdapter, type ApplyOptions, applyWith } from './apply.ts'
import type { AnyAdapter } from './bank.ts'
import { houlsby } from './bottleneck/houlsby.ts'
import { parallel } from './bottleneck/parallel.ts'
import { pfeiffer } from './bottleneck/pfeiffer.ts'
import { ia3 } from './ia3/ia3.ts'
import { type LoadAdapterOptions, type LoadedAdapter, loadAdapterWith } from './load-adapter.ts'
import { lora } from './lora/lora.ts'
import { bitfit } from './selective/bitfit.ts'
import { full } from './selective/full.ts'
import { lastNLayers } from './selective/last-n-layers.ts'
import { linearProbe } from './selective/linear-probe.ts'
import { prefixTuning } from './virtual-tokens/prefix-tuning.ts'
import { promptTuning } from './virtual-tokens/prompt-tuning.ts'

export const adapters = {
  full,
  'linear-probe': linearProbe,
  bitfit,
  'last-n-layers': lastNLayers,
  lora,
  houlsby,
  pfeiffer,
  parallel,
  ia3,
  'prefix-tuning': prefixTuning,
  'prompt-tuning': promptTuning,
} as const
export type AdapterType = keyof typeof adapters

/** Any adapter, told apart by `type`. */
export const adapterSchema = z.discriminatedUnion('type', [
  full.config,
  linearProbe.config,
  bitfit.config,
  lastNLayers.config,
  lora.config,
  houlsby.config,
  pfeiffer.config,
  parallel.config,
  ia3.config,
  prefixTuning.config,
  promptTuning.config,
])
export type AdapterConfig = z.output<typeof adapterSchema>

/**
 * Freezes the base and adds a fresh adapter, active and trained: gradients go to `trainable` alone.
 * @throws ConfigError for a config that does not fit the method or the model
 */
export const applyAdapter = (
  model: Model,
  config: z.input<typeof adapterSchema>,
  options: ApplyOptions = {},
): AppliedAdapter => {
  const checked = parseConfig(adapterSchema, config, 'adapter')
  return applyWith(adapters[checked.type] as AnyAdapter, model, checked, options)
}

/** Opens a folder of an adapter, PEFT's or ours, with its base. @throws CheckpointError that lists all that does not fit */
export const loadAdapter = (folder: string, options: LoadAdapterOptions = {}): Promise<LoadedAdapter> =>
  loadAdapterWith(adapters as Record<string, AnyAdapter>, folder, options)

export type { AdapterDefinition } from './adapter.ts'
export { AppliedAdapter, type ApplyOptions } from './apply.ts'
export { type AdapterBank, adaptersOf } from './bank.ts'
export { isAdapterFolder, type LoadAdapterOptions, type LoadedAdapter } from './load-adapter.ts'
export { type SaveAdapterOptions, saveAdapter } from './save-adapter.ts'
