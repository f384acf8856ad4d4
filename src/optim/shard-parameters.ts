// Parts of an optimizer that needs whole parameters, such as Muon's matrices, Adafactor's rows and columns, or blocks of codes: each part
// updates some of the parameters. In a step their gradients are brought together from the parts, and the new weights go to all.
import { ConfigError } from '../core/index.ts'
import {
  cat,
  type Dtype,
  empty,
  freeTensors,
  keep,
  keepUntilFreed,
  noGrad,
  noGradScope,
  noteTensors,
  scope,
  type Tensor,
} from '../tensor/index.ts'
import { RunningOptimizer, stateFacts } from './engine.ts'
import type { GroupConfig, Optimizer, OptimizerDefinition, ParameterFacts, StepResult } from './optimizer.ts'
import { type GroupOptions, groupsOf, parameterFacts } from './parameter-groups.ts'
import {
  flatOf,
  type PartExchange,
  type PartGradients,
  ShardedOptimizer,
  type ShardPlace,
  type SharedStepOptions,
  type TensorPart,
} from './shard.ts'

/** The part that updates each parameter: the largest first, each to the part with the fewest elements so far. */
export const ownersOf = (parameters: ReadonlyMap<string, Tensor>, count: number): Map<string, number> => {
  const elements = new Array<number>(count).fill(0)
  const owners = new Map<string, number>()
  for (const [path, { size }] of [...parameters].sort(([, a], [, b]) => b.size - a.size)) {
    const owner = elements.indexOf(Math.min(...elements))
    elements[owner] += size
    owners.set(path, owner)
  }
  return owners
}

/** An optimizer over some parameters, whole. */
export class ParameterShardedOptimizer extends ShardedOptimizer {
  protected readonly inner: Optimizer
  readonly #owners: ReadonlyMap<string, number>
  /** What this part updates: parameters themselves, or copies where those are whole for moments only. */
  readonly #own: ReadonlyMap<string, Tensor>
  /** dtype and shape of the state of every parameter. */
  readonly #facts: ReadonlyMap<string, Record<string, { shape: readonly number[]; dtype: Dtype }>>

  /** @throws ConfigError for fewer parameters than parts */
  constructor(
    definition: OptimizerDefinition,
    config: GroupConfig,
    parameters: ReadonlyMap<string, Tensor>,
    options: GroupOptions,
    place: ShardPlace,
  ) {
    super(definition, config, parameters, options, place)
    if (parameters.size < place.count)
      throw new ConfigError(
        `Expected at least ${place.count} trained tensors for \`shard\` with ${definition.type} in ${place.count} processes, got ${parameters.size}. Choose adamw, or set \`shard\` to none.`,
      )
    this.#owners = ownersOf(parameters, place.count)
    const own = [...parameters].filter(([path]) => this.#owners.get(path) === place.index)
    this.#own = new Map(own.map(([path, tensor]) => [path, this.#updated(tensor)]))
    const facts = parameterFacts(parameters, options)
    this.#facts = new Map(
      [...parameters].map(([path, { dtype }]) => [
        path,
        stateFacts(definition, config, { facts: facts.get(path) as ParameterFacts, dtype }),
      ]),
    )
    this.inner = new RunningOptimizer(definition, config, this.#own, {
      ...options,
      groups: groupsOf(this.groups, this.#own),
    })
  }

  #updated(parameter: Tensor): Tensor {
    if (this.place.own === undefined) return parameter
    const copy = noGradScope(() => keep(parameter.detach().clone()))
    noteTensors('weights', [copy])
    return copy
  }

  /** Those of bfloat16 parameters are whole, and in other parts. */
  get pieceWeights(): ReadonlyMap<string, Tensor> | undefined {
    const [{ dtype }] = this.parameters.values()
    return dtype === 'float32' ? this.ownParameters : undefined
  }

  async stepTogether(exchange: PartExchange, part: PartGradients, options: SharedStepOptions): Promise<StepResult> {
    // All parts know the norm, and none has anything to update.
    if (!Number.isFinite(options.gradientNorm)) return this.step(new Map(), options)
    const gradients = await this.#collectGradients(exchange, part)
    const result = this.step(gradients, options)
    freeTensors(gradients.values())
    if (result.applied) await this.#copyWeights(exchange, part.present)
    return result
  }

  takeWeights(): void {
    if (this.place.own === undefined) return
    noGrad(() => {
      for (const [path, own] of this.#own) scope(() => own.copy_((this.parameters.get(path) as Tensor).detach()))
    })
  }

  stateParts(): Map<string, TensorPart> {
    const { tensors } = this.state()
    return new Map([...tensors].map(([key, values]) => [key, { values, from: 0, shape: [...values.shape] }]))
  }

  protected partOf(_key: string, _path: string, tensor: Tensor): Tensor {
    return tensor
  }

  protected async collectTensors(exchange: PartExchange): Promise<Map<string, Tensor>> {
    const { tensors } = this.state()
    const whole = new Map<string, Tensor>()
    for (const [path, facts] of this.#facts)
      for (const [name, { shape, dtype }] of Object.entries(facts)) {
        const key = `${path}/${name}`
        const own = tensors.get(key)
        const tensor = own ?? keep(empty(shape, { dtype }))
        await exchange.copyFrom_(this.#owners.get(path) as number, tensor)
        if (exchange.first) whole.set(key, tensor)
        else if (own === undefined) tensor.free()
      }
    return whole
  }

  /** Whole gradients of what this part updates, bucket by bucket. */
  async #collectGradients(exchange: PartExchange, { gradients, present }: PartGradients): Promise<Map<string, Tensor>> {
    const whole = new Map<string, Tensor>()
    for (const [bucket, { parts }] of this.layout.buckets.entries()) {
      const some = parts.filter(({ path }) => present.has(path))
      if (some.length === 0) continue
      const share = this.shareOf(bucket, gradients, 'float32')
      const all = await exchange.collect(share)
      share.free()
      noGradScope(() => {
        for (const { path, at, size } of some) {
          const own = this.#own.get(path)
          if (own !== undefined) whole.set(path, keep(all.narrow(0, at, size).clone().view(own.shape)))
        }
      })
      all.free()
    }
    noteTensors('gradients', [...whole.values()])
    return whole
  }

  /** Brings updated weights from their parts to all, those of a bucket that one part has together. */
  async #copyWeights(exchange: PartExchange, present: ReadonlySet<string>): Promise<void> {
    for (const { parts } of this.layout.buckets)
      for (let owner = 0; owner < this.place.count; owner++) {
        const its = parts.filter(({ path }) => present.has(path) && this.#owners.get(path) === owner)
        if (its.length === 0) continue
        const flat = this.#flatWeights(its, owner)
        await exchange.copyFrom_(owner, flat)
        noGradScope(() => this.#write(its, flat))
        flat.free()
      }
  }

  /** Weights of one part as a vector, or the memory for them on the other processes. */
  #flatWeights(parts: readonly { path: string; size: number }[], owner: number): Tensor {
    const { dtype } = this.parameters.get(parts[0].path) as Tensor
    return noGradScope(() => {
      const flat =
        owner === this.place.index
          ? cat(
              parts.map(({ path }) => flatOf(this.#own.get(path) as Tensor)),
              0,
            )
          : empty([parts.reduce((sum, { size }) => sum + size, 0)], { dtype })
      keepUntilFreed([flat])
      return flat
    })
  }

  /** Writes weights into parameters, or into the pieces of them that this process has. */
  #write(parts: readonly { path: string; size: number }[], flat: Tensor): void {
    const { own } = this.place
    let at = 0
    for (const { path, size } of parts) {
      const piece = this.pieceOf.get(path)
      if (own === undefined) {
        if (!this.#own.has(path)) flatOf(this.parameters.get(path) as Tensor).copy_(flat.narrow(0, at, size))
      } else if (piece !== undefined)
        own.weights.narrow(0, piece.at, piece.size).copy_(flat.narrow(0, at + piece.from, piece.size))
      at += size
    }
  }
}
