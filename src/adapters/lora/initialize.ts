// Initial values of LoRA: random, or factors of the frozen matrix (PiSSA, OLoRA) or of the error of its quantisation
// (LoftQ).
import { ConfigError } from '../../core/index.ts'
import { cat, type Generator, noGrad, type Tensor } from '../../tensor/index.ts'
import { bestFactors, type LowRankFactors, orthonormalFactors, sketchedFactors } from './decompositions.ts'
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
