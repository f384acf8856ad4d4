// A decoding step: one token of each row through the layers of a decoder stack, with one fused call per layer. Only for
// layers without gradients and adapters; other layers use the separate operators.
import type { Attention, GatedMlp, LayerCache, Linear, RmsNorm } from '../nn/index.ts'
import { decoderLayer, gradEnabled, isBatchInvariant, type Tensor, useLargePages } from '../tensor/index.ts'

/** The modules of a layer that the fused call uses. */
export interface StepLayer {
  attentionNorm: RmsNorm
  attention: Attention
  mlpNorm: RmsNorm
  mlp: GatedMlp
}

/** Settings of the fused call. */
export interface StepOptions {
  eps: number
  /** Sliding window of each layer; 0 for none. */
  windows: readonly number[]
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

/** Maximum number of rows of the fused call. */
const maxRows = 16

/** Caches, for each key-value cache, the tensors of its layers or that they cannot be fused: both stay while the cache grows. */
export class DecoderStep {
  readonly #options: StepOptions
  readonly #known = new WeakMap<readonly LayerCache[], (Tensor | null)[][] | null>()

  readonly #requested = new WeakSet<Tensor>()

  constructor(options: StepOptions) {
    this.#options = options
  }

  /** Tensors of each layer, where the batch can use the fused call. */
  plan(
    cache: readonly LayerCache[] | undefined,
    inputIds: Tensor,
    fits: () => readonly StepLayer[] | undefined,
  ): (Tensor | null)[][] | undefined {
    if (cache === undefined || inputIds.shape[1] !== 1 || inputIds.shape[0] > maxRows || gradEnabled()) return undefined
    // The fused call sums in the order of few rows.
    if (isBatchInvariant()) return undefined
    let parts = this.#known.get(cache)
    if (parts === undefined) {
      parts = fits()?.map(partsOf) ?? null
      const matrices = parts?.flat().filter((part) => part?.ndim === 2) ?? []
      const dtypes = new Set(matrices.map((matrix) => matrix?.dtype))
      const usable = dtypes.size === 1 && (dtypes.has('float32') || dtypes.has('bfloat16'))
      if (!usable || matrices.some((matrix) => matrix?.device !== 'cpu')) parts = null
      this.#known.set(cache, parts)
      for (const part of parts?.flat() ?? []) this.requestLargePages(part)
    }
    return parts ?? undefined
  }

  /** Asks for large pages, since every weight is read for each token. */
  requestLargePages(part: Tensor | null): void {
    if (part === null || part.ndim < 2 || this.#requested.has(part)) return
    this.#requested.add(part)
    useLargePages(part)
  }

  /** float32 [B,1,C] -> [B,1,C] after all layers; undefined while a cache is empty. */
  run(
    stream: Tensor,
    parts: readonly (Tensor | null)[][],
    cache: readonly LayerCache[],
    angles: { cos: Tensor; sin: Tensor },
    mask: Tensor | undefined,
  ): Tensor | undefined {
    const { eps, windows, scale } = this.#options
    const { cos, sin } = angles
    let current = stream
    for (let i = 0; i < parts.length; i++) {
      const next = cache[i].takeOne?.()
      if (next === undefined) return undefined
      const { keys, values, past } = next
      const options = {
        keys,
        values,
        past,
        cos,
        sin,
        mask: mask ?? null,
        parts: parts[i],
        eps,
        window: windows[i],
        scale,
      }
      current = decoderLayer(current, options)
    }
    return current
  }
}
