// Attention for every model: self and cross, causal and not, grouped heads, sliding window, rotary or relative positions,
// padded or packed rows, with or without a cache. Knows no architecture; models choose by options.
import {
  attention,
  dropout as dropWeights,
  type Generator,
  scaledDotProductAttention,
  scope,
  type Tensor,
} from '../tensor/index.ts'
import { Linear } from './linear.ts'
import { Module } from './module.ts'
import type { Norm } from './norm.ts'
import { applyRotary } from './rope.ts'

/** Keys and values of earlier tokens of one layer. */
export interface LayerCache {
  /** Adds [B,T,K,D] keys and values; returns all so far, [B,S,K,D]. */
  append(key: Tensor, value: Tensor): { key: Tensor; value: Tensor }
  /**
   * For layers that write a token themselves: counts one more, at `past` of the whole buffers [B,capacity,K,D]. Undefined before the
   * first `append`, and where a cache has no such buffers.
   */
  takeOne?(): { keys: Tensor; values: Tensor; past: number } | undefined
  /** Keys and values of the source, which stay the same: made at the first call, given again at later ones. */
  source(make: () => { key: Tensor; value: Tensor }): { key: Tensor; value: Tensor }
}

/** How the rows of a batch relate; one for a whole forward pass. */
export interface AttentionContext {
  /** Packed rows: cumulative lengths, int64 [n+1]; B is 1 then. Documents do not see each other. */
  starts?: Tensor
  /** The same for keys, where they are other rows (cross attention). */
  keyStarts?: Tensor
  /** Boolean, true where a key may be seen, broadcastable to [B,H,T,S]. */
  mask?: Tensor
  /** Added to the scores before softmax, [1|B,H,T,S]; may be learned. */
  bias?: Tensor
  /** Rotary angles of the rows' positions. */
  angles?: { cos: Tensor; sin: Tensor }
  /** Draws for dropout. */
  generator?: Generator
}

export interface AttentionOptions {
  hidden: number
  heads: number
  kvHeads?: number
  headDim?: number
  /** Size of what keys and values are made from; the hidden size unless another stack feeds them. */
  keyHidden?: number
  bias?: boolean
  outputBias?: boolean
  causal?: boolean
  /** Keys further back than this are not seen; 0 sees all. */
  window?: number
  /** Multiplies scores; 1/sqrt(headDim) unless given. */
  scale?: number
  dropout?: number
  outputScale?: number
  /** Norms over each head's queries and keys (Qwen 3). */
  queryNorm?: Norm
  keyNorm?: Norm
}

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
  readonly #dropout: number

  constructor(options: AttentionOptions) {
    super()
    const { hidden, heads, bias = true } = options
    const kvHeads = options.kvHeads ?? heads
    const headDim = options.headDim ?? hidden / heads
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
    this.#dropout = options.dropout ?? 0
  }

  /** [B,T,C] -> [B,T,C]. `source` [B,S,C] gives keys and values for cross attention, which a cache keeps; it extends a row's own. */
  forward(
    input: Tensor,
    context: AttentionContext = {},
    options: { source?: Tensor; cache?: LayerCache } = {},
  ): Tensor {
    // Queries, keys and values go before anything else is made, where neither gradient nor cache needs them.
    return this.oProj.forward(scope(() => this.#mix(input, context, options)))
  }

  /** What the heads gather, side by side, [B,T,H*D]. */
  #mix(input: Tensor, context: AttentionContext, options: { source?: Tensor; cache?: LayerCache }): Tensor {
    const [batch, length] = input.shape
    const split = (projected: Tensor, heads: number) => projected.view([batch, -1, heads, this.#headDim]) // [B,T,C] -> [B,T,H,D]
    const { source = input, cache } = options
    let query = split(this.qProj.forward(input), this.#heads)
    if (this.queryNorm !== undefined) query = this.queryNorm.forward(query)
    if (context.angles !== undefined) query = applyRotary(query, context.angles)
    const project = () => {
      let key = split(this.kProj.forward(source), this.#kvHeads)
      if (this.keyNorm !== undefined) key = this.keyNorm.forward(key)
      if (context.angles !== undefined) key = applyRotary(key, context.angles)
      return { key, value: split(this.vProj.forward(source), this.#kvHeads) }
    }
    const extend = ({ key, value }: { key: Tensor; value: Tensor }) => cache?.append(key, value) ?? { key, value }
    const { key, value } =
      options.source !== undefined && cache !== undefined ? cache.source(project) : extend(project())
    const mixed =
      context.bias === undefined ? this.#fused(query, key, value, context) : this.#biased(query, key, value, context)
    return mixed.reshape([batch, length, this.#heads * this.#headDim])
  }

  #fused(query: Tensor, key: Tensor, value: Tensor, context: AttentionContext): Tensor {
    return attention(query, key, value, {
      mask: context.mask,
      queryStarts: context.starts,
      keyStarts: context.keyStarts ?? context.starts,
      causal: this.#causal,
      window: this.#window,
      scale: this.#scale,
      dropout: this.training ? this.#dropout : 0,
      generator: context.generator,
    })
  }

  /** A learned bias needs its gradient, which only the plain form of attention gives. Causality is part of the bias. */
  #biased(query: Tensor, key: Tensor, value: Tensor, { bias, mask, generator }: AttentionContext): Tensor {
    const added = mask === undefined ? bias : bias?.maskedFill(mask.logicalNot(), Number.NEGATIVE_INFINITY)
    const heads = (x: Tensor) => x.transpose(1, 2) // [B,T,H,D] -> [B,H,T,D]
    const dropout = this.training ? this.#dropout : 0
    if (dropout === 0)
      return scaledDotProductAttention(heads(query), heads(key), heads(value), {
        attnMask: added,
        scale: this.#scale,
        enableGqa: this.#kvHeads !== this.#heads,
      }).transpose(1, 2)
    // libtorch's own would draw from its global generator: no seed of ours, and other draws when a layer is recomputed.
    const repeat = this.#heads / this.#kvHeads
    const spread = (x: Tensor) => (repeat === 1 ? heads(x) : heads(x).repeatInterleave(repeat, 1))
    const scores = heads(query).matmul(spread(key).transpose(2, 3)).mul(this.#scale)
    const weights = (added === undefined ? scores : scores.add(added)).softmax(-1)
    return dropWeights(weights, dropout, { generator }).matmul(spread(value)).transpose(1, 2)
  }
}
