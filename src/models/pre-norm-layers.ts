// The loop over layers with a norm before attention and one before the feed-forward block, as GPT-2 and Llama have, or after
// them (OLMo 2), or both (Gemma 3). Each addition to the residual stream is fused with the norm that follows, so a layer
// returns its last addition separately.
import { type AttentionContext, type LayerCache, type Norm, withRouterLogits } from '../nn/index.ts'
import type { Tensor } from '../tensor/index.ts'
import type { BodyInputs, BodyOutputs } from './model.ts'
import { layerRunner } from './recompute.ts'
import { currentRouterBalance } from './router-balance.ts'

/** A layer of such a stack. */
export interface PreNormLayer {
  attentionNorm?: Norm
  attention: { forward(input: Tensor, context: AttentionContext, options: { cache?: LayerCache }): Tensor }
  /** Norm of what attention adds. */
  attentionOutputNorm?: Norm
  mlpNorm?: Norm
  mlp: { forward(input: Tensor): Tensor }
  /** Norm of what the feed-forward block adds. */
  mlpOutputNorm?: Norm
  /** Dropout of what attention and the feed-forward block add to the residual stream. */
  dropout?: { forward(input: Tensor): Tensor }
  /** Dropout of what attention adds, where that of the feed-forward block is another. */
  attentionDropout?: { forward(input: Tensor): Tensor }
  /** Attention and feed-forward block read the same input, and their outputs are added together (GPT-NeoX). */
  parallel?: boolean
}

/** The sum, and the sum after the norm, if there is one. */
const addThenNorm = (norm: Norm | undefined, stream: Tensor, added: Tensor | null): [Tensor, Tensor] => {
  if (norm !== undefined) return norm.add(stream, added)
  const sum = added === null ? stream : stream.add(added)
  return [sum, sum]
}

/** Runs the layers and the final norm over the embeddings [B,T,C]. @param contextOf masks and angles of a layer */
export const runPreNormLayers = (
  embedded: Tensor,
  layers: readonly PreNormLayer[],
  finalNorm: Norm,
  inputs: BodyInputs,
  contextOf: (layer: number) => AttentionContext,
): BodyOutputs => {
  let stream = embedded
  let addition: Tensor | null = null
  const allHidden: Tensor[] = []
  const routing: Tensor[] = []
  const routed = currentRouterBalance() !== undefined
  const run = layerRunner(inputs)
  layers.forEach((layer, i) => {
    const drop = (x: Tensor) => layer.dropout?.forward(x) ?? x
    const forward = (residual: Tensor, added?: Tensor): Tensor[] => {
      const [input, attentionInput] = addThenNorm(layer.attentionNorm, residual, added ?? null)
      const mixed = layer.attention.forward(attentionInput, contextOf(i), { cache: inputs.cache?.[i] })
      const normed = layer.attentionOutputNorm?.forward(mixed) ?? mixed
      const attended = layer.attentionDropout?.forward(normed) ?? drop(normed)
      if (layer.parallel) {
        const widened = layer.mlp.forward(layer.mlpNorm?.forward(input) ?? input)
        return [input, input, attended.add(drop(widened))]
      }
      const [afterAttention, mlpInput] = addThenNorm(layer.mlpNorm, input, attended)
      const logits: Tensor[] = []
      const widened = withRouterLogits(routed ? logits : undefined, () => layer.mlp.forward(mlpInput))
      return [input, afterAttention, drop(layer.mlpOutputNorm?.forward(widened) ?? widened), ...logits]
    }
    const outputs = run(i, layer, forward, addition === null ? [stream] : [stream, addition])
    if (inputs.allHidden) allHidden.push(outputs[0])
    stream = outputs[1]
    addition = outputs[2]
    routing.push(...outputs.slice(3))
  })
  const [, hidden] = finalNorm.add(stream, addition)
  const routerLogits = routed ? { routerLogits: routing } : {}
  return inputs.allHidden ? { hidden, ...routerLogits, allHidden: [...allHidden, hidden] } : { hidden, ...routerLogits }
}
