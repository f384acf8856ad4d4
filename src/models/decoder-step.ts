// A decoding step: a few tokens through the layers of a decoder stack in one fused call. Only for layers
// without gradients, and without adapters but low-rank ones; other layers use the separate operators.
import type { Attention, GatedMlp, LayerCache, Linear, LowRankRows, Module, RmsNorm, TakenPlaces } from '../nn/index.ts'
import {
  decoderLayers,
  gradEnabled,
  isBatchInvariant,
  prepareDecoderLayers,
  Tensor,
  useLargePages,
} from '../tensor/index.ts'
import {
  blockFormats,
  blocksOf,
  type FusedWeights,
  linearParts,
  PreparedWeights,
  SeenModules,
} from './fused-weights.ts'
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

/** In the order of the operator's `parts`. */
const partsOf = ({ attentionNorm, attention, mlpNorm, mlp }: StepLayer): (Tensor | null)[] => [
  attentionNorm.weight,
  ...linearParts(attention.qProj),
  ...linearParts(attention.kProj),
  ...linearParts(attention.vProj),
  ...linearParts(attention.oProj),
  (attention.queryNorm as RmsNorm | undefined)?.weight ?? null,
  (attention.keyNorm as RmsNorm | undefined)?.weight ?? null,
  mlpNorm.weight,
  ...linearParts(mlp.gateProj),
  ...linearParts(mlp.upProj),
  ...linearParts(mlp.downProj),
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

/** Low-rank changes of all layers, as the operator takes them. */
interface StepChanges {
  changes: (Tensor | null)[]
  scales: number[]
  changedRows: Tensor | null
}

/** The changes of the products of each layer, by the rows that they are for. */
const changesOf = (layers: readonly (readonly (readonly LowRankRows[] | undefined)[])[]): StepChanges => {
  const spans = new Map<string, { from: number; count: number; own: (LowRankRows | undefined)[][] }>()
  layers.forEach((products, layer) => {
    products.forEach((changes, product) => {
      for (const change of changes ?? []) {
        const { from, count } = change
        const key = `${from} ${count}`
        const span = spans.get(key) ?? { from, count, own: layers.map((all) => all.map(() => undefined)) }
        span.own[layer][product] = change
        spans.set(key, span)
      }
    })
  })
  if (spans.size === 0) return { changes: [], scales: [], changedRows: null }
  const all = [...spans.values()]
  const inOrder = layers.flatMap((_, layer) => all.flatMap(({ own }) => own[layer]))
  return {
    changes: inOrder.flatMap((change) => [change?.a ?? null, change?.b ?? null]),
    scales: inOrder.map((change) => change?.scale ?? 0),
    changedRows: Tensor.from(BigInt64Array.from(all.flatMap(({ from, count }) => [BigInt(from), BigInt(count)])), {
      shape: [all.length, 2],
    }),
  }
}

/** What the fused call needs of the layers. */
export interface StepPlan {
  /** Matrices of each layer, which may have low-rank changes. */
  products: readonly (readonly Linear[])[]
  /** Tensors of all layers as they are now. */
  weights: () => FusedWeights
}

const weightsOf = (layers: readonly StepLayer[]): FusedWeights => ({
  parts: layers.flatMap(partsOf),
  ...blockFormats(layers.flatMap(productsOf)),
})

/** Angles of rotary positions as the fused call takes them. */
export interface StepAngles {
  cos: Tensor
  sin: Tensor
  positions: Tensor | null
}

/** Space for the next tokens in the caches of all layers; undefined while one is empty. */
const placesOf = (
  cache: readonly LayerCache[],
): { keys: readonly Tensor[]; values: readonly Tensor[]; past: number | Tensor; slots: Tensor | null } | undefined => {
  const first = cache[0].take?.()
  if (first === undefined) return undefined
  const { past, slots = null, all } = first
  if (all?.caches === cache) return { keys: all.keys, values: all.values, past, slots }
  const places: TakenPlaces[] = [first]
  for (let layer = 1; layer < cache.length; layer++) {
    const taken = cache[layer].take?.()
    if (taken === undefined) return undefined
    places.push(taken)
  }
  return { keys: places.map(({ keys }) => keys), values: places.map(({ values }) => values), past, slots }
}

/** Maximum number of tokens of the fused call. */
const maxTokens = 64

/** Caches, for each key-value cache, the tensors of its layers or that they cannot be fused: both stay while the cache grows. */
export class DecoderStep {
  readonly #options: StepOptions
  readonly #known = new WeakMap<readonly LayerCache[], StepPlan | null>()

  readonly #requested = new WeakSet<Tensor>()
  readonly #prepared = new PreparedWeights(prepareDecoderLayers)
  /** The plan of layers without adapters, as long as they stay so. */
  #bare: { layers: SeenModules; invariant: boolean; plan: StepPlan } | undefined

  constructor(options: StepOptions) {
    this.#options = options
  }

  /**
   * The layers, where the batch can use the fused call: one token of each row, [B,1], or some tokens of each, packed.
   * @param layers all layers, in their order
   * @param fits what the call needs of them, if they are as they were built
   */
  plan(
    { cache, inputIds, starts }: Pick<BodyInputs, 'cache' | 'inputIds' | 'starts'>,
    layers: readonly Module[],
    fits: () => readonly StepLayer[] | undefined,
  ): StepPlan | undefined {
    const suits = starts !== undefined || inputIds.shape[1] === 1
    if (cache === undefined || !suits || inputIds.size > maxTokens || gradEnabled()) return undefined
    // The cache of packed rows outlives changes of the layers, such as other adapters.
    if (starts !== undefined) return this.#planOfRows(layers, fits)
    let plan = this.#known.get(cache)
    if (plan === undefined) {
      plan = this.#planOf(fits())
      this.#known.set(cache, plan)
    }
    return plan ?? undefined
  }

  #planOfRows(layers: readonly Module[], fits: () => readonly StepLayer[] | undefined): StepPlan | undefined {
    const invariant = isBatchInvariant()
    if (this.#bare?.invariant === invariant && this.#bare.layers.are(layers)) return this.#bare.plan
    this.#bare = undefined
    const plan = this.#planOf(fits()) ?? undefined
    const seen = plan === undefined ? undefined : SeenModules.of(layers)
    if (plan === undefined || seen === undefined) return plan
    // Without adapters no product has changes, and no tensor is another one as long as the layers are as they were seen.
    const weights = plan.weights()
    this.#bare = { layers: seen, invariant, plan: { products: [], weights: () => weights } }
    return this.#bare.plan
  }

  #planOf(layers: readonly StepLayer[] | undefined): StepPlan | null {
    if (layers === undefined) return null
    const products = layers.map(productsOf)
    const flat = products.flat()
    const dtypes = new Set(flat.filter((each) => blocksOf(each) === undefined).map(({ weight }) => weight.dtype))
    const usable = dtypes.size === 0 || (dtypes.size === 1 && (dtypes.has('float32') || dtypes.has('bfloat16')))
    // Batch-invariant products are those of float32 matrices and of blocks.
    if (isBatchInvariant() && dtypes.has('bfloat16')) return null
    if (!usable || flat.some(({ device }) => device !== 'cpu')) return null
    for (const part of weightsOf(layers).parts) this.requestLargePages(part)
    return { products, weights: () => weightsOf(layers) }
  }

  /** Asks for large pages, since every weight is read for each token. */
  requestLargePages(part: Tensor | null): void {
    // Mapped files have the pages of the system's cache.
    if (part === null || part.ndim < 2 || part.dtype === 'uint8' || this.#requested.has(part)) return
    this.#requested.add(part)
    useLargePages(part)
  }

  /** float32 [B,1,C] or packed [1,B,C] -> the same shape after all layers; undefined while a cache is empty. */
  run(
    stream: Tensor,
    { products, weights }: StepPlan,
    cache: readonly LayerCache[],
    { mask, ...angles }: StepAngles & { mask: Tensor | undefined },
  ): Tensor | undefined {
    const rows = stream.shape[0] * stream.shape[1]
    const places = placesOf(cache)
    if (places === undefined) return undefined
    const { past } = places
    return decoderLayers(stream, {
      ...places,
      past: typeof past === 'number' ? Tensor.from(new BigInt64Array(rows).fill(BigInt(past))) : past,
      ...angles,
      mask: mask ?? null,
      layers: this.#prepared.layersOf(weights()),
      ...changesOf(products.map((layer) => layer.map((product) => product.lowRank?.(rows)))),
      ...this.#options,
    })
  }
}
