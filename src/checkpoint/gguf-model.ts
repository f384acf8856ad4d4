// A GGUF file of a Llama, Qwen, Gemma, GPT-2, BERT or T5 model as a Hugging Face checkpoint: the fields of config.json, and tensors by the keys
// of transformers. Settings that config.json cannot express are refused.
// @source https://github.com/ggml-org/llama.cpp, gguf-py/gguf/constants.py (names of keys and tensors)
import { CheckpointError } from '../core/index.ts'
import type { HeadOptions } from '../models/index.ts'
import { standInFor } from '../nn/index.ts'
import { scope, Tensor } from '../tensor/index.ts'
import { type GgufFile, type GgufTensor, unreadable } from './gguf.ts'
import { bertConfig, bertHead, bertNames } from './gguf-bert.ts'
import { GgufFields } from './gguf-fields.ts'
import { readRope } from './gguf-rope.ts'
import { t5Config, t5Names } from './gguf-t5.ts'

/** A checkpoint in Hugging Face's terms. */
export interface HfCheckpoint {
  /** The fields of config.json. */
  config: Record<string, unknown>
  tensors: Map<string, () => Tensor>
  /** Options of the head that config.json does not have. */
  headOptions?: Partial<HeadOptions>
}

interface Architecture {
  /** `architectures` of config.json. */
  className: string
  /** Whether llama.cpp permutes the rows of query and key matrices. */
  permuted: boolean
  /** Norms of the queries and keys of each head. */
  headNorms: boolean
  /** Biases of queries, keys and values: always, or as in config.json. */
  qkvBias: 'always' | 'optional'
  /** `hidden_act` of config.json. */
  activation: string
  /** What the file adds to the weights of norms. */
  normOffset?: number
  /** Names of the tensors, and the fields of config.json, where they are not those of a Llama. */
  own?: {
    names(sizes: GgufSizes): Map<string, GgufName>
    config(fields: GgufFields, sizes: GgufSizes, tied: boolean): Record<string, unknown>
    head?(fields: GgufFields): Partial<HeadOptions>
  }
  /** Tokens see those after them too. */
  bidirectional?: boolean
}

const plain = { permuted: false, headNorms: false, qkvBias: 'optional', activation: 'silu' } as const

const architectures: Record<string, Architecture> = {
  llama: { ...plain, className: 'LlamaForCausalLM', permuted: true },
  qwen2: { ...plain, className: 'Qwen2ForCausalLM', qkvBias: 'always' },
  qwen3: { ...plain, className: 'Qwen3ForCausalLM', headNorms: true },
  gemma: { ...plain, className: 'GemmaForCausalLM', activation: 'gelu_pytorch_tanh', normOffset: 1 },
  gpt2: { ...plain, className: 'GPT2LMHeadModel', own: { names: gpt2Names, config: gpt2Config } },
  t5: { ...plain, className: 'T5ForConditionalGeneration', own: { names: t5Names, config: t5Config } },
  bert: {
    ...plain,
    className: 'BertModel',
    bidirectional: true,
    own: { names: bertNames, config: bertConfig, head: bertHead },
  },
}

// Settings that change what the model computes and that config.json of these architectures cannot express.
const unsupportedSettings = [
  'expert_count',
  'attention.sliding_window',
  'attention.clamp_kqv',
  'attention.max_alibi_bias',
  'attention.scale',
  'attention.causal',
  'final_logit_softcapping',
  'attn_logit_softcapping',
  'logit_scale',
  'residual_scale',
  'embedding_scale',
  'use_parallel_residual',
]

const refuseUnsupported = (fields: GgufFields, { bidirectional = false }: Architecture): void => {
  const harmless: Record<string, unknown> = { 'attention.causal': !bidirectional }
  for (const name of unsupportedSettings) {
    const value = fields.file.metadata.get(fields.key(name))
    if (value === undefined || value === harmless[name] || value === 0 || (value === false && !(name in harmless)))
      continue
    throw new CheckpointError(
      `${fields.file.path}: Expected no \`${fields.key(name)}\`, got ${String(value).slice(0, 40)}. Tunesmith's ${fields.prefix} does not support it: use the Hugging Face folder of the model.`,
    )
  }
}

/** Sizes of a Llama type that its tensors' shapes follow from. */
export interface GgufSizes {
  hidden: number
  intermediate: number
  layers: number
  heads: number
  kvHeads: number
  headDim: number
  vocab: number
  positions: number
  /** Rows of the table of segments (default: 1). */
  segments?: number
  /** Of an encoder-decoder: layers of the decoder, buckets of the relative positions, and gated feed-forward blocks. */
  decoderLayers?: number
  buckets?: number
  gated?: boolean
}

const readSizes = (fields: GgufFields): GgufSizes => {
  const { file } = fields
  const hidden = fields.need('embedding_length')
  const heads = fields.need('attention.head_count')
  const layers = fields.need('block_count')
  if (layers > file.tensors.size)
    throw fields.fault('as many layers as there are tensors for', fields.key('block_count'), layers)
  const headDim = fields.count('attention.key_length') ?? hidden / heads
  if (!Number.isInteger(headDim) || headDim % 2 !== 0)
    throw fields.fault('heads of an even size', fields.key('attention.head_count'), heads)
  const valueDim = fields.count('attention.value_length') ?? headDim
  if (valueDim !== headDim) throw fields.fault(`${headDim}`, fields.key('attention.value_length'), valueDim)
  const ropeDim = fields.count('rope.dimension_count') ?? headDim
  if (ropeDim !== headDim)
    throw fields.fault(`the whole head (${headDim})`, fields.key('rope.dimension_count'), ropeDim)
  const kvHeads = fields.count('attention.head_count_kv') ?? heads
  if (heads % kvHeads !== 0) throw fields.fault(`a divisor of ${heads}`, fields.key('attention.head_count_kv'), kvHeads)
  const embedding = file.tensors.get('token_embd.weight')
  if (embedding === undefined || embedding.shape.length !== 2)
    throw new CheckpointError(`${file.path}: Expected a matrix \`token_embd.weight\`, got none.`, {
      missing: ['token_embd.weight'],
    })
  const tokens = file.metadata.get('tokenizer.ggml.tokens')
  if (Array.isArray(tokens) && tokens.length > embedding.shape[0])
    throw fields.fault(`at most ${embedding.shape[0]} tokens`, 'tokenizer.ggml.tokens', tokens.length)
  return {
    hidden,
    intermediate: fields.need('feed_forward_length'),
    layers,
    heads,
    kvHeads,
    headDim,
    vocab: embedding.shape[0],
    positions: fields.need('context_length'),
    segments: file.tensors.get('token_types.weight')?.shape[0],
    decoderLayers: fields.count('decoder_block_count'),
    buckets: fields.count('attention.relative_buckets_count'),
    gated: file.tensors.has('enc.blk.0.ffn_gate.weight'),
  }
}

/** A tensor of a GGUF file in Hugging Face's terms. */
export interface GgufName {
  theirs: string
  shape: number[]
  required: boolean
  /** Heads whose rows llama.cpp permuted. */
  permutedHeads?: number
  /** Whether the matrix is transposed in Hugging Face's files. */
  transposed?: boolean
  /** What the file adds to the values. */
  offset?: number
}

/** The tensors of a GPT-2, whose queries, keys and values are one matrix. */
function gpt2Names({ hidden, intermediate, layers, vocab, positions }: GgufSizes): Map<string, GgufName> {
  const names = new Map<string, GgufName>()
  const add = (ours: string, theirs: string, shape: number[], more: Partial<GgufName> = {}) =>
    names.set(ours, { theirs, shape, required: true, ...more })
  const both = (ours: string, theirs: string, shape: number[], more: Partial<GgufName> = {}) => {
    add(`${ours}.weight`, `${theirs}.weight`, shape, more)
    add(`${ours}.bias`, `${theirs}.bias`, shape.slice(0, 1))
  }
  add('token_embd.weight', 'transformer.wte.weight', [vocab, hidden])
  add('position_embd.weight', 'transformer.wpe.weight', [positions, hidden])
  both('output_norm', 'transformer.ln_f', [hidden])
  add('output.weight', 'lm_head.weight', [vocab, hidden], { required: false })
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
  return names
}

function gpt2Config(fields: GgufFields, sizes: GgufSizes, tied: boolean): Record<string, unknown> {
  return {
    vocab_size: sizes.vocab,
    n_embd: sizes.hidden,
    n_layer: sizes.layers,
    n_head: sizes.heads,
    n_inner: sizes.intermediate,
    n_positions: sizes.positions,
    activation_function: 'gelu_new',
    layer_norm_epsilon: fields.positive('attention.layer_norm_epsilon'),
    tie_word_embeddings: tied,
  }
}

/** Key in Hugging Face checkpoints, and shape according to the metadata, of each tensor. */
const expectedNames = (sizes: GgufSizes, architecture: Architecture): Map<string, GgufName> => {
  if (architecture.own !== undefined) return architecture.own.names(sizes)
  const { hidden, intermediate, heads, kvHeads, headDim, vocab } = sizes
  const offset = architecture.normOffset === undefined ? {} : { offset: architecture.normOffset }
  const norm = (ours: string, theirs: string) => names.set(ours, { theirs, shape: [hidden], required: true, ...offset })
  const names = new Map<string, GgufName>()
  const add = (ours: string, theirs: string, shape: number[], more: { optional?: boolean; permuted?: number } = {}) =>
    names.set(ours, {
      theirs,
      shape,
      required: more.optional !== true,
      ...(architecture.permuted && more.permuted !== undefined ? { permutedHeads: more.permuted } : {}),
    })
  add('token_embd.weight', 'model.embed_tokens.weight', [vocab, hidden])
  norm('output_norm.weight', 'model.norm.weight')
  add('output.weight', 'lm_head.weight', [vocab, hidden], { optional: true })
  for (let i = 0; i < sizes.layers; i++) {
    const from = `blk.${i}`
    const to = `model.layers.${i}`
    const linear = (ours: string, theirs: string, shape: number[], permuted?: number, optional = true) => {
      add(`${from}.${ours}.weight`, `${to}.${theirs}.weight`, shape, { permuted })
      add(`${from}.${ours}.bias`, `${to}.${theirs}.bias`, shape.slice(0, 1), { permuted, optional })
    }
    const bias = architecture.qkvBias !== 'always'
    norm(`${from}.attn_norm.weight`, `${to}.input_layernorm.weight`)
    linear('attn_q', 'self_attn.q_proj', [heads * headDim, hidden], heads, bias)
    linear('attn_k', 'self_attn.k_proj', [kvHeads * headDim, hidden], kvHeads, bias)
    linear('attn_v', 'self_attn.v_proj', [kvHeads * headDim, hidden], undefined, bias)
    linear('attn_output', 'self_attn.o_proj', [hidden, heads * headDim])
    if (architecture.headNorms) {
      add(`${from}.attn_q_norm.weight`, `${to}.self_attn.q_norm.weight`, [headDim])
      add(`${from}.attn_k_norm.weight`, `${to}.self_attn.k_norm.weight`, [headDim])
    }
    norm(`${from}.ffn_norm.weight`, `${to}.post_attention_layernorm.weight`)
    linear('ffn_gate', 'mlp.gate_proj', [intermediate, hidden])
    linear('ffn_up', 'mlp.up_proj', [intermediate, hidden])
    linear('ffn_down', 'mlp.down_proj', [hidden, intermediate])
  }
  return names
}

/**
 * Names of all tensors of an architecture, by ggml's name: the one table that files are read and written by.
 * @returns undefined for an architecture without a table
 */
export const ggufNames = (type: string, sizes: GgufSizes): Map<string, GgufName> | undefined =>
  Object.hasOwn(architectures, type) ? expectedNames(sizes, architectures[type]) : undefined

// Not parameters: factors that config.json has as settings, checked in gguf-rope.ts.
const ropeFactors = 'rope_freqs.weight'

const checkNames = (file: GgufFile, names: ReadonlyMap<string, GgufName>): void => {
  const missing = [...names].filter(([name, { required }]) => required && !file.tensors.has(name)).map(([name]) => name)
  const unexpected = [...file.tensors.keys()].filter((name) => !names.has(name) && name !== ropeFactors)
  const mismatched = [...names].flatMap(([name, { shape }]) => {
    const given = file.tensors.get(name)?.shape
    return given === undefined || given.join() === shape.join() ? [] : [`${name}: expected [${shape}], got [${given}]`]
  })
  if (missing.length + unexpected.length + mismatched.length === 0) return
  const group = (title: string, list: readonly string[]) =>
    list.length === 0
      ? []
      : [
          `${list.length} ${title}: ${list
            .slice(0, 10)
            .map((name) => name.slice(0, 100))
            .join(', ')}${list.length > 10 ? ', …' : ''}`,
        ]
  throw new CheckpointError(
    `${file.path}: Expected the tensors that the metadata describe, got ${[
      ...group('missing', missing),
      ...group('unexpected', unexpected),
      ...group('of another shape', mismatched),
    ].join('; ')}. Check that the file is complete.`,
    { missing, unexpected, mismatched },
  )
}

/** The stored row of each row of a matrix: llama.cpp stores the two halves of a head, which RoPE pairs up, as alternate rows. */
const permutedOrder = (rows: number, heads: number): Tensor => {
  const half = rows / heads / 2
  const order = BigInt64Array.from({ length: rows }, (_, row) => {
    const [head, inHead] = [Math.floor(row / (2 * half)), row % (2 * half)]
    return BigInt(2 * half * head + 2 * (inHead % half) + Math.floor(inHead / half))
  })
  return Tensor.from(order, { shape: [rows] })
}

const hasBias = (file: GgufFile, name: string): boolean => file.tensors.has(`blk.0.${name}.bias`)

/** The fields of config.json that a Llama and its kin have. */
const llamaConfig = (
  fields: GgufFields,
  sizes: GgufSizes,
  { activation, qkvBias }: Architecture,
  tied: boolean,
): Record<string, unknown> => {
  const { file } = fields
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
    ...readRope(fields, sizes.headDim, file.tensors.get(ropeFactors)),
    ...(qkvBias === 'optional' ? { attention_bias: hasBias(file, 'attn_q') } : {}),
    ...(hasBias(file, 'ffn_up') ? { mlp_bias: true } : {}),
  }
}

const storedDtypes: Record<string, string> = { F16: 'float16', BF16: 'bfloat16' }

const tokenIds = (file: GgufFile): Record<string, number> => {
  const fields = new GgufFields(file, 'tokenizer.ggml')
  const ids: [string, number | undefined][] = [
    ['bos_token_id', fields.number('bos_token_id')],
    ['eos_token_id', fields.number('eos_token_id')],
    ['pad_token_id', fields.number('padding_token_id')],
  ]
  return Object.fromEntries(ids.filter((entry): entry is [string, number] => entry[1] !== undefined))
}

/**
 * A GGUF file as a Hugging Face checkpoint.
 * @param options - with `packed`, quantised matrices stay blocks in the mapped file: tensors without memory stand for them
 *   (`blockMatrixOf`)
 * @throws CheckpointError for other architectures, settings that config.json cannot express, tensors that do not match
 * the metadata, and unsupported types, all before any values are read
 */
export const ggufToHf = (file: GgufFile, { packed = false }: { packed?: boolean } = {}): HfCheckpoint => {
  const type = new GgufFields(file, 'general').string('architecture') ?? 'none'
  const architecture = Object.hasOwn(architectures, type) ? architectures[type] : undefined
  if (architecture === undefined)
    throw new CheckpointError(
      `${file.path}: Expected one of ${Object.keys(architectures).join(', ')} for \`general.architecture\`, got ${type.slice(0, 40)}. Use the Hugging Face folder of the model.`,
    )
  const fields = new GgufFields(file, type)
  refuseUnsupported(fields, architecture)
  const sizes = readSizes(fields)
  const names = expectedNames(sizes, architecture)
  checkNames(file, names)
  for (const [name, tensor] of file.tensors) if (!tensor.readable) throw unreadable(file.path, name, tensor.type)
  const tied = !file.tensors.has('output.weight')
  const config = {
    architectures: [architecture.className],
    model_type: type,
    ...(architecture.own?.config(fields, sizes, tied) ?? llamaConfig(fields, sizes, architecture, tied)),
    ...tokenIds(file),
    dtype: storedDtypes[file.tensors.get('blk.0.ffn_up.weight')?.type ?? ''] ?? 'float32',
  }
  const read =
    (tensor: GgufTensor, { permutedHeads, transposed, offset }: GgufName) =>
    () =>
      scope(() => {
        const order = permutedHeads === undefined ? undefined : permutedOrder(tensor.shape[0], permutedHeads)
        // Blocks lie along the rows, so a transposed matrix has none.
        if (packed && tensor.readBlocks !== undefined && !transposed && offset === undefined)
          return standInFor(tensor.readBlocks(order))
        const stored = tensor.read()
        const inOrder = order === undefined ? stored : stored.indexSelect(0, order)
        const turned = transposed ? inOrder.t() : inOrder
        return offset === undefined ? turned : turned.sub(offset)
      })
  return {
    config,
    headOptions: architecture.own?.head?.(fields),
    tensors: new Map(
      [...names].flatMap(([name, entry]) => {
        const tensor = file.tensors.get(name)
        return tensor === undefined ? [] : [[entry.theirs, read(tensor, entry)] as const]
      }),
    ),
  }
}
