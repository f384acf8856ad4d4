// BERT, ModernBERT and T5 in GGUF: the names of their tensors, and the fields of config.json. RoBERTa, XLM-R and DistilBERT are a BERT
// there, with positions from 0 and segment embeddings.
// @source https://github.com/ggml-org/llama.cpp, src/models/{bert,modern-bert,t5}.cpp (tensors), conversion/{bert,t5}.py (keys)
import type { HeadOptions } from '../models/index.ts'
import { type GgufFields, type GgufName, type GgufSizes, NameTable, readRope, shortest } from './gguf-fields.ts'
import { layerTypes } from './gguf-llama.ts'

/** llama.cpp's numbers of kinds of pooling. */
const poolings: ReadonlyMap<number, NonNullable<HeadOptions['pooling']>> = new Map([
  [1, 'mean'],
  [2, 'first'],
  [3, 'last'],
])

/** llama.cpp's number of a kind of pooling. */
export const ggufPooling = (pooling: NonNullable<HeadOptions['pooling']>): number => {
  for (const [code, own] of poolings) if (own === pooling) return code
  throw new Error(`no pooling ${pooling} in GGUF`)
}

export const bertNames = (sizes: GgufSizes): Map<string, GgufName> => {
  const { hidden, intermediate, layers, vocab, positions, segments = 1 } = sizes
  const table = new NameTable()
  table.layer('token_embd', 'embeddings.word_embeddings', [vocab, hidden])
  table.layer('position_embd', 'embeddings.position_embeddings', [positions, hidden])
  table.layer('token_types', 'embeddings.token_type_embeddings', [segments, hidden])
  table.both('token_embd_norm', 'embeddings.LayerNorm', [hidden])
  for (let i = 0; i < layers; i++) {
    const [from, to] = [`blk.${i}`, `encoder.layer.${i}`]
    table.both(`${from}.attn_q`, `${to}.attention.self.query`, [hidden, hidden])
    table.both(`${from}.attn_k`, `${to}.attention.self.key`, [hidden, hidden])
    table.both(`${from}.attn_v`, `${to}.attention.self.value`, [hidden, hidden])
    table.both(`${from}.attn_output`, `${to}.attention.output.dense`, [hidden, hidden])
    table.both(`${from}.attn_output_norm`, `${to}.attention.output.LayerNorm`, [hidden])
    table.both(`${from}.ffn_up`, `${to}.intermediate.dense`, [intermediate, hidden])
    table.both(`${from}.ffn_down`, `${to}.output.dense`, [hidden, intermediate])
    table.both(`${from}.layer_output_norm`, `${to}.output.LayerNorm`, [hidden])
  }
  return table.names
}

export const bertConfig = (fields: GgufFields, sizes: GgufSizes): Record<string, unknown> => ({
  vocab_size: sizes.vocab,
  hidden_size: sizes.hidden,
  num_hidden_layers: sizes.layers,
  num_attention_heads: sizes.heads,
  intermediate_size: sizes.intermediate,
  hidden_act: 'gelu',
  max_position_embeddings: sizes.positions,
  type_vocab_size: sizes.segments ?? 1,
  layer_norm_eps: fields.positive('attention.layer_norm_epsilon'),
})

/**
 * Pooling of the embeddings, which have norm 1 as those of llama.cpp's programs.
 * @throws CheckpointError for a classifier
 */
export const bertHead = (fields: GgufFields): Partial<HeadOptions> => {
  const code = fields.number('pooling_type') ?? 0
  const pooling = poolings.get(code)
  if (pooling === undefined && code !== 0)
    throw fields.fault('0 (none), 1 (mean), 2 (first token) or 3 (last token)', 'pooling_type', code)
  return { pooling: pooling ?? 'mean', normalize: true }
}

/** The tensors of a ModernBERT: it has no biases, and the norm of the embeddings is that of the first layer. */
export const modernBertNames = ({ hidden, intermediate, layers, vocab }: GgufSizes): Map<string, GgufName> => {
  const table = new NameTable()
  table.layer('token_embd', 'embeddings.tok_embeddings', [vocab, hidden])
  table.layer('token_embd_norm', 'embeddings.norm', [hidden])
  table.layer('output_norm', 'final_norm', [hidden])
  for (let i = 0; i < layers; i++) {
    const [from, to] = [`blk.${i}`, `layers.${i}`]
    if (i > 0) table.layer(`${from}.attn_norm`, `${to}.attn_norm`, [hidden])
    table.layer(`${from}.attn_qkv`, `${to}.attn.Wqkv`, [3 * hidden, hidden])
    table.layer(`${from}.attn_output`, `${to}.attn.Wo`, [hidden, hidden])
    table.layer(`${from}.ffn_norm`, `${to}.mlp_norm`, [hidden])
    table.layer(`${from}.ffn_up`, `${to}.mlp.Wi`, [2 * intermediate, hidden])
    table.layer(`${from}.ffn_down`, `${to}.mlp.Wo`, [hidden, intermediate])
  }
  return table.names
}

/** Our names of the activations that llama.cpp has for gated blocks. */
const activations: Readonly<Record<string, string>> = {
  gelu: 'gelu',
  geglu: 'gelu',
  silu: 'silu',
  swish: 'silu',
  swiglu: 'silu',
}

export const modernBertConfig = (fields: GgufFields, sizes: GgufSizes): Record<string, unknown> => {
  const given = fields.string('hidden_activation') ?? 'gelu'
  if (!Object.hasOwn(activations, given))
    throw fields.fault(Object.keys(activations).join(', '), 'hidden_activation', given)
  const window = fields.count('attention.sliding_window')
  const rope = readRope(fields, sizes.headDim)
  if (rope.rope_scaling !== undefined)
    throw fields.fault('none', 'rope.scaling.type', fields.string('rope.scaling.type'))
  return {
    vocab_size: sizes.vocab,
    hidden_size: sizes.hidden,
    num_hidden_layers: sizes.layers,
    num_attention_heads: sizes.heads,
    intermediate_size: sizes.intermediate,
    hidden_activation: activations[given],
    max_position_embeddings: sizes.positions,
    norm_eps: fields.positive('attention.layer_norm_epsilon'),
    global_rope_theta: rope.rope_theta,
    local_rope_theta: shortest(fields.number('rope.freq_base_swa') ?? 10_000),
    ...(window === undefined
      ? { layer_types: Array(sizes.layers).fill('full_attention') }
      : { local_attention: window, layer_types: layerTypes(fields, sizes, { every: 3, fullFirst: true }) }),
  }
}

/**
 * Key that says that the output norm of the decoder has the factor of tied embeddings, if the model has one. llama.cpp has no
 * such factor, so that our files have it in the norm; those of its own script leave it out.
 */
export const scaledNormKey = 'tunesmith.scaled_output_norm'

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
