// Initial values of LoRA: random, or factors of the frozen matrix (PiSSA, OLoRA) or of the error of its quantisation
// (LoftQ).
import { ConfigError } from '../../core/index.ts'
import { cat, type Generator, largestSingular, noGrad, randn, type Tensor } from '../../tensor/index.ts'
import type { LoraLayer } from './layer.ts'

/** What initial values depend on beside the matrix. */
export interface InitContext {
  generator: Generator
  /** Iterations of the approximation (default: exact). */
  iterations: number | undefined
  /** The matrix of a layer before the base was quantised, by the path of the layer. */
  original?: (path: string) => Tensor | undefined
}

interface Initialization {
  /** Whether the layer computes without the initial factors, so that it starts unchanged. */
  subtracts: boolean
  /** Whether it needs the matrices before they were quantised. */
  readsOriginals?: boolean
  /** Whether `initIterations` has an effect. */
  takesIterations?: boolean
  /** Whether B and A are multiplied by the scale of LoRA beside the factors, as OLoRA has it, instead of being divided by it. */
  keepsScale?: boolean
  /** Factors of the matrix of all layers that share A. */
  factors(layers: readonly InitLayer[], rank: number, context: InitContext): LowRankFactors
}

/** A layer to initialise. */
export interface InitLayer {
  path: string
  layer: LoraLayer
  host: { weight: Tensor; quantization?: string; quantizedMatrix?: unknown }
}

const plainMatrix = (layers: readonly InitLayer[], name: string): Tensor => {
  const packed = layers.find(({ host }) => host.quantization !== undefined)
  if (packed !== undefined)
    throw new ConfigError(
      `\`adapter.init\` ${name} needs a base that is not quantised, got ${packed.host.quantization}. Choose loftq, or leave \`frozenWeights\` out.`,
    )
  return joined(layers.map(({ host }) => host.weight))
}

const joined = (matrices: readonly Tensor[]): Tensor =>
  cat(
    matrices.map((matrix) => matrix.detach().to('float32')),
    0,
  )

/** The initialisations that decompose matrices, by name. */
const decomposing = {
  pissa: {
    subtracts: true,
    takesIterations: true,
    factors(layers, rank, { iterations, generator }) {
      const matrix = plainMatrix(layers, 'pissa')
      return iterations === undefined
        ? bestFactors(matrix, rank)
        : sketchedFactors(matrix, rank, { iterations, generator })
    },
  },
  olora: {
    subtracts: true,
    keepsScale: true,
    factors: (layers, rank) => orthonormalFactors(plainMatrix(layers, 'olora'), rank),
  },
  loftq: {
    subtracts: false,
    readsOriginals: true,
    factors(layers, rank, { original }) {
      const plain = layers.find(({ host }) => host.quantization === undefined)
      if (plain !== undefined)
        throw new ConfigError(
          `\`adapter.init\` loftq needs a quantised base, got one whose ${plain.path} is not: set \`frozenWeights\` to nf4, nf4-double, int8 or bfloat16 (the output layer is never quantised: leave lmHead out of \`adapter.targets\`), or choose pissa.`,
        )
      const errors = layers.map(({ path, host }) => {
        const before = original?.(path)
        if (before === undefined)
          throw new ConfigError(
            `\`adapter.init\` loftq needs the matrix of ${path} before it was quantised: pass \`original\` to \`applyAdapter\`.`,
          )
        return before.detach().to('float32').sub(host.weight.to('float32'))
      })
      return bestFactors(joined(errors), rank)
    },
  },
} satisfies Record<string, Initialization>

/** Names of all initialisations. */
export const loraInits = ['default', ...(Object.keys(decomposing) as (keyof typeof decomposing)[])] as const
export type LoraInit = (typeof loraInits)[number]

/** The initialisation of a name; undefined for the random one. */
export const initializationOf = (init: LoraInit): Initialization | undefined =>
  (decomposing as Partial<Record<LoraInit, Initialization>>)[init]

/** Sets the initial values of layers that share A. */
export const initializeLayers = (layers: readonly InitLayer[], init: LoraInit, context: InitContext): void => {
  const [{ layer: first, path }] = layers
  const initialization = initializationOf(init)
  if (initialization === undefined) {
    first.initializeA(context.generator)
    return
  }
  const rows = layers.reduce((sum, { layer }) => sum + layer.b.shape[0], 0)
  const most = Math.min(rows, first.a.shape[1])
  const { rank } = first.shape
  if (rank > most)
    throw new ConfigError(`Expected a rank of at most ${most} for \`adapter.init\` ${init} at ${path}, got ${rank}.`)
  noGrad(() => {
    const { left, right } = initialization.factors(layers, rank, context)
    const share = initialization.keepsScale ? 1 : first.scale ** -0.5
    let from = 0
    for (const { layer } of layers) {
      const size = layer.b.shape[0]
      layer.startFrom(right.mul(share), left.narrow(0, from, size).mul(share), initialization.subtracts)
      from += size
    }
  })
}

/** Factors whose product `left right` approximates a matrix [outputs,inputs]: [outputs,R] and [R,inputs]. */
interface LowRankFactors {
  left: Tensor
  right: Tensor
}

/** Divides the singular values equally between orthonormal factors. */
const balanced = (u: Tensor, s: Tensor, v: Tensor): LowRankFactors => {
  const root = s.clamp({ min: 0 }).sqrt() // [R]
  return { left: u.mul(root), right: v.mul(root).t() }
}

/** The best approximation of a rank: singular vectors, with the roots of the singular values. */
export const bestFactors = (matrix: Tensor, rank: number): LowRankFactors => balanced(...largestSingular(matrix, rank))

/**
 * Nearly the best approximation of a rank, by subspace iterations from random vectors.
 * @source arXiv:0909.4061, algorithm 5.1; torch.svd_lowrank
 */
export const sketchedFactors = (
  matrix: Tensor,
  rank: number,
  { iterations, generator }: { iterations: number; generator: Generator },
): LowRankFactors => {
  const [rows, columns] = matrix.shape
  const width = Math.min(rank + oversampling, rows, columns)
  let [basis] = matrix.matmul(randn([columns, width], { generator })).qr() // [rows,width]
  for (let i = 0; i < iterations; i++) {
    const [across] = matrix.t().matmul(basis).qr()
    basis = matrix.matmul(across).qr()[0]
  }
  const [u, s, v] = largestSingular(basis.t().matmul(matrix), rank)
  return balanced(basis.matmul(u), s, v)
}
/** Vectors beyond the rank, which make the sketch more exact. */
const oversampling = 8

/**
 * The first columns of Q and the first rows of R of a QR decomposition, which depend on the first columns of the matrix
 * alone. @source arXiv:2406.01775
 */
export const orthonormalFactors = (matrix: Tensor, rank: number): LowRankFactors => {
  const [left] = matrix.narrow(1, 0, rank).contiguous().qr()
  const columns = matrix.shape[1]
  const first = left
    .t()
    .matmul(matrix.narrow(1, 0, rank))
    .triu()
  return { left, right: cat([first, left.t().matmul(matrix.narrow(1, rank, columns - rank))], 1) }
}
