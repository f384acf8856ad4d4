// Puts an adapter onto a model: what is trained, and how it is switched, merged and taken away again. Knows no method.
import { CheckpointError, ConfigError } from '../core/index.ts'
import type { Model } from '../models/index.ts'
import { compareState, describeReport } from '../nn/index.ts'
import { noGrad, type Tensor } from '../tensor/index.ts'
import type { AdapterDefinition, AnyConfig, AttachContext } from './adapter.ts'
import { type AdapterBank, type AnyAdapter, adaptersOf } from './bank.ts'

/** One adapter on a model. */
export class AppliedAdapter {
  readonly #bank: AdapterBank
  readonly name: string

  constructor(bank: AdapterBank, name: string) {
    this.#bank = bank
    this.name = name
  }

  get definition(): AdapterDefinition {
    return this.#bank.get(this.name).definition
  }

  get config(): object {
    return this.#bank.get(this.name).config
  }

  /** The model whose head goes with it. */
  get model(): Model {
    return this.#bank.get(this.name).model
  }

  /** All adapters of this body. */
  get bank(): AdapterBank {
    return this.#bank
  }

  /** Its parameters by their paths in the model while it is active: what is trained, and all that its files hold. */
  get trainable(): Map<string, Tensor> {
    return this.#bank.tensorsOf(this.name)
  }

  /** Number of values in them. */
  get parameterCount(): number {
    let count = 0
    for (const { size } of this.trainable.values()) count += size
    return count
  }

  get active(): boolean {
    return this.#bank.active.includes(this.name)
  }

  get merged(): boolean {
    return this.#bank.isMerged(this.name)
  }

  /** Whether the base itself is trained, and not something beside it. */
  get inPlace(): boolean {
    return this.#bank.get(this.name).definition.inPlace ?? false
  }

  /** Positions that it takes in front of every row, of those that the model has. */
  get virtualTokens(): number {
    return this.#bank.get(this.name).attachment.virtualTokens ?? 0
  }

  /** AdamW's, unless another is wanted. */
  get learningRate(): number {
    return this.#bank.get(this.name).definition.learningRate
  }

  /** Makes it active, alone, or leaves the bare base. Returns the model to call. */
  enable(on = true): Model {
    return this.#bank.use(on ? this.name : undefined)
  }

  /** Makes its changes part of the base's own matrices; `saveModel` then writes a plain folder. @throws ConfigError where that is impossible */
  merge(): void {
    this.#refuseInPlace('merge')
    this.#bank.use(this.name, { merged: [this.name] })
  }

  /** Takes the changes out again: the base's matrices are the very tensors they were. */
  unmerge(): void {
    this.#refuseInPlace('unmerge')
    this.#bank.use(this.name, { merged: [] })
  }

  /** Forgets it; the base is as it was. */
  remove(): void {
    this.#refuseInPlace('remove')
    this.#bank.remove(this.name)
  }

  /**
   * Copies values in, by the paths of `trainable`: what a run's checkpoint of it holds.
   * @throws CheckpointError that lists all missing, unexpected and misshapen paths
   */
  loadState(state: ReadonlyMap<string, Tensor>): void {
    const own = this.trainable
    const report = compareState(own, state)
    if (report.missing.length + report.unexpected.length + report.mismatched.length > 0)
      throw new CheckpointError(describeReport(report), report)
    noGrad(() => {
      for (const [path, tensor] of own) tensor.detach().copy_(state.get(path) as Tensor)
    })
  }

  /** Factor of the learning rate of one of its parameters, by path. */
  learningRateScale(path: string): number {
    return this.#bank.get(this.name).attachment.learningRateScale?.(path) ?? 1
  }

  #refuseInPlace(what: string): void {
    const { definition } = this.#bank.get(this.name)
    if (definition.inPlace)
      throw new ConfigError(
        `Expected an adapter beside its base for \`${what}\`, got \`${definition.type}\`, which trains the base itself. Use the model as it is.`,
      )
  }
}

export interface ApplyOptions {
  /** `default` unless given. */
  name?: string
  /** Of fresh values; 0 unless given. */
  seed?: number
  /** Ids of a text, without special tokens, for methods with `initialText`. */
  encode?: AttachContext['encode']
}

/** Freezes the base and adds a fresh adapter, active and trained. */
export const applyWith = (
  definition: AnyAdapter,
  model: Model,
  config: object,
  options: ApplyOptions = {},
): AppliedAdapter => {
  const { name = 'default', seed = 0, encode } = options
  const bank = adaptersOf(model)
  bank.use(undefined)
  model.requireGrad(false)
  bank.add(definition, definition.settle?.(model, config as AnyConfig) ?? config, { name, seed, model, encode })
  bank.use(name)
  return new AppliedAdapter(bank, name)
}
