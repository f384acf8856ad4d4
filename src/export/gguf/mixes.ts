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
  limits: Limits
}

/** Tolerances of a file. */
interface Limits {
  /** Error of a matrix, as root mean square, relative to the matrix. */
  weights: number
  /**
   * Logits, relative to the largest, and divergence of the predictions in nats, both from the model. Small random models lose
   * up to 0.6 in 4 bits, so a fault shows in `weights` first.
   */
  logits: number
  kl: number
  /**
   * The same in llama.cpp, from our own reading of the file. It keeps keys and values in float16, and multiplies
   * quantised matrices with inputs of 8 bits.
   */
  llamaCpp: { limit: number; klLimit: number }
}

const limitsOf = (weights: number, logits: number, kl: number, limit: number, klLimit: number): Limits => ({
  weights,
  logits,
  kl,
  llamaCpp: { limit, klLimit },
})

const bits4 = limitsOf(0.15, 0.8, 1, 0.1, 0.02)
const bits5 = limitsOf(0.08, 0.5, 0.5, 0.1, 0.02)

/** File types by the variant of the target `gguf`. */
export const mixes: Readonly<Record<string, Mix>> = {
  f32: { code: 0, type: 'F32', limits: limitsOf(1e-6, 1e-4, 1e-6, 1e-2, 1e-3) },
  f16: { code: 1, type: 'F16', limits: limitsOf(1e-3, 1e-2, 1e-3, 1e-2, 1e-3) },
  bf16: { code: 32, type: 'BF16', limits: limitsOf(5e-3, 5e-2, 1e-2, 5e-2, 1e-2) },
  q8_0: { code: 7, type: 'Q8_0', limits: limitsOf(0.01, 0.1, 0.05, 0.1, 0.02) },
  q6_k: { code: 18, type: 'Q6_K', limits: limitsOf(0.04, 0.25, 0.2, 0.1, 0.02) },
  q5_k_m: { code: 17, type: 'Q5_K', more: 'half', moreType: 'Q6_K', limits: bits5 },
  q5_k_s: { code: 16, type: 'Q5_K', limits: bits5 },
  q4_k_m: { code: 15, type: 'Q4_K', more: 'half', moreType: 'Q6_K', limits: bits4 },
  q4_k_s: { code: 14, type: 'Q4_K', more: 'first', moreType: 'Q5_K', limits: bits4 },
  q5_1: { code: 9, type: 'Q5_1', limits: bits5 },
  q5_0: { code: 8, type: 'Q5_0', limits: bits5 },
  q4_1: { code: 3, type: 'Q4_1', limits: bits4 },
  q4_0: { code: 2, type: 'Q4_0', limits: bits4 },
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

/** Whether matrices are written as blocks of integers with scales. */
export const isQuantised = ({ type }: Mix): boolean => Object.hasOwn(quantizers, type)

/** ggml's name of the type of a tensor. @param tied the token embedding is the output layer too */
export const typeOf = (mix: Mix, name: string, shape: readonly number[], layers: number, tied: boolean): string => {
  const row = shape.at(-1) ?? 1
  if (shape.length < 2 || name.includes('_norm')) return 'F32'
  const isOutput = name === 'output.weight' || (tied && name === 'token_embd.weight')
  if (isOutput && isQuantised(mix) && mix.type !== 'Q8_0') return row % 256 === 0 ? 'Q6_K' : fitting('Q8_0', row)
  const [, layer, part] = /^blk\.(\d+)\.(\w+)\.weight$/.exec(name) ?? []
  const more = (part === 'attn_v' || part === 'ffn_down') && getsMore(mix, part, Number(layer), layers)
  return fitting(more && mix.moreType !== undefined ? mix.moreType : mix.type, row)
}
