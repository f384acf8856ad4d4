// BERT in GGUF: the names of its tensors, and the fields of config.json. RoBERTa, XLM-R and DistilBERT are a BERT there, with
// positions from 0 and segment embeddings.
// @source https://github.com/ggml-org/llama.cpp, src/models/bert.cpp (tensors), conversion/bert.py (keys)
import type { HeadOptions } from '../models/index.ts'
import type { GgufFields } from './gguf-fields.ts'
import type { GgufName, GgufSizes } from './gguf-names.ts'

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

/** The tensors of a BERT. */
export const bertNames = (sizes: GgufSizes): Map<string, GgufName> => {
  const { hidden, intermediate, layers, vocab, positions, segments = 1 } = sizes
  const names = new Map<string, GgufName>()
  const add = (ours: string, theirs: string, shape: number[]) => names.set(ours, { theirs, shape, required: true })
  const both = (ours: string, theirs: string, shape: number[]) => {
    add(`${ours}.weight`, `${theirs}.weight`, shape)
    add(`${ours}.bias`, `${theirs}.bias`, shape.slice(0, 1))
  }
  add('token_embd.weight', 'embeddings.word_embeddings.weight', [vocab, hidden])
  add('position_embd.weight', 'embeddings.position_embeddings.weight', [positions, hidden])
  add('token_types.weight', 'embeddings.token_type_embeddings.weight', [segments, hidden])
  both('token_embd_norm', 'embeddings.LayerNorm', [hidden])
  for (let i = 0; i < layers; i++) {
    const [from, to] = [`blk.${i}`, `encoder.layer.${i}`]
    both(`${from}.attn_q`, `${to}.attention.self.query`, [hidden, hidden])
    both(`${from}.attn_k`, `${to}.attention.self.key`, [hidden, hidden])
    both(`${from}.attn_v`, `${to}.attention.self.value`, [hidden, hidden])
    both(`${from}.attn_output`, `${to}.attention.output.dense`, [hidden, hidden])
    both(`${from}.attn_output_norm`, `${to}.attention.output.LayerNorm`, [hidden])
    both(`${from}.ffn_up`, `${to}.intermediate.dense`, [intermediate, hidden])
    both(`${from}.ffn_down`, `${to}.output.dense`, [hidden, intermediate])
    both(`${from}.layer_output_norm`, `${to}.output.LayerNorm`, [hidden])
  }
  return names
}

/** The fields of config.json. */
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
    throw fields.fault('0 (none), 1 (mean), 2 (first token) or 3 (last token)', fields.key('pooling_type'), code)
  return { pooling: pooling ?? 'mean', normalize: true }
}
