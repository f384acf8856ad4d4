// A part of an optimizer, for processes that share its state (ZeRO): parameters are put into buckets, of each of which a process updates
// a range. Independent of how processes talk.
import { CheckpointError, ConfigError, LazyMap } from '../core/index.ts'
import { keep, noGrad, scope, type Tensor, zeros } from '../tensor/index.ts'
import type { WeightAverage } from './average.ts'
import { countName, RunningOptimizer } from './engine.ts'
import type {
  GroupConfig,
  Optimizer,
  OptimizerDefinition,
  OptimizerState,
  StepOptions,
  StepResult,
} from './optimizer.ts'
import { type GroupOptions, parameterGroups } from './parameter-groups.ts'

/** Number of a part, from 0, and the number of parts. */
export interface ShardPlace {
  index: number
  count: number
  /** Bytes of gradients that are exchanged together. */
  bucketBytes: number
  /** The weights of this part, where parameters are whole for moments only (default: parameters are whole). */
  own?: { layout: ShardLayout; weights: Tensor } | undefined
}

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

/** Whether a tensor of a state is the count of updates of a parameter, which has no elements. */
export const isCount = (key: string): boolean => key.endsWith(`/${countName}`)

const flatOf = (tensor: Tensor): Tensor => tensor.detach().view([-1])

/** An optimizer over a range of all elements. Its state is that of the range; checkpoints have that of the whole. */
export class ShardedOptimizer implements Optimizer {
  readonly place: ShardPlace
  readonly layout: ShardLayout
  readonly parameters: ReadonlyMap<string, Tensor>
  readonly pieces: readonly Piece[]
  /** The part of each parameter, flat: a view of the weights. */
  readonly ownParameters: ReadonlyMap<string, Tensor>
  readonly #inner: Optimizer
  readonly groups

  /** @throws ConfigError for a rule that needs whole matrices, or parameters that are no plain vectors in memory */
  constructor(
    definition: OptimizerDefinition,
    config: GroupConfig,
    parameters: ReadonlyMap<string, Tensor>,
    options: GroupOptions,
    place: ShardPlace,
  ) {
    if (!definition.elementwise)
      throw new ConfigError(
        `Expected an optimizer whose state can be divided by elements for \`shard\`, got ${definition.type}, which needs whole matrices. Choose adamw, or set \`shard\` to none.`,
      )
    if (new Set([...parameters.values()].map(({ dtype }) => dtype)).size > 1)
      throw new ConfigError('Expected parameters of one dtype for `shard`, got several. Set `shard` to none.')
    this.place = place
    this.parameters = parameters
    this.layout = place.own?.layout ?? new ShardLayout(gradientBuckets(parameters, place.bucketBytes), place.count)
    // The last part is the smallest.
    if (this.layout.piecesOf(place.count - 1).length === 0)
      throw new ConfigError(
        `Expected more trained elements for \`shard\` in ${place.count} processes, got too few. Set \`shard\` to none.`,
      )
    this.pieces = this.layout.piecesOf(place.index)
    this.groups = parameterGroups(config, parameters, options)
    const views = noGrad(() => new Map(this.pieces.map((piece) => [piece.path, this.#viewOf(piece)])))
    this.ownParameters = views
    this.#inner = new RunningOptimizer(definition, config, views, {
      groups: this.groups.flatMap((group) => {
        const paths = group.paths.filter((path) => views.has(path))
        return paths.length === 0 ? [] : [{ ...group, paths }]
      }),
    })
  }

  get type(): string {
    return this.#inner.type
  }

  /** float32 weights of this part, flat, by path. */
  get weights(): ReadonlyMap<string, Tensor> {
    return this.#inner.weights
  }

  get stateBytes(): number {
    return this.#inner.stateBytes
  }

  /** @param gradients of the pieces, by the path of their parameter; `gradientNorm` must be that of all parts */
  step(gradients: ReadonlyMap<string, Tensor>, options: StepOptions & { gradientNorm: number }): StepResult {
    return this.#inner.step(gradients, options)
  }

  /** The state of the part, its tensors flat. */
  state(): OptimizerState {
    return this.#inner.state()
  }

  /** Names of the state of a parameter, `first_moment` and so on. */
  get slotNames(): string[] {
    const [piece] = this.pieces
    return [...this.state().tensors.keys()].flatMap((key) =>
      key.startsWith(`${piece.path}/`) && !isCount(key) ? [key.slice(piece.path.length + 1)] : [],
    )
  }

  /** Takes this part of the state of all parameters. */
  loadState({ tensors, step }: { tensors: ReadonlyMap<string, Tensor>; step: number }): void {
    const pieces = new Map(this.pieces.map((piece) => [piece.path, piece]))
    const pathOf = (key: string) => key.slice(0, key.lastIndexOf('/'))
    for (const key of tensors.keys())
      if (!this.parameters.has(pathOf(key)))
        throw new CheckpointError(
          `Expected the state of the parameters that are trained, got one of \`${pathOf(key)}\`.`,
        )
    const own = [...tensors.keys()].filter((key) => pieces.has(pathOf(key)))
    const partOf = (key: string) => {
      const tensor = tensors.get(key) as Tensor
      return isCount(key) ? tensor : this.#narrow(key, pieces.get(pathOf(key)) as Piece, tensor)
    }
    noGrad(() => this.#inner.loadState({ tensors: new LazyMap(own, partOf), step }))
  }

  /** This part of values of every parameter. */
  partsOf(tensors: ReadonlyMap<string, Tensor>): ReadonlyMap<string, Tensor> {
    const pieces = new Map(this.pieces.map((piece) => [piece.path, piece]))
    const paths = [...pieces.keys()].filter((path) => tensors.has(path))
    return new LazyMap(paths, (path) => this.#narrow(path, pieces.get(path) as Piece, tensors.get(path) as Tensor))
  }

  #narrow(key: string, { path, from, size }: Piece, tensor: Tensor): Tensor {
    const whole = (this.parameters.get(path) as Tensor).size
    if (tensor.size !== whole)
      throw new CheckpointError(`Expected ${whole} elements for \`${key}\`, got ${tensor.size}.`)
    return tensor.view([-1]).narrow(0, from, size)
  }

  /** The part of a parameter itself. */
  #viewOf({ path, from, size, at }: Piece): Tensor {
    const { own } = this.place
    if (own !== undefined) return own.weights.narrow(0, at, size)
    return flatOf(this.parameters.get(path) as Tensor).narrow(0, from, size)
  }

  /** This part of a bucket of the updated weights, padded with zeros. */
  ownWeights(bucket: number): Tensor {
    const { parts, size } = this.layout.buckets[bucket]
    const share = this.layout.paddedSize(size) / this.place.count
    const first = this.place.index * share
    return noGrad(() =>
      scope(() => {
        const own = zeros([share], { dtype: (this.parameters.get(parts[0].path) as Tensor).dtype })
        for (const { path, at, size: length } of parts) {
          const [from, to] = [Math.max(first, at), Math.min(first + share, at + length)]
          if (from >= to) continue
          const whole = flatOf(this.parameters.get(path) as Tensor)
          own.narrow(0, from - first, to - from).copy_(whole.narrow(0, from - at, to - from))
        }
        return keep(own)
      }),
    )
  }

  /** Writes updated weights into the parameters of a bucket. @param all those of all parts, in their order */
  writeWeights(bucket: number, all: Tensor): void {
    noGrad(() =>
      scope(() => {
        for (const { path, at, size } of this.layout.buckets[bucket].parts)
          flatOf(this.parameters.get(path) as Tensor).copy_(all.narrow(0, at, size))
      }),
    )
  }

  /** Writes values of all parts, [count * partSize], into tensors by path, flat. */
  unflatten(all: Tensor, tensorOf: (path: string) => Tensor): void {
    noGrad(() =>
      scope(() => {
        for (let part = 0; part < this.place.count; part++)
          for (const { path, from, size, at } of this.layout.piecesOf(part))
            tensorOf(path)
              .narrow(0, from, size)
              .copy_(all.narrow(0, part * this.layout.partSize + at, size))
      }),
    )
  }

  /** This part of values that every piece has, as one vector, padded with zeros. */
  flatten(tensorOf: (piece: Piece) => Tensor): Tensor {
    return noGrad(() =>
      scope(() => {
        const values = this.pieces.map((piece) => ({ piece, tensor: tensorOf(piece).view([-1]) }))
        const flat = zeros([this.layout.partSize], { dtype: values[0].tensor.dtype })
        for (const { piece, tensor } of values) flat.narrow(0, piece.at, piece.size).copy_(tensor)
        return keep(flat)
      }),
    )
  }
}

/** An average of the part of the weights that an optimizer has; its state is loaded from that of all weights. */
export const averageOfPart = (average: WeightAverage, optimizer: ShardedOptimizer): WeightAverage => ({
  get swapped() {
    return average.swapped
  },
  update: () => average.update(),
  swapIn: () => average.swapIn(),
  swapOut: () => average.swapOut(),
  state: () => average.state(),
  loadState: ({ tensors, updates }) => average.loadState({ tensors: optimizer.partsOf(tensors), updates }),
})
