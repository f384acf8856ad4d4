// ModernBERT in GGUF: the names of its tensors, and the fields of config.json.
// @source https://github.com/ggml-org/llama.cpp, src/models/modern-bert.cpp (tensors), conversion/bert.py (keys)
import { type GgufFields, shortest } from './gguf-fields.ts'
import { layerTypes } from './gguf-llama.ts'
import { type GgufName, type GgufSizes, NameTable } from './gguf-names.ts'
import { readRope } from './gguf-rope.ts'

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

/** The fields of config.json. */
export const modernBertConfig = (fields: GgufFields, sizes: GgufSizes): Record<string, unknown> => {
  const given = fields.string('hidden_activation') ?? 'gelu'
  if (!Object.hasOwn(activations, given))
    throw fields.fault(Object.keys(activations).join(', '), fields.key('hidden_activation'), given)
  const window = fields.count('attention.sliding_window')
  const rope = readRope(fields, sizes.headDim)
  if (rope.rope_scaling !== undefined)
    throw fields.fault('none', fields.key('rope.scaling.type'), fields.string('rope.scaling.type'))
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
