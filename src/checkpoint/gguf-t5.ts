// T5 in GGUF: the names of its tensors, and the fields of config.json.
// @source https://github.com/ggml-org/llama.cpp, src/models/t5.cpp (tensors), conversion/t5.py (keys)
import type { GgufFields } from './gguf-fields.ts'
import type { GgufName, GgufSizes } from './gguf-names.ts'

/**
 * Key that says that the output norm of the decoder has the factor of tied embeddings, if the model has one. llama.cpp has no
 * such factor, so that our files have it in the norm; those of its own script leave it out.
 */
export const scaledNormKey = 'tunesmith.scaled_output_norm'

/** The tensors of a T5. */
export const t5Names = (sizes: GgufSizes): Map<string, GgufName> => {
  const { hidden, intermediate, layers, heads, headDim, vocab, buckets = 32, decoderLayers = layers } = sizes
  const names = new Map<string, GgufName>()
  const add = (ours: string, theirs: string, shape: number[], required = true) =>
    names.set(`${ours}.weight`, { theirs: `${theirs}.weight`, shape, required })
  const inner = heads * headDim
  add('token_embd', 'shared', [vocab, hidden])
  add('output', 'lm_head', [vocab, hidden], false)
  const attention = (ours: string, theirs: string) => {
    add(`${ours}_norm`, `${theirs.slice(0, theirs.lastIndexOf('.'))}.layer_norm`, [hidden])
    for (const letter of ['q', 'k', 'v']) add(`${ours}_${letter}`, `${theirs}.${letter}`, [inner, hidden])
    add(`${ours}_o`, `${theirs}.o`, [hidden, inner])
  }
  const side = (short: string, long: string, count: number, cross: boolean) => {
    for (let i = 0; i < count; i++) {
      const [from, to] = [`${short}.blk.${i}`, `${long}.block.${i}.layer`]
      attention(`${from}.attn`, `${to}.0.SelfAttention`)
      if (i === 0) add(`${from}.attn_rel_b`, `${to}.0.SelfAttention.relative_attention_bias`, [buckets, heads])
      if (cross) attention(`${from}.cross_attn`, `${to}.1.EncDecAttention`)
      const last = `${to}.${cross ? 2 : 1}`
      add(`${from}.ffn_norm`, `${last}.layer_norm`, [hidden])
      // Gated blocks have two matrices in place of one.
      add(`${from}.ffn_gate`, `${last}.DenseReluDense.wi_0`, [intermediate, hidden], false)
      add(`${from}.ffn_up`, `${last}.DenseReluDense.${sizes.gated ? 'wi_1' : 'wi'}`, [intermediate, hidden])
      add(`${from}.ffn_down`, `${last}.DenseReluDense.wo`, [hidden, intermediate])
    }
    add(`${short}.output_norm`, `${long}.final_layer_norm`, [hidden])
  }
  side('enc', 'encoder', layers, false)
  side('dec', 'decoder', decoderLayers, true)
  return names
}

/** The fields of config.json. */
export const t5Config = (fields: GgufFields, sizes: GgufSizes, tied: boolean): Record<string, unknown> => ({
  vocab_size: sizes.vocab,
  d_model: sizes.hidden,
  d_kv: sizes.headDim,
  d_ff: sizes.intermediate,
  num_layers: sizes.layers,
  num_decoder_layers: sizes.decoderLayers ?? sizes.layers,
  num_heads: sizes.heads,
  relative_attention_num_buckets: sizes.buckets,
  relative_attention_max_distance: 128,
  feed_forward_proj: sizes.gated ? 'gated-gelu' : 'relu',
  layer_norm_epsilon: fields.positive('attention.layer_norm_rms_epsilon'),
  decoder_start_token_id: fields.number('decoder_start_token_id') ?? 0,
  tie_word_embeddings: tied,
  scale_decoder_outputs: tied && fields.file.metadata.get(scaledNormKey) !== true,
  is_encoder_decoder: true,
})
