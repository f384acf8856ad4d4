// Which type each tensor gets: llama.cpp's mixes for its file types, and its fallbacks for rows of other lengths.
// @source https://github.com/ggml-org/llama.cpp, src/llama-quant.cpp
import { type GgufType, ggufType } from '../../checkpoint/index.ts'

/** A quantised type, with the sizes that files are read by. */
interface Quantizer extends Pick<GgufType, 'blockSize' | 'blockBytes'> {
  /** ggml's number of the type. */
  code: number
  /** Whether ggml uses an importance matrix. */
  weighted: boolean
}

const weighted = ['Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'Q2_K', 'Q3_K', 'Q4_K', 'Q5_K', 'Q6_K', 'IQ4_NL', 'IQ4_XS']
const unweighted = ['Q8_0', 'MXFP4']

/** Quantised types by ggml's name. */
export const quantizers: Readonly<Record<string, Quantizer>> = Object.fromEntries(
  [...weighted, ...unweighted].map((name) => [name, { ...ggufType(name), weighted: weighted.includes(name) }]),
)

/** A file type. */
interface Mix {
  /** `general.file_type` */
  code: number
  /** Type of most matrices. */
  type: string
  /** Type of a matrix that gets more bits than most. */
  more?(place: Place): string | undefined
  /** Type of the output matrix (default: Q6_K). */
  output?: string
  /** In models with experts the others of their matrices are Q8_0 (default: false). */
  expertsOnly?: boolean
  /** Type of the output projection of attention in a model with eight experts (default: that of most matrices). */
  ofEight?: string
  limits: Limits
}

/** A matrix of a layer. */
interface Place {
  /** ggml's name of it within the layer: `attn_v` … */
  part: string
  layer: number
  layers: number
  /** Query heads for each key head. */
  groups: number
  /** There is an importance matrix. */
  weighted: boolean
  /** Number of experts (default: the layers have feed-forward blocks). */
  experts?: number
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

/** The first and last eighth of the layers, and a third of those between. */
const isChosen = ({ layer, layers }: Place): boolean => {
  const eighth = Math.floor(layers / 8)
  return layer < eighth || layer >= Math.floor((7 * layers) / 8) || (layer - eighth) % 3 === 2
}

const isFirst = ({ layer, layers }: Place, share: number): boolean => layer < Math.floor(layers / share)

/** `_M` of Q4_K and Q5_K. @param fused type of matrices of queries, keys and values together */
const medium =
  (fused: string) =>
  (place: Place): string | undefined => {
    if (place.part === 'attn_qkv') return fused
    return (place.part === 'attn_v' || place.part === 'ffn_down') && isChosen(place) ? 'Q6_K' : undefined
  }

/** By matrix of a layer. */
const byPart =
  (types: Partial<Record<string, string | ((place: Place) => string | undefined)>>) =>
  (place: Place): string | undefined => {
    const found = types[place.part]
    return typeof found === 'function' ? found(place) : found
  }

const wideGroups =
  (wide: string, narrow?: string) =>
  ({ groups }: Place) =>
    groups >= 4 ? wide : narrow

const iq4Mix = byPart({
  attn_v: wideGroups('Q5_K'),
  ffn_down: (place) => (isFirst(place, 8) && !place.weighted ? 'Q5_K' : undefined),
})

/** Without an offset the first blocks can go wrong where an importance matrix weighs the errors. */
const offsetFirst = (type: string) =>
  byPart({ ffn_down: (place) => (isFirst(place, 8) && place.weighted ? type : undefined) })

/**
 * llama.cpp multiplies quantised matrices with inputs of 8 bits: SmolLM2-135M in Q4_K_M differs by 0.09 and 0.011, a fault by
 * more than 1.
 */
const inEightBits = [0.2, 0.05] as const

const bits3 = limitsOf(0.25, 1, 1.5, ...inEightBits)
const bits2 = limitsOf(0.4, 1.2, 3, ...inEightBits)
const bits4 = limitsOf(0.15, 0.8, 1, ...inEightBits)
const bits5 = limitsOf(0.08, 0.5, 0.5, ...inEightBits)

/** File types by the variant of the target `gguf`. */
export const mixes: Readonly<Record<string, Mix>> = {
  f32: { code: 0, type: 'F32', limits: limitsOf(1e-6, 1e-4, 1e-6, 1e-2, 1e-3) },
  f16: { code: 1, type: 'F16', limits: limitsOf(1e-3, 1e-2, 1e-3, 1e-2, 1e-3) },
  bf16: { code: 32, type: 'BF16', limits: limitsOf(5e-3, 5e-2, 1e-2, 5e-2, 1e-2) },
  q8_0: { code: 7, type: 'Q8_0', limits: limitsOf(0.01, 0.1, 0.05, ...inEightBits) },
  q6_k: { code: 18, type: 'Q6_K', limits: limitsOf(0.04, 0.25, 0.2, ...inEightBits) },
  q5_k_m: { code: 17, type: 'Q5_K', more: medium('Q6_K'), limits: bits5 },
  q5_k_s: { code: 16, type: 'Q5_K', limits: bits5 },
  q4_k_m: { code: 15, type: 'Q4_K', ofEight: 'Q5_K', more: medium('Q5_K'), limits: bits4 },
  q4_k_s: {
    code: 14,
    type: 'Q4_K',
    ofEight: 'Q5_K',
    more: byPart({
      attn_v: ({ layer }) => (layer < 4 ? 'Q5_K' : undefined),
      ffn_down: (place) => (isFirst(place, 8) ? 'Q5_K' : undefined),
    }),
    limits: bits4,
  },
  q3_k_l: {
    code: 13,
    type: 'Q3_K',
    more: byPart({ attn_v: 'Q5_K', ffn_down: 'Q5_K', attn_output: 'Q5_K', attn_qkv: 'Q4_K' }),
    limits: bits3,
  },
  q3_k_m: {
    code: 12,
    type: 'Q3_K',
    ofEight: 'Q5_K',
    more: byPart({
      attn_v: ({ layer }) => (layer < 2 ? 'Q5_K' : 'Q4_K'),
      ffn_down: (place) => (isFirst(place, 16) ? 'Q5_K' : 'Q4_K'),
      attn_output: 'Q4_K',
      attn_qkv: 'Q4_K',
    }),
    limits: bits3,
  },
  q3_k_s: { code: 11, type: 'Q3_K', ofEight: 'Q5_K', limits: bits3 },
  q2_k: {
    code: 10,
    type: 'Q2_K',
    ofEight: 'Q5_K',
    more: byPart({ attn_v: wideGroups('Q4_K', 'Q3_K'), ffn_down: 'Q3_K', attn_output: 'Q3_K' }),
    limits: bits2,
  },
  iq4_xs: { code: 30, type: 'IQ4_XS', ofEight: 'Q5_K', more: iq4Mix, limits: bits4 },
  iq4_nl: { code: 25, type: 'IQ4_NL', ofEight: 'Q5_K', more: iq4Mix, limits: bits4 },
  mxfp4: { code: 38, type: 'MXFP4', output: 'Q8_0', expertsOnly: true, limits: bits4 },
  q5_1: { code: 9, type: 'Q5_1', limits: bits5 },
  q5_0: { code: 8, type: 'Q5_0', more: offsetFirst('Q5_1'), limits: bits5 },
  q4_1: { code: 3, type: 'Q4_1', limits: bits4 },
  q4_0: { code: 2, type: 'Q4_0', more: offsetFirst('Q4_1'), limits: bits4 },
}

const fallbacks: Record<string, string> = {
  Q2_K: 'Q4_0',
  Q3_K: 'Q4_0',
  IQ4_XS: 'IQ4_NL',
  Q4_K: 'Q5_0',
  Q5_K: 'Q5_1',
  Q6_K: 'Q8_0',
}

/** The type, or the one for rows that are not whole blocks of it. */
const fitting = (type: string, row: number): string => {
  const quantizer = Object.hasOwn(quantizers, type) ? quantizers[type] : undefined
  if (quantizer === undefined || row % quantizer.blockSize === 0) return type
  const other = fallbacks[type]
  return other === undefined ? 'F16' : fitting(other, row)
}

/** Whether matrices are written as blocks of integers with scales. */
export const isQuantised = ({ type }: Mix): boolean => Object.hasOwn(quantizers, type)

/** More bits of small matrices beside eight experts. */
const ofEight = ({ type, ofEight: output = type }: Mix, { part }: Place): string | undefined => {
  if (part === 'attn_v' || part === 'attn_k') return 'Q8_0'
  return part === 'attn_output' ? output : undefined
}

/** Tables of positions, distances and segments, which llama.cpp adds in float32. */
const isTable = (name: string): boolean => /^(position_embd|token_types)\.weight$|attn_rel_b/.test(name)

/** What the types of a model's tensors depend on. */
interface MixFacts {
  layers: number
  /** The token embedding is the output layer too. */
  tied: boolean
  /** Query heads for each key head (default: 1). */
  groups?: number
  /** Errors are weighed by an importance matrix (default: false). */
  weighted?: boolean
  /** Number of experts (default: the layers have feed-forward blocks). */
  experts?: number
}

/** ggml's name of the type of a tensor. */
export const typeOf = (
  mix: Mix,
  name: string,
  shape: readonly number[],
  { layers, tied, groups = 1, weighted = false, experts }: MixFacts,
): string => {
  const row = shape.at(-1) ?? 1
  if (shape.length < 2 || name.includes('_norm')) return 'F32'
  if (isTable(name)) return 'F32'
  const isOutput = name === 'output.weight' || (tied && name === 'token_embd.weight')
  if (isOutput && isQuantised(mix) && mix.type !== 'Q8_0') return fitting(mix.output ?? 'Q6_K', row)
  const [, layer, part, stacked] = /^(?:enc\.|dec\.)?blk\.(\d+)\.(\w+?)(_exps)?\.weight$/.exec(name) ?? []
  // What chooses the expert stays exact.
  if (part === 'ffn_gate_inp') return 'F32'
  if (!isQuantised(mix)) return mix.type
  if (mix.expertsOnly && experts !== undefined && stacked === undefined) return fitting('Q8_0', row)
  if (part === undefined) return fitting(mix.type, row)
  const place = { part, layer: Number(layer), layers, groups, weighted, experts }
  return fitting((experts === 8 ? ofEight(mix, place) : undefined) ?? mix.more?.(place) ?? mix.type, row)
}
