// A part of an optimizer, for processes that share its state (ZeRO). Gradients come in equal shares of every bucket. What each part updates is
// the matter of two kinds: the same elements (shard-elements.ts), or whole parameters (shard-parameters.ts). Independent of how processes talk.
import { CheckpointError, ConfigError, LazyMap } from '../core/index.ts'
import { type Dtype, keep, noGrad, noGradScope, Tensor, zeros } from '../tensor/index.ts'
import type { WeightAverage } from './average.ts'
import { countName } from './engine.ts'
import type {
  GroupConfig,
  Optimizer,
  OptimizerDefinition,
  OptimizerState,
  ParameterGroup,
  StepOptions,
  StepResult,
} from './optimizer.ts'
import { type GroupOptions, parameterGroups } from './parameter-groups.ts'

/** Elements of a parameter that belong to the part, and where they are in it. */
export interface Piece {
  path: string
  /** First element in the parameter, flattened. */
  from: number
  size: number
  /** First element in the part. */
  at: number
}

/** Parameters whose gradients are exchanged together. */
export interface GradientBucket {
  /** Parameters with their place in the bucket, flat. */
  parts: { path: string; at: number; size: number }[]
  /** Elements of all of them. */
  size: number
}

/** The first bucket has at most this many bytes, as a fraction of the others: it is sent early. */
const firstShare = 1 / 25

/**
 * Buckets of parameters in an order in which a backward pass completes gradients: the last ones first.
 * @param early size of the first buckets as a fraction of the others
 */
export const gradientBuckets = (
  parameters: ReadonlyMap<string, Tensor>,
  bytes: number,
  early = firstShare,
): GradientBucket[] => {
  const buckets: GradientBucket[] = []
  for (const [path, { size }] of [...parameters].reverse()) {
    const most = (buckets.length < 2 ? early : 1) * bytes
    const last = buckets.at(-1)
    if (last === undefined || (last.size + size) * 4 > most) buckets.push({ parts: [{ path, at: 0, size }], size })
    else {
      last.parts.push({ path, at: last.size, size })
      last.size += size
    }
  }
  return buckets
}

/** The layout of parameters in parts: each part has an equal share of every bucket, so that buckets are exchanged one by one. */
export class ShardLayout {
  readonly buckets: readonly GradientBucket[]
  /** Elements of a part. */
  readonly partSize: number
  readonly #count: number
  readonly #starts: readonly number[]

  constructor(buckets: readonly GradientBucket[], count: number) {
    this.#count = count
    this.buckets = buckets
    const starts: number[] = []
    let at = 0
    for (const { size } of this.buckets) {
      starts.push(at)
      at += this.paddedSize(size) / count
    }
    this.#starts = starts
    this.partSize = at
  }

  /** Elements of a bucket with those that fill its last share. */
  paddedSize(size: number): number {
    return Math.ceil(size / this.#count) * this.#count
  }

  /** First element of the share of a bucket in each part. */
  partStart(bucket: number): number {
    return this.#starts[bucket]
  }

  piecesOf(index: number): Piece[] {
    return this.buckets.flatMap(({ parts, size }, bucket) => {
      const share = this.paddedSize(size) / this.#count
      const [first, end] = [index * share, (index + 1) * share]
      return parts.flatMap(({ path, at, size: length }) => {
        const [from, to] = [Math.max(first, at), Math.min(end, at + length)]
        return from < to ? [{ path, from: from - at, size: to - from, at: this.#starts[bucket] + from - first }] : []
      })
    })
  }
}

/** Number of a part, from 0, and the number of parts. */
export interface ShardPlace {
  index: number
  count: number
  /** Bytes of gradients that are exchanged together. */
  bucketBytes: number
  /** The weights of this part, where parameters are whole for moments only (default: parameters are whole). */
  own?: { layout: ShardLayout; weights: Tensor } | undefined
}

/** What the parts of an optimizer need of the processes that have them, of which all call the same in the same order. */
export interface PartExchange {
  /** Whether this is the process that gets what is collected. */
  readonly first: boolean
  /** The value that each process gives. */
  gather<Value>(value: Value): Promise<Value[]>
  /** The parts [n] of all processes as [count * n]. */
  collect(tensor: Tensor): Promise<Tensor>
  /** Copies the tensor of the process `source` to all, in place. */
  copyFrom_(source: number, tensor: Tensor): Promise<void>
}

/** Sums of gradients that came to this part. */
export interface PartGradients {
  /** By the path of their parameter, flat: those of the pieces of this part. */
  gradients: ReadonlyMap<string, Tensor>
  /** Every parameter that has a gradient in this step, on whichever process. */
  present: ReadonlySet<string>
}

/** A part of a tensor of a state, flat. */
export interface TensorPart {
  values: Tensor
  /** First element in the whole tensor. */
  from: number
  /** Shape of the whole tensor. */
  shape: readonly number[]
}

/** Options of a step that all parts take together: the norm is that of all of them. */
export type SharedStepOptions = StepOptions & { gradientNorm: number }

/** Whether a tensor of a state is the count of updates of a parameter, which has no elements. */
export const isCount = (key: string): boolean => key.endsWith(`/${countName}`)

/** The parameter of a tensor of a state. */
export const pathOf = (key: string): string => key.slice(0, key.lastIndexOf('/'))

/** The elements of a tensor, which share its memory. */
export const flatOf = (tensor: Tensor): Tensor => tensor.detach().view([-1])

/** An optimizer of which each process has a part. Checkpoints have the state of the whole. */
export abstract class ShardedOptimizer implements Optimizer {
  readonly place: ShardPlace
  readonly layout: ShardLayout
  readonly parameters: ReadonlyMap<string, Tensor>
  /** The elements whose gradients come to this part. */
  readonly pieces: readonly Piece[]
  /** The same by the path of their parameter. */
  protected readonly pieceOf: ReadonlyMap<string, Piece>
  /** The piece of each parameter, flat: a view of the weights. */
  readonly ownParameters: ReadonlyMap<string, Tensor>
  readonly groups: readonly ParameterGroup[]
  readonly type: string
  protected abstract readonly inner: Optimizer

  /** @throws ConfigError for an optimizer that evaluates other weights than it trains, and for parameters that cannot be divided */
  constructor(
    { type, evaluated }: OptimizerDefinition,
    config: GroupConfig,
    parameters: ReadonlyMap<string, Tensor>,
    options: GroupOptions,
    place: ShardPlace,
  ) {
    if (evaluated !== undefined)
      throw new ConfigError(
        `Expected an optimizer that evaluates the weights that it trains for \`shard\`, got ${type}. Choose adamw, or set \`shard\` to none.`,
      )
    if (new Set([...parameters.values()].map(({ dtype }) => dtype)).size > 1)
      throw new ConfigError('Expected parameters of one dtype for `shard`, got several. Set `shard` to none.')
    this.type = type
    this.place = place
    this.parameters = parameters
    this.layout = place.own?.layout ?? new ShardLayout(gradientBuckets(parameters, place.bucketBytes), place.count)
    // The last part is the smallest.
    if (this.layout.piecesOf(place.count - 1).length === 0)
      throw new ConfigError(
        `Expected more trained elements for \`shard\` in ${place.count} processes, got too few. Set \`shard\` to none.`,
      )
    this.pieces = this.layout.piecesOf(place.index)
    this.pieceOf = new Map(this.pieces.map((piece) => [piece.path, piece]))
    this.groups = parameterGroups(config, parameters, options)
    this.ownParameters = noGrad(() => new Map(this.pieces.map((piece) => [piece.path, this.#viewOf(piece)])))
  }

  /** float32 weights of the pieces, flat, by path; undefined where this part has others. */
  abstract readonly pieceWeights: ReadonlyMap<string, Tensor> | undefined

  /** One step of all parts. Afterwards every process has the new weights: all of them, or its part where they are divided. */
  abstract stepTogether(exchange: PartExchange, own: PartGradients, options: SharedStepOptions): Promise<StepResult>

  /** Takes weights that were loaded into the parameters, which are whole. */
  abstract takeWeights(): void

  /** What this part has of the state of all, by path and name. */
  abstract stateParts(): Map<string, TensorPart>

  /** Every tensor of the state but counts, whole on the first process by path and name; the others get none. */
  protected abstract collectTensors(exchange: PartExchange): Promise<Map<string, Tensor>>

  /** This part of a tensor of the state of all. @throws CheckpointError for another size */
  protected abstract partOf(key: string, path: string, tensor: Tensor): Tensor

  /** float32 weights that this part updates, by path. */
  get weights(): ReadonlyMap<string, Tensor> {
    return this.inner.weights
  }

  get stateBytes(): number {
    return this.inner.stateBytes
  }

  /** @param gradients of what this part updates; `gradientNorm` must be that of all parts */
  step(gradients: ReadonlyMap<string, Tensor>, options: StepOptions): StepResult {
    return this.inner.step(gradients, options)
  }

  /** The state of the part. */
  state(): OptimizerState {
    return this.inner.state()
  }

  /** Takes this part of the state of all parameters. */
  loadState({ tensors, step }: { tensors: ReadonlyMap<string, Tensor>; step: number }): void {
    for (const key of tensors.keys())
      if (!this.parameters.has(pathOf(key)))
        throw new CheckpointError(
          `Expected the state of the parameters that are trained, got one of \`${pathOf(key)}\`.`,
        )
    const updated = this.weights
    const own = [...tensors.keys()].filter((key) => updated.has(pathOf(key)))
    const partOf = (key: string) => {
      const tensor = tensors.get(key) as Tensor
      return isCount(key) ? tensor : this.partOf(key, pathOf(key), tensor)
    }
    noGrad(() => this.inner.loadState({ tensors: new LazyMap(own, partOf), step }))
  }

  /** The state of all parts, whole on the first process; the others get none. */
  async collectState(exchange: PartExchange): Promise<OptimizerState | undefined> {
    const { tensors, step } = this.state()
    const whole = await this.collectTensors(exchange)
    const counts = [...tensors].flatMap(([key, tensor]) => (isCount(key) ? [[key, tensor.item()] as const] : []))
    for (const [key, count] of (await exchange.gather(counts)).flat())
      whole.set(key, Tensor.from(BigInt64Array.of(BigInt(count)), { shape: [] }))
    return exchange.first ? { tensors: whole, step } : undefined
  }

  /** The pieces of values of every parameter. */
  piecesOf(tensors: ReadonlyMap<string, Tensor>): ReadonlyMap<string, Tensor> {
    const paths = [...this.pieceOf.keys()].filter((path) => tensors.has(path))
    return new LazyMap(paths, (path) => this.narrow(path, path, tensors.get(path) as Tensor))
  }

  /** A piece of values of its parameter. @throws CheckpointError for another number of them */
  protected narrow(key: string, path: string, tensor: Tensor): Tensor {
    const { from, size } = this.pieceOf.get(path) as Piece
    const whole = (this.parameters.get(path) as Tensor).size
    if (tensor.size !== whole)
      throw new CheckpointError(`Expected ${whole} elements for \`${key}\`, got ${tensor.size}.`)
    return tensor.view([-1]).narrow(0, from, size)
  }

  /** The piece of a parameter itself. */
  #viewOf({ path, from, size, at }: Piece): Tensor {
    const { own } = this.place
    if (own !== undefined) return own.weights.narrow(0, at, size)
    return flatOf(this.parameters.get(path) as Tensor).narrow(0, from, size)
  }

  /** The share of a bucket of this part, with zeros where there is no value. @param values of pieces, flat, by path */
  protected shareOf(bucket: number, values: ReadonlyMap<string, Tensor>, dtype: Dtype): Tensor {
    const { parts, size } = this.layout.buckets[bucket]
    const start = this.layout.partStart(bucket)
    const wanted = new Set(parts.map(({ path }) => path))
    return noGradScope(() => {
      const share = zeros([this.layout.paddedSize(size) / this.place.count], { dtype })
      for (const { path, at, size: length } of this.pieces) {
        const value = wanted.has(path) ? values.get(path) : undefined
        if (value !== undefined) share.narrow(0, at - start, length).copy_(value)
      }
      return keep(share)
    })
  }

  /** Values of which each part has those of its pieces, whole on the first process by path; the others get none. */
  async collectPieces(exchange: PartExchange, partOf: (path: string) => Tensor): Promise<Map<string, Tensor>> {
    const own = this.#flatten(({ path }) => partOf(path))
    const all = await exchange.collect(own)
    own.free()
    const whole = new Map<string, Tensor>()
    if (exchange.first) {
      const flat = new Map([...this.parameters].map(([path, { size }]) => [path, zeros([size], { dtype: all.dtype })]))
      this.#unflatten(all, (path) => flat.get(path) as Tensor)
      for (const [path, { shape }] of this.parameters) whole.set(path, (flat.get(path) as Tensor).view(shape))
    }
    all.free()
    return whole
  }

  /** Writes values of all parts, [count * partSize], into tensors by path, flat. */
  #unflatten(all: Tensor, tensorOf: (path: string) => Tensor): void {
    noGradScope(() => {
      for (let part = 0; part < this.place.count; part++)
        for (const { path, from, size, at } of this.layout.piecesOf(part))
          tensorOf(path)
            .narrow(0, from, size)
            .copy_(all.narrow(0, part * this.layout.partSize + at, size))
    })
  }

  /** This part of values that every piece has, as one vector, padded with zeros. */
  #flatten(tensorOf: (piece: Piece) => Tensor): Tensor {
    return noGradScope(() => {
      const values = this.pieces.map((piece) => ({ piece, tensor: tensorOf(piece).view([-1]) }))
      const flat = zeros([this.layout.partSize], { dtype: values[0].tensor.dtype })
      for (const { piece, tensor } of values) flat.narrow(0, piece.at, piece.size).copy_(tensor)
      return keep(flat)
    })
  }
}

/** An average of the pieces of the weights that a part has; its state is loaded from that of all weights. */
export const averageOfPart = (average: WeightAverage, optimizer: ShardedOptimizer): WeightAverage => ({
  get swapped() {
    return average.swapped
  },
  update: () => average.update(),
  swapIn: () => average.swapIn(),
  swapOut: () => average.swapOut(),
  state: () => average.state(),
  loadState: ({ tensors, updates }) => average.loadState({ tensors: optimizer.piecesOf(tensors), updates }),
})
