// The registry of fine-tuning methods, and what other folders use of adapters.
import type { z } from 'zod'
import { ConfigError, openUnion, parseConfig, Registry } from '../core/index.ts'
import type { Model } from '../models/index.ts'
import type { AdapterDefinition } from './adapter.ts'
import { AppliedAdapter, type ApplyOptions, applyWith } from './apply.ts'
import { type AnyAdapter, adaptersOf } from './bank.ts'
import { fusion } from './bottleneck/fusion.ts'
import { houlsby } from './bottleneck/houlsby.ts'
import { parallel } from './bottleneck/parallel.ts'
import { pfeiffer } from './bottleneck/pfeiffer.ts'
import { ia3 } from './ia3/ia3.ts'
import { type LoadAdapterOptions, type LoadedAdapter, loadAdapterWith } from './load-adapter.ts'
import { lora } from './lora/lora.ts'
import { adalora } from './matrix-change/adalora.ts'
import { loha } from './matrix-change/loha.ts'
import { lokr } from './matrix-change/lokr.ts'
import { oft } from './matrix-change/oft.ts'
import { vera } from './matrix-change/vera.ts'
import { bitfit } from './selective/bitfit.ts'
import { full } from './selective/full.ts'
import { lastNLayers } from './selective/last-n-layers.ts'
import { linearProbe } from './selective/linear-probe.ts'
import { prefixTuning } from './virtual-tokens/prefix-tuning.ts'
import { promptTuning } from './virtual-tokens/prompt-tuning.ts'

const registry = new Registry<AdapterDefinition>('an adapter')

/** Every fine-tuning method by its `type`, those that packages registered included. */
export const adapters = registry.builtIn([
  full,
  linearProbe,
  bitfit,
  lastNLayers,
  lora,
  adalora,
  houlsby,
  pfeiffer,
  parallel,
  fusion,
  ia3,
  loha,
  lokr,
  vera,
  oft,
  prefixTuning,
  promptTuning,
])
/** Names of the built-in methods. */
export type AdapterType = keyof typeof adapters

/** Settings of any method, told apart by `type`. */
export const adapterSchema = openUnion('type', () =>
  registry.list.map(({ config }) => config as (typeof adapters)[AdapterType]['config']),
)
/** Checked settings of a built-in method, defaults filled in. */
export type AdapterConfig = z.output<typeof adapterSchema>
/** Settings of a built-in method as a caller writes them. */
export type AdapterInput = z.input<typeof adapterSchema>
/** Settings of each built-in method as a recipe writes them, without `type`, by method. */
export type AdapterSettings = { [Type in AdapterType]: Omit<z.input<(typeof adapters)[Type]['config']>, 'type'> }

/**
 * Adds a method to recipes, flags and files.
 * @throws ConfigError for a `type` that is taken
 */
export const registerAdapter = (definition: AdapterDefinition): void => registry.register(definition)

/** @throws ConfigError for settings that the method does not have or that have wrong values */
const checkedSettings = (config: AdapterInput): AdapterConfig => {
  const method = registry.list.find(({ type }) => type === config.type)
  const [given] = Object.keys(config).filter((name) => name !== 'type')
  // Such as full fine-tuning: the list of all settings that could be meant would be empty.
  if (method !== undefined && given !== undefined && Object.keys(method.config.shape).every((name) => name === 'type'))
    throw new ConfigError(
      `Expected no settings in \`adapter\` for \`variant\` ${method.type}, which has none, got \`${given}\`. Remove it, or choose another \`variant\`.`,
    )
  return parseConfig(adapterSchema, config, 'adapter')
}

/**
 * Freezes the base and adds a new adapter, which is active and trainable: gradients go to its `trainable` tensors
 * alone.
 * @throws ConfigError for settings that do not fit the method or the model
 */
export const applyAdapter = (model: Model, config: AdapterInput, options: ApplyOptions = {}): AppliedAdapter => {
  const checked = checkedSettings(config)
  return applyWith(registry.find(checked.type) as AnyAdapter, model, checked, options)
}

/**
 * Adds a new adapter, trainable but not active, beside those that the body has: theirs stay active. With it, several models
 * with heads of their own share one frozen base, such as a policy and its critic.
 * @param model the model with the head of the adapter; its body is that of the others
 * @throws ConfigError for settings that do not fit the method or the model, or a name that is taken
 */
export const addAdapter = (model: Model, config: AdapterInput, options: ApplyOptions = {}): AppliedAdapter => {
  const checked = checkedSettings(config)
  const definition = registry.find(checked.type) as AnyAdapter
  const { name = 'default', ...rest } = options
  const bank = adaptersOf(model)
  bank.add(definition, definition.resolveConfig?.(model, checked) ?? checked, { seed: 0, ...rest, name, model })
  return new AppliedAdapter(bank, name)
}

/**
 * Loads an adapter folder, PEFT's or ours, onto its base, which is a model in memory or is loaded too.
 * @throws CheckpointError that lists every tensor and field that does not fit, or is NaN or infinite
 */
export const loadAdapter = (folder: string, options: LoadAdapterOptions = {}): Promise<LoadedAdapter> =>
  loadAdapterWith(registry.list, folder, options)

export {
  type AdapterDefinition,
  type AttachContext,
  type Attachment,
  adapterFields,
  defineAdapter,
  type LowerAdapter,
  type MethodFamily,
  type MethodTraining,
  type Placement,
} from './adapter.ts'
export { EmbeddingAdversary } from './adversarial-embeddings.ts'
export { AppliedAdapter, type ApplyOptions } from './apply.ts'
export { type AdapterBank, adaptersOf } from './bank.ts'
export { addEmbeddingNoise } from './embedding-noise.ts'
export { LayerAdapter } from './layer-adapter.ts'
export {
  adapterFolders,
  adapterName,
  adapterWeightFiles,
  baseOfAdapter,
  isAdapterFolder,
  type LoadAdapterOptions,
  type LoadedAdapter,
} from './load-adapter.ts'
export { joinRows, type NamedLinear, namedLinears } from './peft/names.ts'
export { adapterRouting } from './routing.ts'
export { type SaveAdapterOptions, saveAdapter, writeStackFile } from './save-adapter.ts'
