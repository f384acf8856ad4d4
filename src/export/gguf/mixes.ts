// Which type each tensor gets: llama.cpp's mixes for its file types, and its fallbacks for rows of other lengths.
// @source https://github.com/ggml-org/llama.cpp, src/llama-quant.cpp
import { quantizers } from './quantizers.ts'

/** A file type. */
export interface Mix {
  /** `general.file_type` */
  code: number
  /** Type of most matrices. */
  type: string
  /** Whether some layers get more bits: `half` of those of attn_v and ffn_down (`_M`), or the `first` ones (`_S`). */
  more?: 'half' | 'first'
  /** Type of those layers. */
  moreType?: string
  /** Tolerance of logits, relative to the largest, and of the divergence of predictions in nats. */
  limits: { logits: number; kl: number }
}

/** File types by the variant of the target `gguf`. */
export const mixes: Readonly<Record<string, Mix>> = {
  f32: { code: 0, type: 'F32', limits: { logits: 1e-4, kl: 1e-6 } },
  f16: { code: 1, type: 'F16', limits: { logits: 1e-2, kl: 1e-3 } },
  bf16: { code: 32, type: 'BF16', limits: { logits: 5e-2, kl: 1e-2 } },
  q8_0: { code: 7, type: 'Q8_0', limits: { logits: 0.1, kl: 0.05 } },
  q6_k: { code: 18, type: 'Q6_K', limits: { logits: 0.25, kl: 0.2 } },
  q5_k_m: { code: 17, type: 'Q5_K', more: 'half', moreType: 'Q6_K', limits: { logits: 0.5, kl: 0.5 } },
  q5_k_s: { code: 16, type: 'Q5_K', limits: { logits: 0.5, kl: 0.5 } },
  q4_k_m: { code: 15, type: 'Q4_K', more: 'half', moreType: 'Q6_K', limits: { logits: 0.8, kl: 1 } },
  q4_k_s: { code: 14, type: 'Q4_K', more: 'first', moreType: 'Q5_K', limits: { logits: 0.8, kl: 1 } },
  q5_1: { code: 9, type: 'Q5_1', limits: { logits: 0.5, kl: 0.5 } },
  q5_0: { code: 8, type: 'Q5_0', limits: { logits: 0.5, kl: 0.5 } },
  q4_1: { code: 3, type: 'Q4_1', limits: { logits: 0.8, kl: 1 } },
  q4_0: { code: 2, type: 'Q4_0', limits: { logits: 0.8, kl: 1 } },
}

const fallbacks: Record<string, string> = { Q4_K: 'Q5_0', Q5_K: 'Q5_1', Q6_K: 'Q8_0' }

/** The type, or the one for rows that are not whole blocks of it. */
const fitting = (type: string, row: number): string => {
  const quantizer = Object.hasOwn(quantizers, type) ? quantizers[type] : undefined
  if (quantizer === undefined || row % quantizer.blockSize === 0) return type
  const other = fallbacks[type]
  return other === undefined ? 'F16' : fitting(other, row)
}

const getsMore = ({ more }: Mix, name: string, layer: number, layers: number): boolean => {
  const eighth = Math.floor(layers / 8)
  if (more === 'half') return layer < eighth || layer >= Math.floor((7 * layers) / 8) || (layer - eighth) % 3 === 2
  return more === 'first' && layer < (name === 'attn_v' ? 4 : eighth)
}

/** ggml's name of the type of a tensor. @param tied the token embedding is the output layer too */
export const typeOf = (mix: Mix, name: string, shape: readonly number[], layers: number, tied: boolean): string => {
  const row = shape.at(-1) ?? 1
  if (shape.length < 2 || name.includes('_norm')) return 'F32'
  const isOutput = name === 'output.weight' || (tied && name === 'token_embd.weight')
  const quantised = Object.hasOwn(quantizers, mix.type)
  if (isOutput && quantised && mix.type !== 'Q8_0') return row % 256 === 0 ? 'Q6_K' : fitting('Q8_0', row)
  const [, layer, part] = /^blk\.(\d+)\.(\w+)\.weight$/.exec(name) ?? []
  const more = (part === 'attn_v' || part === 'ffn_down') && getsMore(mix, part, Number(layer), layers)
  return fitting(more && mix.moreType !== undefined ? mix.moreType : mix.type, row)
}
