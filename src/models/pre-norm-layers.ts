// The loop over layers with a norm before attention and one before the feed-forward block, as GPT-2 and Llama have. Each
// addition to the residual stream is fused with the norm that follows, so a layer returns its last addition separately.
import type { AttentionContext, LayerCache, Norm } from '../nn/index.ts'
import type { Generator, Tensor } from '../tensor/index.ts'
import type { BodyInputs, BodyOutputs } from './model.ts'
import { layerRunner } from './recompute.ts'

/** A layer of such a stack. */
export interface PreNormLayer {
  attentionNorm: Norm
  attention: { forward(input: Tensor, context: AttentionContext, options: { cache?: LayerCache }): Tensor }
  mlpNorm: Norm
  mlp: { forward(input: Tensor): Tensor }
  /** Dropout of what attention and the feed-forward block add to the residual stream. */
  dropout?: { forward(input: Tensor, generator?: Generator): Tensor }
}

/** Runs the layers and the final norm over the embeddings [B,T,C]. */
export const runPreNormLayers = (
  embedded: Tensor,
  layers: readonly PreNormLayer[],
  finalNorm: Norm,
  inputs: BodyInputs,
  context: AttentionContext,
): BodyOutputs => {
  let stream = embedded
  let addition: Tensor | null = null
  const allHidden: Tensor[] = []
  const run = layerRunner(inputs)
  layers.forEach((layer, i) => {
    const drop = (x: Tensor) => layer.dropout?.forward(x, inputs.generator) ?? x
    const forward = (residual: Tensor, added?: Tensor): Tensor[] => {
      const [input, attentionInput] = layer.attentionNorm.add(residual, added ?? null)
      const attended = drop(layer.attention.forward(attentionInput, context, { cache: inputs.cache?.[i] }))
      const [afterAttention, mlpInput] = layer.mlpNorm.add(input, attended)
      return [input, afterAttention, drop(layer.mlp.forward(mlpInput))]
    }
    const outputs = run(i, forward, addition === null ? [stream] : [stream, addition])
    if (inputs.allHidden) allHidden.push(outputs[0])
    stream = outputs[1]
    addition = outputs[2]
  })
  const [, hidden] = finalNorm.add(stream, addition)
  return inputs.allHidden ? { hidden, allHidden: [...allHidden, hidden] } : { hidden }
}
