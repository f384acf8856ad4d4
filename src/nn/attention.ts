// Attention for every model: self and cross, causal and not, grouped heads, sliding window, rotary or relative positions,
// padded or packed rows, with or without a cache. Models choose by options.
import { ConfigError } from '../core/index.ts'
import { attention, scaledDotProductAttention, scope, softCap, type Tensor } from '../tensor/index.ts'
import { dropoutNumbers, dropWeights } from './dropout.ts'
import { Linear } from './linear.ts'
import { Module } from './module.ts'
import type { Norm } from './norm.ts'
import { applyRotary } from './rope.ts'

/** Cache of the keys and values of earlier tokens, for one layer. */
export interface LayerCache {
  /** Appends keys and values [B,T,K,D] and returns all so far, [B,S,K,D]. */
  append(key: Tensor, value: Tensor): CachedKeys
  /**
   * For layers that write the next tokens into the cache themselves: reserves position `past` of the buffers [B,capacity,K,D]
   * for each. Undefined before the first `append`, and for a cache without such buffers.
   */
  take?(): TakenPlaces | undefined
  /**
   * For caches of packed rows with different lengths: puts the keys and values of virtual tokens, [1,P,K,D] or [P,K·D],
   * in front of the rows that have no token yet.
   */
  prepend?(virtual: () => { key: Tensor; value: Tensor }): void
  /** Keys and values of cross attention, which stay the same: computed at the first call and cached. */
  source(make: () => { key: Tensor; value: Tensor }): { key: Tensor; value: Tensor }
}

/** Space for more tokens in buffers [R,capacity,K,D]: one of each row, or with `slots` any number of some rows. */
export interface TakenPlaces {
  keys: Tensor
  values: Tensor
  /** Tokens of all rows so far; with `slots`, those before each new token in its row, int64 [n]. */
  past: number | Tensor
  /** Row of the buffers for each new token, int64 [n] (default: one token of every row, in order). */
  slots?: Tensor
  /** Where the places of all layers are the same: the list of their caches, and the buffers of each. */
  all?: { caches: readonly LayerCache[]; keys: readonly Tensor[]; values: readonly Tensor[] }
}

/** Keys and values of all tokens so far. */
export interface CachedKeys {
  key: Tensor
  value: Tensor
  /** Packed rows over buffers [R,capacity,K,D]: the row of each sequence, and how many of its keys there are, int64 [n]. */
  rows?: Tensor
  lengths?: Tensor
  /**
   * For one query of each of n rows, with keys [n,S,K,D] of one length for all: which of them each query sees in a window of so
   * many keys (0: all so far), bool [n,1,1,S]. Lengths are on the device then, so that the step has the same shapes for others.
   */
  seenIn?: (window: number) => Tensor
}

/** Masks, packing and positions of a batch, shared by all layers of a forward pass. */
export interface AttentionContext {
  /** Packed documents, with B = 1: cumulative lengths, int64 [n+1] on the CPU. Documents do not attend to each other. */
  starts?: Tensor
  /** Cumulative lengths of the keys, on the CPU (default: `starts`). */
  keyStarts?: Tensor
  /** Index of the token of each key of the packed documents, int64 [S] (default: each token once, in order). */
  keyPlaces?: Tensor
  /** bool, true where a query may attend to a key, broadcast to [B,H,T,S]. */
  mask?: Tensor
  /** Added to the scores before softmax, [1|B,H,T,S]; may need a gradient. */
  bias?: Tensor
  /** Embeddings of distances, [P,C], and which one each query and key has, int64 [T,S] (`DisentangledAttention`). */
  distances?: { embeddings: Tensor; index: Tensor }
  /** Rotary position embeddings of the rows' positions. */
  angles?: { cos: Tensor; sin: Tensor }
}

/** Shape and behaviour of an attention layer. */
export interface AttentionOptions {
  /** Width of the input and output. */
  hidden: number
  /** Query heads. */
  heads: number
  /** Key and value heads (default: `heads`). */
  kvHeads?: number
  /** Size of a head (default: `hidden / heads`). */
  headDim?: number
  /** Width of the input of keys and values (default: `hidden`). */
  keyHidden?: number
  /** Biases of the projections (default: true). */
  bias?: boolean
  /** Bias of the output projection (default: `bias`). */
  outputBias?: boolean
  /** Queries attend to no later keys (default: false). */
  causal?: boolean
  /** Sliding window: number of keys that a query attends to, its own included (default: 0, all). */
  window?: number
  /** Factor of the scores (default: 1/sqrt(headDim)). */
  scale?: number
  /** Soft cap of the scaled scores, before masks (default: 0, none). */
  softcap?: number
  /** Dropout of attention weights (default: 0). */
  dropout?: number
  /** Factor of the output projection's initial standard deviation (default: 1). */
  outputScale?: number
  /** Norms of each head's queries and keys (Qwen 3). */
  queryNorm?: Norm
  keyNorm?: Norm
  /** The norms are over all heads together (OLMo 2). */
  normsAllHeads?: boolean
}

/** Settings of an attention layer with their defaults filled in. */
export type AttentionSettings = Required<
  Pick<AttentionOptions, 'heads' | 'kvHeads' | 'headDim' | 'causal' | 'window' | 'scale' | 'softcap' | 'normsAllHeads'>
>

/** @throws ConfigError for heads without a whole size, or that the key and value heads cannot share evenly */
const expectHeads = (sizes: { hidden: number; heads: number; kvHeads: number; headDim: number }): void => {
  const { hidden, heads, kvHeads, headDim } = sizes
  if (!Number.isInteger(headDim))
    throw new ConfigError(
      `Expected a width that is a multiple of the attention heads, got a width of ${hidden} and ${heads} heads. Change \`hiddenSize\` or \`numHeads\`.`,
    )
  if (heads % kvHeads !== 0)
    throw new ConfigError(
      `Expected attention heads that are a multiple of the key and value heads, got ${heads} and ${kvHeads}. Change \`numHeads\` or \`numKvHeads\`.`,
    )
}

/** Multi-head attention with its projections. Its parameters are not set until `initialize` or `loadState`, see `Module`. */
export class Attention extends Module {
  qProj: Linear
  kProj: Linear
  vProj: Linear
  oProj: Linear
  queryNorm?: Norm
  keyNorm?: Norm
  readonly #heads: number
  readonly #kvHeads: number
  readonly #headDim: number
  readonly #causal: boolean
  readonly #window: number
  readonly #scale: number
  readonly #softcap: number
  readonly #dropout: number
  readonly #normsAllHeads: boolean

  /** Numbers of heads and their size, what a query attends to, factor and cap of the scores, and where the norms are. */
  get settings(): AttentionSettings {
    const [heads, kvHeads, headDim] = [this.#heads, this.#kvHeads, this.#headDim]
    const [causal, window, scale, softcap] = [this.#causal, this.#window, this.#scale, this.#softcap]
    return { heads, kvHeads, headDim, causal, window, scale, softcap, normsAllHeads: this.#normsAllHeads }
  }

  constructor(options: AttentionOptions) {
    super()
    const { hidden, heads, bias = true } = options
    const kvHeads = options.kvHeads ?? heads
    const headDim = options.headDim ?? hidden / heads
    expectHeads({ hidden, heads, kvHeads, headDim })
    const keyHidden = options.keyHidden ?? hidden
    this.qProj = new Linear(hidden, heads * headDim, { bias })
    this.kProj = new Linear(keyHidden, kvHeads * headDim, { bias })
    this.vProj = new Linear(keyHidden, kvHeads * headDim, { bias })
    this.oProj = new Linear(heads * headDim, hidden, {
      bias: options.outputBias ?? bias,
      initialScale: options.outputScale ?? 1,
    })
    if (options.queryNorm !== undefined) this.queryNorm = options.queryNorm
    if (options.keyNorm !== undefined) this.keyNorm = options.keyNorm
    this.#heads = heads
    this.#kvHeads = kvHeads
    this.#headDim = headDim
    this.#causal = options.causal ?? false
    this.#window = options.window ?? 0
    this.#scale = options.scale ?? headDim ** -0.5
    this.#softcap = options.softcap ?? 0
    this.#dropout = options.dropout ?? 0
    this.#normsAllHeads = options.normsAllHeads ?? false
  }

  get #activeDropout(): number {
    return this.training ? this.#dropout : 0
  }

  /** A prompt that several answers share has one mask, where each answer alone would have its own. */
  override get sharesKeys(): boolean {
    return this.#activeDropout === 0
  }

  /**
   * [B,T,C] -> [B,T,C]. With `source` [B,S,C] it is cross attention, whose keys and values the cache keeps; without, the cache
   * is extended by the input's own.
   */
  forward(
    input: Tensor,
    context: AttentionContext = {},
    options: { source?: Tensor; cache?: LayerCache } = {},
  ): Tensor {
    // Free q, k and v before the output projection where neither autograd nor the cache holds them.
    return this.oProj.forward(scope(() => this.#mix(input, context, options)))
  }

  /** The heads' outputs, concatenated: [B,T,H*D]. */
  #mix(input: Tensor, context: AttentionContext, options: { source?: Tensor; cache?: LayerCache }): Tensor {
    const [batch, length] = input.shape
    const split = (projected: Tensor, heads: number) => projected.view([batch, -1, heads, this.#headDim]) // [B,T,C] -> [B,T,H,D]
    const { source = input, cache } = options
    const normed = (projected: Tensor, norm: Norm | undefined, heads: number) => {
      if (norm === undefined) return split(projected, heads)
      return this.#normsAllHeads ? split(norm.forward(projected), heads) : norm.forward(split(projected, heads))
    }
    let query = normed(this.qProj.forward(input), this.queryNorm, this.#heads)
    if (context.angles !== undefined) query = applyRotary(query, context.angles)
    const project = () => {
      let key = normed(this.kProj.forward(source), this.keyNorm, this.#kvHeads)
      if (context.angles !== undefined) key = applyRotary(key, context.angles)
      return { key, value: split(this.vProj.forward(source), this.#kvHeads) }
    }
    const extend = ({ key, value }: { key: Tensor; value: Tensor }) => cache?.append(key, value) ?? { key, value }
    const found: CachedKeys =
      options.source !== undefined && cache !== undefined ? cache.source(project) : extend(project())
    const all = context.keyPlaces === undefined ? found : { ...found, ...placed(found, context.keyPlaces) }
    const bias = this.biasOf(query, all.key, context)
    const mixed = bias === undefined ? this.#fused(query, all, context) : this.#biased(query, all, { ...context, bias })
    return mixed.reshape([batch, length, this.#heads * this.#headDim])
  }

  /** What is added to the scores. @param query [B,T,H,D] @param key [B,S,K,D] */
  protected biasOf(_query: Tensor, _key: Tensor, context: AttentionContext): Tensor | undefined {
    return context.bias
  }

  /** One query of each row [1,n,H,D] and the keys of rows [n,S,K,D]. */
  #step(query: Tensor, { key, value }: CachedKeys, seen: Tensor): Tensor {
    return attention(query.transpose(0, 1), key, value, {
      mask: seen,
      causal: false,
      window: 0,
      scale: this.#scale,
      ...(this.#softcap > 0 ? { softcap: this.#softcap } : {}),
    }).transpose(0, 1)
  }

  #fused(query: Tensor, { key, value, rows, lengths, seenIn }: CachedKeys, context: AttentionContext): Tensor {
    if (seenIn !== undefined) return this.#step(query, { key, value }, seenIn(this.#window))
    const dropout = this.#activeDropout
    return attention(query, key, value, {
      mask: context.mask,
      queryStarts: context.starts,
      keyStarts: lengths === undefined ? (context.keyStarts ?? context.starts) : undefined,
      keyRows: rows,
      keyLengths: lengths,
      causal: this.#causal,
      window: this.#window,
      scale: this.#scale,
      ...(this.#softcap > 0 ? { softcap: this.#softcap } : {}),
      ...(dropout > 0 ? { dropout, ...dropoutNumbers(query.shape.slice(0, 2)) } : {}),
    })
  }

  /** Attention with a bias that may need a gradient, which the fused kernel does not compute. Causality is part of the bias. */
  #biased(query: Tensor, { key, value }: CachedKeys, { bias, mask }: AttentionContext): Tensor {
    const added = mask === undefined ? bias : bias?.maskedFill(mask.logicalNot(), Number.NEGATIVE_INFINITY)
    const heads = (x: Tensor) => x.transpose(1, 2) // [B,T,H,D] -> [B,H,T,D]
    const dropout = this.#activeDropout
    if (dropout === 0 && this.#softcap === 0)
      return scaledDotProductAttention(heads(query), heads(key), heads(value), {
        attnMask: added,
        scale: this.#scale,
        enableGqa: this.#kvHeads !== this.#heads,
      }).transpose(1, 2)
    // libtorch's dropout has other masks in other batches, and when a layer is recomputed.
    const repeat = this.#heads / this.#kvHeads
    const spread = (x: Tensor) => (repeat === 1 ? heads(x) : heads(x).repeatInterleave(repeat, 1))
    const products = heads(query).matmul(spread(key).transpose(2, 3)).mul(this.#scale)
    const scores = this.#softcap > 0 ? softCap(products, this.#softcap) : products
    const weights = (added === undefined ? scores : scores.add(added)).softmax(-1)
    return dropWeights(weights, dropout).matmul(spread(value)).transpose(1, 2)
  }
}

/** The keys and values of these tokens of a packed row. */
const placed = ({ key, value }: CachedKeys, places: Tensor): { key: Tensor; value: Tensor } => {
  // Rows of a matrix: their gradients are summed faster than those along an inner dimension.
  const pick = (x: Tensor): Tensor => {
    const [, , heads, size] = x.shape
    return x.flatten(2).squeeze(0).indexSelect(0, places).view([1, -1, heads, size]) // [1,T,K,D] -> [1,S,K,D]
  }
  return { key: pick(key), value: pick(value) }
}
