// The registry of ways to adapt a model, and what other folders may use of adapters.
import type { Model } from '../models/index.ts'
import { type Applied, type ApplyOptions, applyWith, definitionOf } from './apply.ts'
import type { AnyAdapter } from './bank.ts'
import { lora } from './lora.ts'

export const adapters = { lora } as const
export type AdapterType = keyof typeof adapters

export type AdapterConfig = { type: AdapterType } & Record<string, unknown>

/**
 * Freezes the base and adds a fresh adapter, active and trained: gradients go to `trainable` alone.
 * @throws ConfigError for a config that does not fit the method or the model
 */
export const applyAdapter = (model: Model, config: AdapterConfig, options: ApplyOptions = {}): Applied => {
  const { type, ...rest } = config
  return applyWith(definitionOf(adapters as Record<string, AnyAdapter>, type), model, rest, options)
}

export type { AdapterDefinition } from './adapter.ts'
export { Applied, type ApplyOptions } from './apply.ts'
export { type AdapterBank, adaptersOf } from './bank.ts'
