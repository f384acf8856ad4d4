// GPT-2 and GPT-NeoX in GGUF: the names of their tensors, and the fields of config.json. Both have queries, keys and values in
// one matrix.
// @source https://github.com/ggml-org/llama.cpp, src/models/gpt2.cpp, gptneox.cpp (tensors), conversion/gptneox.py (rows)
import type { GgufFields } from './gguf-fields.ts'
import { rotaryShare } from './gguf-llama.ts'
import { type GgufName, type GgufSizes, NameTable, separatedRows } from './gguf-names.ts'
import { readRope } from './gguf-rope.ts'

/** The tensors of a GPT-2. */
export const gpt2Names = ({ hidden, intermediate, layers, vocab, positions }: GgufSizes): Map<string, GgufName> => {
  const table = new NameTable()
  const both = (ours: string, theirs: string, shape: number[], more: Partial<GgufName> = {}) =>
    table.layer(ours, theirs, shape, { bias: 'required', ...more })
  table.layer('token_embd', 'transformer.wte', [vocab, hidden])
  table.layer('position_embd', 'transformer.wpe', [positions, hidden])
  both('output_norm', 'transformer.ln_f', [hidden])
  table.layer('output', 'lm_head', [vocab, hidden], { required: false })
  const transposed = { transposed: true }
  for (let i = 0; i < layers; i++) {
    const [from, to] = [`blk.${i}`, `transformer.h.${i}`]
    both(`${from}.attn_norm`, `${to}.ln_1`, [hidden])
    both(`${from}.attn_qkv`, `${to}.attn.c_attn`, [3 * hidden, hidden], transposed)
    both(`${from}.attn_output`, `${to}.attn.c_proj`, [hidden, hidden], transposed)
    both(`${from}.ffn_norm`, `${to}.ln_2`, [hidden])
    both(`${from}.ffn_up`, `${to}.mlp.c_fc`, [intermediate, hidden], transposed)
    both(`${from}.ffn_down`, `${to}.mlp.c_proj`, [hidden, intermediate], transposed)
  }
  return table.names
}

/** The fields of config.json of a GPT-2. */
export const gpt2Config = (fields: GgufFields, sizes: GgufSizes, tied: boolean): Record<string, unknown> => ({
  vocab_size: sizes.vocab,
  n_embd: sizes.hidden,
  n_layer: sizes.layers,
  n_head: sizes.heads,
  n_inner: sizes.intermediate,
  n_positions: sizes.positions,
  activation_function: 'gelu_new',
  layer_norm_epsilon: fields.positive('attention.layer_norm_epsilon'),
  tie_word_embeddings: tied,
})

/** The tensors of a GPT-NeoX. */
export const gptNeoxNames = (sizes: GgufSizes): Map<string, GgufName> => {
  const { hidden, intermediate, layers, vocab, heads, headDim } = sizes
  const table = new NameTable()
  const both = (ours: string, theirs: string, shape: number[], more: Partial<GgufName> = {}) =>
    table.layer(ours, theirs, shape, { bias: 'required', ...more })
  table.layer('token_embd', 'gpt_neox.embed_in', [vocab, hidden])
  both('output_norm', 'gpt_neox.final_layer_norm', [hidden])
  table.layer('output', 'embed_out', [vocab, hidden], { required: false })
  const order = separatedRows(heads, headDim)
  for (let i = 0; i < layers; i++) {
    const [from, to] = [`blk.${i}`, `gpt_neox.layers.${i}`]
    both(`${from}.attn_norm`, `${to}.input_layernorm`, [hidden])
    both(`${from}.attn_qkv`, `${to}.attention.query_key_value`, [3 * hidden, hidden], { order })
    both(`${from}.attn_output`, `${to}.attention.dense`, [hidden, hidden])
    both(`${from}.ffn_norm`, `${to}.post_attention_layernorm`, [hidden])
    both(`${from}.ffn_up`, `${to}.mlp.dense_h_to_4h`, [intermediate, hidden])
    both(`${from}.ffn_down`, `${to}.mlp.dense_4h_to_h`, [hidden, intermediate])
  }
  return table.names
}

/** The fields of config.json of a GPT-NeoX. */
export const gptNeoxConfig = (fields: GgufFields, sizes: GgufSizes, tied: boolean): Record<string, unknown> => ({
  vocab_size: sizes.vocab,
  hidden_size: sizes.hidden,
  num_hidden_layers: sizes.layers,
  num_attention_heads: sizes.heads,
  intermediate_size: sizes.intermediate,
  hidden_act: 'gelu',
  max_position_embeddings: sizes.positions,
  layer_norm_eps: fields.positive('attention.layer_norm_epsilon'),
  use_parallel_residual: fields.boolean('use_parallel_residual') ?? true,
  attention_bias: true,
  partial_rotary_factor: rotaryShare(sizes),
  ...readRope(fields, sizes.rotaryDim ?? sizes.headDim),
  tie_word_embeddings: tied,
})
