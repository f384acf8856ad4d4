// A decoding step: a few tokens through the layers of a decoder stack, with one fused call per layer. Only for layers
// without gradients, and without adapters but low-rank ones; other layers use the separate operators.
import {
  type Attention,
  BlockMatrix,
  type GatedMlp,
  type LayerCache,
  type Linear,
  type LowRankRows,
  type RmsNorm,
} from '../nn/index.ts'
import { decoderLayer, gradEnabled, isBatchInvariant, Tensor, useLargePages } from '../tensor/index.ts'
import type { BodyInputs } from './model.ts'

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

const blocksOf = ({ quantizedMatrix: matrix }: Linear): BlockMatrix | undefined =>
  matrix instanceof BlockMatrix ? matrix : undefined

const linear = (layer: Linear) => [blocksOf(layer)?.codes ?? layer.weight, layer.bias ?? null]

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

/** The layer's matrices in the order of the operator's `formats` and `changes`. */
const productsOf = ({ attention, mlp }: StepLayer): Linear[] => [
  attention.qProj,
  attention.kProj,
  attention.vProj,
  attention.oProj,
  mlp.gateProj,
  mlp.upProj,
  mlp.downProj,
]

/** Low-rank changes of a layer, as the operator takes them. */
interface StepChanges {
  changes: (Tensor | null)[]
  scales: number[]
  changedRows: Tensor | null
}

/** The changes of all products of a layer, by the rows that they are for. */
const changesOf = (products: readonly (readonly LowRankRows[] | undefined)[]): StepChanges => {
  const rows = new Map<string, { from: number; count: number; own: (LowRankRows | undefined)[] }>()
  products.forEach((changes, product) => {
    for (const change of changes ?? []) {
      const key = `${change.from} ${change.count}`
      const { from, count } = change
      const entry = rows.get(key) ?? { from, count, own: products.map(() => undefined) }
      entry.own[product] = change
      rows.set(key, entry)
    }
  })
  const all = [...rows.values()]
  return {
    changes: all.flatMap(({ own }) => own.flatMap((change) => [change?.a ?? null, change?.b ?? null])),
    scales: all.flatMap(({ own }) => own.map((change) => change?.scale ?? 0)),
    changedRows:
      all.length === 0
        ? null
        : Tensor.from(BigInt64Array.from(all.flatMap(({ from, count }) => [BigInt(from), BigInt(count)])), {
            shape: [all.length, 2],
          }),
  }
}

/** What the fused calls need of the layers. */
export interface StepPlan {
  layers: readonly StepLayer[]
  /** Tensors of each layer. */
  parts: LayerParts[]
}

interface LayerParts {
  parts: (Tensor | null)[]
  formats: string
  orders: (Tensor | null)[]
}

/** Maximum number of tokens of the fused call. */
const maxTokens = 64

/** Caches, for each key-value cache, the tensors of its layers or that they cannot be fused: both stay while the cache grows. */
export class DecoderStep {
  readonly #options: StepOptions
  readonly #known = new WeakMap<readonly LayerCache[], StepPlan | null>()

  readonly #requested = new WeakSet<Tensor>()

  constructor(options: StepOptions) {
    this.#options = options
  }

  /**
   * The layers, where the batch can use the fused call: one token of each row, [B,1], or some tokens of each, packed.
   * @param fits the layers, if they are as they were built
   */
  plan(
    { cache, inputIds, starts }: Pick<BodyInputs, 'cache' | 'inputIds' | 'starts'>,
    fits: () => readonly StepLayer[] | undefined,
  ): StepPlan | undefined {
    const suits = starts !== undefined || inputIds.shape[1] === 1
    if (cache === undefined || !suits || inputIds.size > maxTokens || gradEnabled()) return undefined
    // The cache of packed rows outlives changes of the layers, such as other adapters.
    if (starts !== undefined) return this.#planOf(fits()) ?? undefined
    let plan = this.#known.get(cache)
    if (plan === undefined) {
      plan = this.#planOf(fits())
      this.#known.set(cache, plan)
    }
    return plan ?? undefined
  }

  #planOf(layers: readonly StepLayer[] | undefined): StepPlan | null {
    if (layers === undefined) return null
    const products = layers.flatMap(productsOf)
    const dtypes = new Set(products.filter((layer) => blocksOf(layer) === undefined).map(({ weight }) => weight.dtype))
    const usable = dtypes.size === 0 || (dtypes.size === 1 && (dtypes.has('float32') || dtypes.has('bfloat16')))
    // Batch-invariant products are those of float32 matrices and of blocks.
    if (isBatchInvariant() && dtypes.has('bfloat16')) return null
    if (!usable || products.some(({ device }) => device !== 'cpu')) return null
    const parts = layers.map((layer): LayerParts => {
      const blocks = productsOf(layer).map(blocksOf)
      const packed = blocks.some((matrix) => matrix !== undefined)
      return {
        parts: partsOf(layer),
        formats: packed ? blocks.map((matrix) => matrix?.format ?? '').join() : '',
        orders: packed ? blocks.map((matrix) => matrix?.order ?? null) : [],
      }
    })
    for (const part of parts.flatMap((layer) => layer.parts)) this.requestLargePages(part)
    return { layers, parts }
  }

  /** Asks for large pages, since every weight is read for each token. */
  requestLargePages(part: Tensor | null): void {
    // Mapped files have the pages of the system's cache.
    if (part === null || part.ndim < 2 || part.dtype === 'uint8' || this.#requested.has(part)) return
    this.#requested.add(part)
    useLargePages(part)
  }

  /** float32 [B,1,C] -> [B,1,C] after all layers; undefined while a cache is empty. */
  run(
    stream: Tensor,
    { layers, parts }: StepPlan,
    cache: readonly LayerCache[],
    angles: { cos: Tensor; sin: Tensor },
    mask: Tensor | undefined,
  ): Tensor | undefined {
    const { eps, windows, scale } = this.#options
    const { cos, sin } = angles
    const rows = stream.shape[0]
    let current = stream
    let shared: Tensor | undefined
    for (let i = 0; i < parts.length; i++) {
      const next = cache[i].take?.()
      if (next === undefined) return undefined
      const { keys, values, past, slots = null } = next
      if (typeof past === 'number')
        shared ??= Tensor.from(new BigInt64Array(rows).fill(BigInt(past)), { shape: [rows] })
      const options = {
        keys,
        values,
        past: typeof past === 'number' ? (shared as Tensor) : past,
        slots,
        cos,
        sin,
        mask: mask ?? null,
        ...parts[i],
        ...changesOf(productsOf(layers[i]).map((layer) => layer.lowRank?.(rows))),
        eps,
        window: windows[i],
        scale,
      }
      current = decoderLayer(current, options)
    }
    return current
  }
}
