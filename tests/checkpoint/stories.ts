// The stories260K model of the shared data as the GGUF file that llama.cpp's converter makes of it: llama2.c keeps
// queries and keys in the same turned order as GGUF, so its matrices go in as they are.
import { existsSync, readFileSync } from 'node:fs'
import { type Field, float, float32Tensor, int, text, uint, type WrittenTensor, writeGguf } from './gguf-writer.ts'

const folder = new URL('../../../shared/data/stories260k/', import.meta.url)
export const hasStories = existsSync(folder)

export const storiesFile = (name: string): Buffer => readFileSync(new URL(name, folder))

const vocabulary = (): Record<string, Field> => {
  const raw = storiesFile('tok512.bin')
  const tokens: string[] = []
  const scores: number[] = []
  for (let at = 4; at < raw.length; ) {
    const length = raw.readInt32LE(at + 4)
    scores.push(raw.readFloatLE(at))
    tokens.push(
      raw
        .subarray(at + 8, at + 8 + length)
        .toString('utf8')
        .replaceAll(' ', '▁'),
    )
    at += 8 + length
  }
  tokens[1] = '<s>'
  tokens[2] = '</s>'
  const types = Int32Array.from(tokens, (_, id) => (id === 0 ? 2 : id < 3 ? 3 : id < 259 ? 6 : 1))
  return {
    'tokenizer.ggml.model': text('llama'),
    'tokenizer.ggml.tokens': text(tokens),
    'tokenizer.ggml.scores': float(Float32Array.from(scores)),
    'tokenizer.ggml.token_type': int(types),
    'tokenizer.ggml.bos_token_id': uint(1),
    'tokenizer.ggml.eos_token_id': uint(2),
    'tokenizer.ggml.unknown_token_id': uint(0),
  }
}

export const storiesGguf = (): Buffer => {
  const raw = storiesFile('stories260K.bin')
  const [dim, hidden, layers, heads, kvHeads, vocab, context] = new Int32Array(
    raw.buffer.slice(raw.byteOffset, raw.byteOffset + 28),
  )
  const kvDim = (dim / heads) * kvHeads
  let at = 28
  const take = (count: number): Float32Array => {
    const values = new Float32Array(raw.buffer.slice(raw.byteOffset + at, raw.byteOffset + at + 4 * count))
    at += 4 * count
    return values
  }
  const tensors: Record<string, WrittenTensor> = {}
  const each = (name: string, shape: number[]) => {
    const size = shape.reduce((product, one) => product * one, 1)
    for (let i = 0; i < layers; i++) tensors[`blk.${i}.${name}.weight`] = float32Tensor(shape, take(size))
  }
  tensors['token_embd.weight'] = float32Tensor([vocab, dim], take(vocab * dim))
  each('attn_norm', [dim])
  each('attn_q', [dim, dim])
  each('attn_k', [kvDim, dim])
  each('attn_v', [kvDim, dim])
  each('attn_output', [dim, dim])
  each('ffn_norm', [dim])
  each('ffn_gate', [hidden, dim])
  each('ffn_down', [dim, hidden])
  each('ffn_up', [hidden, dim])
  tensors['output_norm.weight'] = float32Tensor([dim], take(dim))
  return writeGguf(
    {
      'general.architecture': text('llama'),
      'llama.block_count': uint(layers),
      'llama.context_length': uint(context),
      'llama.embedding_length': uint(dim),
      'llama.feed_forward_length': uint(hidden),
      'llama.attention.head_count': uint(heads),
      'llama.attention.head_count_kv': uint(kvHeads),
      'llama.attention.layer_norm_rms_epsilon': float(1e-5),
      'llama.rope.dimension_count': uint(dim / heads),
      ...vocabulary(),
    },
    tensors,
  )
}
