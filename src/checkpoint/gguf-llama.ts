// Decoders in GGUF: the names of their tensors, and the fields of config.json. Most differ from Llama in a few settings; GPT-2 and GPT-NeoX
// have queries, keys and values in one matrix.
// @source https://github.com/ggml-org/llama.cpp, src/models (tensors of each), conversion (keys and order of rows)
import {
  type GgufFields,
  type GgufName,
  type GgufSizes,
  layerFlags,
  NameTable,
  pairedRows,
  readRope,
  separatedRows,
  shortest,
} from './gguf-fields.ts'

/** Where an architecture differs from Llama. */
interface LlamaShape {
  /** `hidden_act` of config.json (default: silu). */
  activation?: string
  /** Whether the rows of queries and keys are in llama.cpp's order. */
  paired?: boolean
  /** Biases: of queries, keys and values always; of any matrix as the file has them; or of none. */
  biases?: 'qkv' | 'optional'
  /** RMS norms of queries and keys: of each head, or over all heads together. */
  headNorms?: 'each' | 'all'
  /** Where the norms of attention and feed-forward block are (default: before). */
  norms?: 'before' | 'after' | 'both'
  /** What the file adds to the weights of norms. */
  normOffset?: number
  /** Queries, keys and values are one matrix, and so are both projections of the gated block. */
  fused?: boolean
  /** Names of a mixture of experts in place of each feed-forward block. */
  experts?: ExpertShape
  /** More fields of config.json. */
  more?(fields: GgufFields, sizes: GgufSizes): Record<string, unknown>
}

/** Names of a mixture of experts in transformers. */
interface ExpertShape {
  /** The mixture in its layer. */
  block: string
  /** The matrices of an expert. */
  matrices: Readonly<Record<'gate' | 'up' | 'down', string>>
}

/** Norms of a layer by their places: ggml's name and that of transformers. */
const norms: Record<NonNullable<LlamaShape['norms']>, readonly [ours: string, theirs: string][]> = {
  before: [
    ['attn_norm', 'input_layernorm'],
    ['ffn_norm', 'post_attention_layernorm'],
  ],
  after: [
    ['post_attention_norm', 'post_attention_layernorm'],
    ['post_ffw_norm', 'post_feedforward_layernorm'],
  ],
  both: [
    ['attn_norm', 'input_layernorm'],
    ['post_attention_norm', 'post_attention_layernorm'],
    ['ffn_norm', 'pre_feedforward_layernorm'],
    ['post_ffw_norm', 'post_feedforward_layernorm'],
  ],
}

/** The tensors of a mixture of experts: those of all experts are one each. */
const mixture = (
  table: NameTable,
  { from, to }: { from: string; to: string },
  { block, matrices }: ExpertShape,
  { hidden, experts = 0, intermediate, expertSize = intermediate }: GgufSizes,
): void => {
  table.layer(`${from}.ffn_gate_inp`, `${to}.${block}.gate`, [experts, hidden])
  const all = (part: keyof typeof matrices, rows: number, columns: number) =>
    table.layer(`${from}.ffn_${part}_exps`, `${to}.${block}.experts.{e}.${matrices[part]}`, [experts, rows, columns], {
      experts,
    })
  all('gate', expertSize, hidden)
  all('up', expertSize, hidden)
  all('down', hidden, expertSize)
}

export const llamaNames = (shape: LlamaShape, sizes: GgufSizes): Map<string, GgufName> => {
  const { hidden, intermediate, heads, kvHeads, headDim, vocab } = sizes
  const { normOffset, headNorms, biases } = shape
  const offset = normOffset === undefined ? {} : { offset: normOffset }
  const table = new NameTable()
  const norm = (ours: string, theirs: string, size = hidden) => table.layer(ours, theirs, [size], offset)
  table.layer('token_embd', 'model.embed_tokens', [vocab, hidden])
  norm('output_norm', 'model.norm')
  table.layer('output', 'lm_head', [vocab, hidden], { required: false })
  const bias = biases === 'optional' ? ({ bias: 'optional' } as const) : {}
  const qkvBias = biases === 'qkv' ? ({ bias: 'required' } as const) : bias
  const paired = (count: number) => (shape.paired ? { order: pairedRows(count, headDim) } : {})
  for (let i = 0; i < sizes.layers; i++) {
    const [from, to] = [`blk.${i}`, `model.layers.${i}`]
    for (const [ours, theirs] of norms[shape.norms ?? 'before']) norm(`${from}.${ours}`, `${to}.${theirs}`)
    const linear = (ours: string, theirs: string, size: number[], more: object = bias) =>
      table.layer(`${from}.${ours}`, `${to}.${theirs}`, size, more)
    if (shape.fused) {
      linear('attn_qkv', 'self_attn.qkv_proj', [(heads + 2 * kvHeads) * headDim, hidden])
    } else {
      linear('attn_q', 'self_attn.q_proj', [heads * headDim, hidden], { ...qkvBias, ...paired(heads) })
      linear('attn_k', 'self_attn.k_proj', [kvHeads * headDim, hidden], { ...qkvBias, ...paired(kvHeads) })
      linear('attn_v', 'self_attn.v_proj', [kvHeads * headDim, hidden], qkvBias)
    }
    linear('attn_output', 'self_attn.o_proj', [hidden, heads * headDim])
    if (shape.experts !== undefined) mixture(table, { from, to }, shape.experts, sizes)
    else {
      if (shape.fused) linear('ffn_up', 'mlp.gate_up_proj', [2 * intermediate, hidden])
      else {
        linear('ffn_gate', 'mlp.gate_proj', [intermediate, hidden])
        linear('ffn_up', 'mlp.up_proj', [intermediate, hidden])
      }
      linear('ffn_down', 'mlp.down_proj', [hidden, intermediate])
    }
    if (headNorms !== undefined) {
      const width = (count: number) => (headNorms === 'all' ? count * headDim : headDim)
      norm(`${from}.attn_q_norm`, `${to}.self_attn.q_norm`, width(heads))
      norm(`${from}.attn_k_norm`, `${to}.self_attn.k_norm`, width(kvHeads))
    }
  }
  return table.names
}

/** The fields of config.json. */
export const llamaConfig = (
  shape: LlamaShape,
  fields: GgufFields,
  sizes: GgufSizes,
  tied: boolean,
): Record<string, unknown> => {
  const { activation = 'silu', biases } = shape
  const hasBias = (name: string) => fields.file.tensors.has(`blk.0.${name}.bias`)
  return {
    vocab_size: sizes.vocab,
    hidden_size: sizes.hidden,
    intermediate_size: sizes.intermediate,
    num_hidden_layers: sizes.layers,
    num_attention_heads: sizes.heads,
    num_key_value_heads: sizes.kvHeads,
    head_dim: sizes.headDim,
    hidden_act: activation,
    max_position_embeddings: sizes.positions,
    rms_norm_eps: fields.positive('attention.layer_norm_rms_epsilon'),
    tie_word_embeddings: tied,
    ...readRope(fields, sizes.rotaryDim ?? sizes.headDim),
    ...(biases === 'optional' ? { attention_bias: hasBias('attn_q') } : {}),
    ...(hasBias('ffn_up') ? { mlp_bias: true } : {}),
    ...shape.more?.(fields, sizes),
  }
}

/** Share of the elements of a head that are rotated, from which their number follows again. */
const rotaryShare = ({ headDim, rotaryDim = headDim }: GgufSizes): number => {
  const share = rotaryDim / headDim
  return Math.floor(headDim * share) === rotaryDim ? share : (rotaryDim + 0.5) / headDim
}

/** Attention of each layer by the metadata. @param pattern of files that do not say it */
export const layerTypes = (
  fields: GgufFields,
  { layers }: GgufSizes,
  pattern: { every: number; fullFirst: boolean },
): string[] =>
  layerFlags(fields, 'attention.sliding_window_pattern', layers, pattern).map((slides) =>
    slides ? 'sliding_attention' : 'full_attention',
  )

/** Gemma 3 has sliding windows with rotary frequencies of their own in most layers. */
const gemma3Windows = (fields: GgufFields, sizes: GgufSizes): Record<string, unknown> => {
  const window = fields.count('attention.sliding_window')
  return {
    hidden_activation: 'gelu_pytorch_tanh',
    // llama.cpp knows the 27B model, which has another scale, by its layers.
    query_pre_attn_scalar: sizes.layers === 62 ? sizes.hidden / sizes.heads : sizes.headDim,
    rope_local_base_freq: shortest(fields.number('rope.freq_base_swa') ?? 10_000),
    ...(window === undefined
      ? { layer_types: Array(sizes.layers).fill('full_attention') }
      : { sliding_window: window, layer_types: layerTypes(fields, sizes, { every: 6, fullFirst: false }) }),
  }
}

/** Gemma 2 has sliding windows in every other layer, and caps of scores and logits. llama.cpp has the published defaults too. */
const gemma2More = (fields: GgufFields, sizes: GgufSizes): Record<string, unknown> => {
  const theta = fields.number('rope.freq_base') ?? 10_000
  const local = fields.number('rope.freq_base_swa') ?? theta
  if (local !== theta) throw fields.fault(`${theta}`, 'rope.freq_base_swa', local)
  return {
    hidden_activation: 'gelu_pytorch_tanh',
    // llama.cpp knows the 27B model, which has another scale, by its layers.
    query_pre_attn_scalar: sizes.layers === 46 ? sizes.hidden / sizes.heads : sizes.headDim,
    sliding_window: fields.count('attention.sliding_window') ?? 4096,
    layer_types: layerTypes(fields, sizes, { every: 2, fullFirst: false }),
    attn_logit_softcapping: shortest(fields.number('attn_logit_softcapping') ?? 50),
    final_logit_softcapping: shortest(fields.number('final_logit_softcapping') ?? 30),
  }
}

const mixtralMore = (fields: GgufFields, { experts }: GgufSizes): Record<string, unknown> => ({
  num_local_experts: experts,
  num_experts_per_tok: fields.need('expert_used_count'),
  sliding_window: null,
})

/** llama.cpp divides the weights of a token's experts by their sum, and has a mixture in every layer. */
const qwen3MoeMore = (fields: GgufFields, { experts, expertSize }: GgufSizes): Record<string, unknown> => ({
  num_experts: experts,
  num_experts_per_tok: fields.need('expert_used_count'),
  moe_intermediate_size: expertSize,
  norm_topk_prob: true,
})

const phi3More = (fields: GgufFields, sizes: GgufSizes): Record<string, unknown> => ({
  partial_rotary_factor: rotaryShare(sizes),
  sliding_window: fields.number('attention.sliding_window') || null,
})

/** Llama and its kin by ggml's name. */
export const llamaShapes = {
  llama: { paired: true, biases: 'optional' },
  qwen2: { biases: 'qkv' },
  qwen3: { headNorms: 'each', biases: 'optional' },
  gemma: { biases: 'optional', activation: 'gelu_pytorch_tanh', normOffset: 1 },
  gemma2: { norms: 'both', normOffset: 1, more: gemma2More },
  gemma3: { headNorms: 'each', norms: 'both', normOffset: 1, more: gemma3Windows },
  olmo2: { headNorms: 'all', norms: 'after' },
  // Layers without positions are those that the defaults of config.json say.
  smollm3: { paired: true, more: () => ({ no_rope_layer_interval: 4 }) },
  phi3: { fused: true, more: phi3More },
  mixtral: {
    paired: true,
    experts: { block: 'block_sparse_moe', matrices: { gate: 'w1', up: 'w3', down: 'w2' } },
    more: mixtralMore,
  },
  qwen3moe: {
    headNorms: 'each',
    experts: { block: 'mlp', matrices: { gate: 'gate_proj', up: 'up_proj', down: 'down_proj' } },
    more: qwen3MoeMore,
  },
} as const satisfies Record<string, LlamaShape>

export const gpt2Names = ({ hidden, intermediate, layers, vocab, positions }: GgufSizes): Map<string, GgufName> => {
  const table = new NameTable()
  table.layer('token_embd', 'transformer.wte', [vocab, hidden])
  table.layer('position_embd', 'transformer.wpe', [positions, hidden])
  table.both('output_norm', 'transformer.ln_f', [hidden])
  table.layer('output', 'lm_head', [vocab, hidden], { required: false })
  const transposed = { transposed: true }
  for (let i = 0; i < layers; i++) {
    const [from, to] = [`blk.${i}`, `transformer.h.${i}`]
    table.both(`${from}.attn_norm`, `${to}.ln_1`, [hidden])
    table.both(`${from}.attn_qkv`, `${to}.attn.c_attn`, [3 * hidden, hidden], transposed)
    table.both(`${from}.attn_output`, `${to}.attn.c_proj`, [hidden, hidden], transposed)
    table.both(`${from}.ffn_norm`, `${to}.ln_2`, [hidden])
    table.both(`${from}.ffn_up`, `${to}.mlp.c_fc`, [intermediate, hidden], transposed)
    table.both(`${from}.ffn_down`, `${to}.mlp.c_proj`, [hidden, intermediate], transposed)
  }
  return table.names
}

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

export const gptNeoxNames = (sizes: GgufSizes): Map<string, GgufName> => {
  const { hidden, intermediate, layers, vocab, heads, headDim } = sizes
  const table = new NameTable()
  table.layer('token_embd', 'gpt_neox.embed_in', [vocab, hidden])
  table.both('output_norm', 'gpt_neox.final_layer_norm', [hidden])
  table.layer('output', 'embed_out', [vocab, hidden], { required: false })
  const order = separatedRows(heads, headDim)
  for (let i = 0; i < layers; i++) {
    const [from, to] = [`blk.${i}`, `gpt_neox.layers.${i}`]
    table.both(`${from}.attn_norm`, `${to}.input_layernorm`, [hidden])
    table.both(`${from}.attn_qkv`, `${to}.attention.query_key_value`, [3 * hidden, hidden], { order })
    table.both(`${from}.attn_output`, `${to}.attention.dense`, [hidden, hidden])
    table.both(`${from}.ffn_norm`, `${to}.post_attention_layernorm`, [hidden])
    table.both(`${from}.ffn_up`, `${to}.mlp.dense_h_to_4h`, [intermediate, hidden])
    table.both(`${from}.ffn_down`, `${to}.mlp.dense_4h_to_h`, [hidden, intermediate])
  }
  return table.names
}

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
