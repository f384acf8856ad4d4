// Parts of an optimizer that updates each element by itself: each part updates the elements whose gradients come to it.
import { noGradScope, type Tensor } from '../tensor/index.ts'
import { RunningOptimizer } from './engine.ts'
import type { GroupConfig, Optimizer, OptimizerDefinition, StepResult } from './optimizer.ts'
import { type GroupOptions, groupsOf } from './parameter-groups.ts'
import type { Piece } from './shard.ts'
import {
  flatOf,
  isCount,
  type PartExchange,
  type PartGradients,
  pathOf,
  ShardedOptimizer,
  type ShardPlace,
  type SharedStepOptions,
  type TensorPart,
} from './shard.ts'

/** An optimizer over a range of all elements, of which its state is too. */
export class ElementShardedOptimizer extends ShardedOptimizer {
  protected readonly inner: Optimizer

  constructor(
    definition: OptimizerDefinition,
    config: GroupConfig,
    parameters: ReadonlyMap<string, Tensor>,
    options: GroupOptions,
    place: ShardPlace,
  ) {
    super(definition, config, parameters, options, place)
    const views = this.ownParameters
    this.inner = new RunningOptimizer(definition, config, views, { groups: groupsOf(this.groups, views) })
  }

  get pieceWeights(): ReadonlyMap<string, Tensor> {
    return this.weights
  }

  async stepTogether(
    exchange: PartExchange,
    { gradients }: PartGradients,
    options: SharedStepOptions,
  ): Promise<StepResult> {
    const result = this.step(gradients, options)
    if (result.applied && this.place.own === undefined) await this.#collectWeights(exchange)
    return result
  }

  /** The pieces are views of the part of the weights, which has been taken. */
  takeWeights(): void {}

  stateParts(): Map<string, TensorPart> {
    const parts = new Map<string, TensorPart>()
    for (const [key, values] of this.state().tensors) {
      const path = pathOf(key)
      const { from } = this.pieceOf.get(path) as Piece
      const { shape } = this.parameters.get(path) as Tensor
      if (!isCount(key)) parts.set(key, { values, from, shape: [...shape] })
      // Every process with a part of a parameter has its count: that of the first element is stored.
      else if (from === 0) parts.set(key, { values, from, shape: [] })
    }
    return parts
  }

  protected async collectTensors(exchange: PartExchange): Promise<Map<string, Tensor>> {
    const { tensors } = this.state()
    const whole = new Map<string, Tensor>()
    for (const slot of this.#slotNames(tensors)) {
      const values = await this.collectPieces(exchange, (path) => tensors.get(`${path}/${slot}`) as Tensor)
      for (const [path, tensor] of values) whole.set(`${path}/${slot}`, tensor)
    }
    return whole
  }

  protected partOf(key: string, path: string, tensor: Tensor): Tensor {
    return this.narrow(key, path, tensor)
  }

  /** Names of the state of a parameter, `first_moment` and so on. */
  #slotNames(tensors: ReadonlyMap<string, Tensor>): string[] {
    const [{ path }] = this.pieces
    return [...tensors.keys()].flatMap((key) =>
      key.startsWith(`${path}/`) && !isCount(key) ? [key.slice(path.length + 1)] : [],
    )
  }

  /** Brings the weights that each part has updated to all, bucket by bucket: all at once would be a second copy of the model. */
  async #collectWeights(exchange: PartExchange): Promise<void> {
    for (const [bucket, { parts }] of this.layout.buckets.entries()) {
      const { dtype } = this.parameters.get(parts[0].path) as Tensor
      const own = this.shareOf(bucket, this.ownParameters, dtype)
      const all = await exchange.collect(own)
      noGradScope(() => {
        for (const { path, at, size } of parts)
          flatOf(this.parameters.get(path) as Tensor).copy_(all.narrow(0, at, size))
      })
      own.free()
      all.free()
    }
  }
}
