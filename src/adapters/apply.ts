// An adapter on a model: its trainable tensors, and how it is activated, merged and removed. Independent of methods.
import { ConfigError } from '../core/index.ts'
import type { Model } from '../models/index.ts'
import { restoreState } from '../nn/index.ts'
import type { Tensor } from '../tensor/index.ts'
import type { AdapterDefinition, AnyConfig, AttachContext, MethodTraining, TrainingFacts } from './adapter.ts'
import { type AdapterBank, type AnyAdapter, adaptersOf } from './bank.ts'

/** An adapter on a model. */
export class AppliedAdapter {
  /** All adapters of the same body. */
  readonly bank: AdapterBank
  readonly name: string
  /** Name of a frozen copy of the values that training began with, where these are not those of the base alone. */
  readonly start: string | undefined

  constructor(bank: AdapterBank, name: string, { start }: { start?: string } = {}) {
    this.bank = bank
    this.name = name
    this.start = start
  }

  /** Its fine-tuning method. */
  get definition(): AdapterDefinition {
    return this.bank.get(this.name).definition
  }

  get config(): object {
    return this.bank.get(this.name).config
  }

  /** The model with the head of this adapter. */
  get model(): Model {
    return this.bank.get(this.name).model
  }

  /** Names of the frozen adapters that it stands on, lowest first. */
  get below(): readonly string[] {
    return this.bank.get(this.name).below
  }

  /** Its tensors by their paths in the model while it is active: everything that is trained and saved. */
  get trainable(): Map<string, Tensor> {
    return this.bank.tensorsOf(this.name)
  }

  /** Number of trainable parameters. */
  get parameterCount(): number {
    let count = 0
    for (const { size } of this.trainable.values()) count += size
    return count
  }

  /** Whether it is active. */
  get active(): boolean {
    return this.bank.active.includes(this.name)
  }

  /** Whether it is part of the base's matrices now. */
  get merged(): boolean {
    return this.bank.isMerged(this.name)
  }

  /** Whether the base itself is trained. */
  get inPlace(): boolean {
    return this.bank.get(this.name).definition.inPlace ?? false
  }

  /** Positions of the model that it uses in front of every row. */
  get virtualTokens(): number {
    return this.bank.get(this.name).attachment.virtualTokens ?? 0
  }

  /** Default learning rate with AdamW. */
  get learningRate(): number {
    return this.bank.get(this.name).definition.learningRate
  }

  /** Makes it the only active adapter, or none with `false`. @returns the model to use */
  enable(on = true): Model {
    return this.bank.activate(on ? this.name : undefined)
  }

  /** Names of the adapters that training began with: those below it, or the copy of it as it was. */
  get startNames(): readonly string[] {
    return this.start === undefined ? this.below : [this.start]
  }

  /** Makes what training began with active: the base with the adapters below, or with the copy as it was. @returns the model to use */
  enableStart(): Model {
    return this.bank.activate(this.startNames)
  }

  /**
   * Adds its change, and that of the adapters below it, to the base's own matrices; `saveModel` then writes a plain folder.
   * @throws ConfigError if the method or base does not allow it
   */
  merge(): void {
    this.#refuseInPlace('merge')
    this.bank.activate(this.name, { merged: [this.name] })
  }

  /** Undoes `merge`: the base has its original tensors again. */
  unmerge(): void {
    this.#refuseInPlace('unmerge')
    this.bank.activate(this.name, { merged: [] })
  }

  /** Takes it out of the first layers of the model for good, which makes it faster (AdapterDrop). @throws ConfigError for other methods than bottlenecks */
  dropLayers(layers: number): void {
    this.bank.dropLayers(this.name, layers)
  }

  /** Removes it from the model; the base is as it was before. */
  remove(): void {
    this.#refuseInPlace('remove')
    this.bank.remove(this.name)
  }

  /**
   * Copies values by the paths of `trainable`, such as those of a run's checkpoint.
   * @throws CheckpointError that lists all missing, unexpected and mismatched paths
   */
  loadState(state: ReadonlyMap<string, Tensor>): void {
    restoreState(this.trainable, state)
  }

  /** Factor of the learning rate for one of its tensors, by path. */
  learningRateScale(path: string): number {
    return this.bank.get(this.name).attachment.learningRateScale?.(path) ?? 1
  }

  /** What its method does in a run that begins; undefined for most. @throws ConfigError for a run that does not suit it */
  beginTraining(facts: TrainingFacts): MethodTraining | undefined {
    return this.bank.get(this.name).attachment.beginTraining?.(facts)
  }

  #refuseInPlace(what: string): void {
    const { definition } = this.bank.get(this.name)
    if (definition.inPlace)
      throw new ConfigError(
        `\`${what}\` needs an adapter beside its base: \`${definition.type}\` trains the base itself. Use the model as it is.`,
      )
  }
}

/** Options of `applyAdapter`. */
export interface ApplyOptions {
  /** Name on this model (default: `default`). */
  name?: string
  /** Random seed of the initial values (default: 0). */
  seed?: number
  /** Token ids of a text, without special tokens, for methods with `initialText`. */
  encode?: AttachContext['encode']
  /** The matrix of a layer before the base was quantised, by the path of the layer, for LoftQ. */
  original?: AttachContext['original']
  /** Names of adapters on this model to put it on, lowest first: they stay as they are, and are active with it. */
  below?: readonly string[]
}

/** Freezes the base and adds a new adapter, active and trainable. */
export const applyWith = (
  definition: AnyAdapter,
  model: Model,
  config: object,
  options: ApplyOptions = {},
): AppliedAdapter => {
  const { name = 'default', ...rest } = options
  const bank = adaptersOf(model)
  bank.activate(undefined)
  model.requireGrad(false)
  const resolved = definition.resolveConfig?.(model, config as AnyConfig) ?? config
  bank.add(definition, resolved, { seed: 0, ...rest, name, model })
  bank.activate(name)
  return new AppliedAdapter(bank, name)
}
