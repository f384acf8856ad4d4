// A part of an optimizer, for processes that share its state (ZeRO stage 1): the parameters in their order are one long vector, of which
// each process updates a range. Independent of how processes talk.
import { CheckpointError, ConfigError } from '../core/index.ts'
import { cat, keep, noGrad, scope, type Tensor, zeros } from '../tensor/index.ts'
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

/** The layout of parameters in one vector of equal parts; the last part is padded. */
export class ShardLayout {
  /** Elements of a part. */
  readonly partSize: number
  readonly #sizes: ReadonlyMap<string, number>

  constructor(parameters: ReadonlyMap<string, Tensor>, count: number) {
    this.#sizes = new Map([...parameters].map(([path, { size }]) => [path, size]))
    const total = [...this.#sizes.values()].reduce((sum, size) => sum + size, 0)
    this.partSize = Math.ceil(total / count)
  }

  /** First element of each parameter in the vector. */
  *offsets(): Iterable<[path: string, offset: number]> {
    let at = 0
    for (const [path, size] of this.#sizes) {
      yield [path, at]
      at += size
    }
  }

  piecesOf(index: number): Piece[] {
    const [first, end] = [index * this.partSize, (index + 1) * this.partSize]
    const pieces: Piece[] = []
    let at = 0
    for (const [path, size] of this.#sizes) {
      const [from, to] = [Math.max(first, at), Math.min(end, at + size)]
      if (from < to) pieces.push({ path, from: from - at, size: to - from, at: from - first })
      at += size
    }
    return pieces
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
    this.layout = new ShardLayout(parameters, place.count)
    // The last part is the smallest.
    if (this.layout.piecesOf(place.count - 1).length === 0)
      throw new ConfigError(
        `Expected more trained elements for \`shard\` in ${place.count} processes, got too few. Set \`shard\` to none.`,
      )
    this.pieces = this.layout.piecesOf(place.index)
    this.groups = parameterGroups(config, parameters, options)
    const views = noGrad(() => new Map(this.pieces.map((piece) => [piece.path, this.#viewOf(piece)])))
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
    const own = new Map<string, Tensor>()
    const pieces = new Map(this.pieces.map((piece) => [piece.path, piece]))
    noGrad(() => {
      for (const [key, tensor] of tensors) {
        const at = key.lastIndexOf('/')
        const path = key.slice(0, at)
        const parameter = this.parameters.get(path)
        if (parameter === undefined)
          throw new CheckpointError(`Expected the state of the parameters that are trained, got one of \`${path}\`.`)
        const piece = pieces.get(path)
        if (piece === undefined) continue
        if (!isCount(key) && tensor.size !== parameter.size)
          throw new CheckpointError(`Expected ${parameter.size} elements for \`${key}\`, got ${tensor.size}.`)
        own.set(key, isCount(key) ? tensor : tensor.view([-1]).narrow(0, piece.from, piece.size))
      }
      this.#inner.loadState({ tensors: own, step })
    })
  }

  /** The part of a parameter itself. */
  #viewOf({ path, from, size }: Piece): Tensor {
    return flatOf(this.parameters.get(path) as Tensor).narrow(0, from, size)
  }

  /** The updated weights of this part, [partSize]. */
  ownWeights(): Tensor {
    return this.flatten((piece) => this.#viewOf(piece))
  }

  /** Writes the weights of the other parts into the parameters. @param all weights of all parts, [count * partSize] */
  writeWeights(all: Tensor): void {
    const { count, index } = this.place
    noGrad(() =>
      scope(() => {
        for (let part = 0; part < count; part++)
          if (part !== index)
            for (const piece of this.layout.piecesOf(part))
              this.#viewOf(piece).copy_(all.narrow(0, part * this.layout.partSize + piece.at, piece.size))
      }),
    )
  }

  /** This part of values that every piece has, as one vector, padded with zeros. */
  flatten(tensorOf: (piece: Piece) => Tensor): Tensor {
    return noGrad(() =>
      scope(() => {
        const used = this.pieces.reduce((sum, { size }) => sum + size, 0)
        const values = this.pieces.map((piece) => tensorOf(piece).view([-1]))
        const { dtype } = values[0]
        return keep(cat([...values, zeros([this.layout.partSize - used], { dtype })], 0))
      }),
    )
  }
}
