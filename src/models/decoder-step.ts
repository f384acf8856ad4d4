// One token of each row through the layers of a decoder stack, a fused call a layer. Only for plain layers without gradients;
// whatever was put into a layer (an adapter) makes it take the usual way. Knows no architecture.
import type { Attention, GatedMlp, LayerCache, Linear, RmsNorm } from '../nn/index.ts'
import { decoderLayer, gradEnabled, type Tensor, useLargePages } from '../tensor/index.ts'

/** The parts of a layer that the fused call takes. */
export interface StepLayer {
  attentionNorm: RmsNorm
  attention: Attention
  mlpNorm: RmsNorm
  mlp: GatedMlp
}

export interface StepOptions {
  eps: number
  window: number
  scale: number
}

const linear = ({ weight, bias }: Linear) => [weight, bias ?? null]

/** In the order of the operator's `parts`. */
const partsOf = ({ attentionNorm, attention, mlpNorm, mlp }: StepLayer): (Tensor | null)[] => [
  attentionNorm.weight,
  ...linear(attention.qProj),
  ...linear(attention.kProj),
  ...linear(attention.vProj),
  ...linear(attention.oProj),
  (attention.queryNorm as RmsNorm | undefined)?.weight ?? null,
  (attention.keyNorm as RmsNorm | undefined)?.weight ?? null,
  mlpNorm.weight,
  ...linear(mlp.gateProj),
  ...linear(mlp.upProj),
  ...linear(mlp.downProj),
]

/** As many rows as the fused call takes. */
const mostRows = 16

/** Remembers for each cache whether its layers can be fused, and their tensors: they stay the same while it grows. */
export class DecoderStep {
  readonly #options: StepOptions
  readonly #known = new WeakMap<readonly LayerCache[], (Tensor | null)[][] | null>()

  readonly #settled = new WeakSet<Tensor>()

  constructor(options: StepOptions) {
    this.#options = options
  }

  /** Tensors of each layer where the batch can go the fused way. */
  plan(
    cache: readonly LayerCache[] | undefined,
    inputIds: Tensor,
    fits: () => readonly StepLayer[] | undefined,
  ): (Tensor | null)[][] | undefined {
    if (cache === undefined || inputIds.shape[1] !== 1 || inputIds.shape[0] > mostRows || gradEnabled())
      return undefined
    let parts = this.#known.get(cache)
    if (parts === undefined) {
      parts = fits()?.map(partsOf) ?? null
      const matrices = parts?.flat().filter((part) => part?.ndim === 2) ?? []
      const dtypes = new Set(matrices.map((matrix) => matrix?.dtype))
      const usable = dtypes.size === 1 && (dtypes.has('float32') || dtypes.has('bfloat16'))
      if (!usable || matrices.some((matrix) => matrix?.device !== 'cpu')) parts = null
      this.#known.set(cache, parts)
      for (const part of parts?.flat() ?? []) this.settle(part)
    }
    return parts ?? undefined
  }

  /** Weights are streamed once a token, which is faster in large pages. */
  settle(part: Tensor | null): void {
    if (part === null || part.ndim < 2 || this.#settled.has(part)) return
    this.#settled.add(part)
    useLargePages(part)
  }

  /** float32 [B,1,C] -> [B,1,C] after all layers; undefined where a cache is still empty. */
  run(
    stream: Tensor,
    parts: readonly (Tensor | null)[][],
    cache: readonly LayerCache[],
    angles: { cos: Tensor; sin: Tensor },
    mask: Tensor | undefined,
  ): Tensor | undefined {
    const { eps, window, scale } = this.#options
    const { cos, sin } = angles
    let current = stream
    for (let i = 0; i < parts.length; i++) {
      const room = cache[i].takeOne?.()
      if (room === undefined) return undefined
      const { keys, values, past } = room
      const options = { keys, values, past, cos, sin, mask: mask ?? null, parts: parts[i], eps, window, scale }
      current = decoderLayer(current, options)
    }
    return current
  }
}
