// A GGUF file as a Hugging Face checkpoint: the fields of config.json, and tensors by the keys of transformers. Settings that
// config.json cannot express are refused.
// @source https://github.com/ggml-org/llama.cpp, gguf-py/gguf/constants.py (names of keys and tensors)
import { CheckpointError } from '../core/index.ts'
import type { HeadOptions } from '../models/index.ts'
import { standInFor } from '../nn/index.ts'
import { scope, type Tensor } from '../tensor/index.ts'
import { type GgufFile, type GgufTensor, unreadable } from './gguf.ts'
import {
  bertConfig,
  bertHead,
  bertNames,
  modernBertConfig,
  modernBertNames,
  t5Config,
  t5Names,
} from './gguf-encoders.ts'
import { GgufFields, type GgufName, type GgufSizes, hfKeysOf, ropeFactorNames, storedRows } from './gguf-fields.ts'
import {
  gpt2Config,
  gpt2Names,
  gptNeoxConfig,
  gptNeoxNames,
  llamaConfig,
  llamaNames,
  llamaShapes,
} from './gguf-llama.ts'

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
  /** `model_type` of config.json (default: ggml's name). */
  modelType?: string
  names(sizes: GgufSizes): Map<string, GgufName>
  config(fields: GgufFields, sizes: GgufSizes, tied: boolean): Record<string, unknown>
  head?(fields: GgufFields): Partial<HeadOptions>
  /** Tokens see those after them too. */
  bidirectional?: boolean
  /** A head may be rotated in part. */
  rotatesInPart?: boolean
  /** Of the settings that are refused otherwise, those that config.json has here. */
  reads?: readonly string[]
  /** The architecture that files with experts have, where it has another name in transformers. */
  mixture?: Architecture
}

const likeLlama = (type: keyof typeof llamaShapes, className: string, more: Partial<Architecture> = {}) => ({
  className,
  names: (sizes: GgufSizes) => llamaNames(llamaShapes[type], sizes),
  config: (fields: GgufFields, sizes: GgufSizes, tied: boolean) => llamaConfig(llamaShapes[type], fields, sizes, tied),
  ...more,
})

const sliding = ['attention.sliding_window']
const caps = ['attn_logit_softcapping', 'final_logit_softcapping']
const experts = ['expert_count']

const architectures: Record<string, Architecture> = {
  llama: likeLlama('llama', 'LlamaForCausalLM', {
    mixture: likeLlama('mixtral', 'MixtralForCausalLM', { modelType: 'mixtral', reads: experts }),
  }),
  qwen2: likeLlama('qwen2', 'Qwen2ForCausalLM'),
  qwen3: likeLlama('qwen3', 'Qwen3ForCausalLM'),
  qwen3moe: likeLlama('qwen3moe', 'Qwen3MoeForCausalLM', { modelType: 'qwen3_moe', reads: experts }),
  gemma: likeLlama('gemma', 'GemmaForCausalLM'),
  gemma2: likeLlama('gemma2', 'Gemma2ForCausalLM', { reads: [...sliding, ...caps] }),
  gemma3: likeLlama('gemma3', 'Gemma3ForCausalLM', { modelType: 'gemma3_text', reads: sliding }),
  olmo2: likeLlama('olmo2', 'Olmo2ForCausalLM'),
  smollm3: likeLlama('smollm3', 'SmolLM3ForCausalLM'),
  phi3: likeLlama('phi3', 'Phi3ForCausalLM', { rotatesInPart: true, reads: sliding }),
  gpt2: { className: 'GPT2LMHeadModel', names: gpt2Names, config: gpt2Config },
  gptneox: {
    className: 'GPTNeoXForCausalLM',
    modelType: 'gpt_neox',
    names: gptNeoxNames,
    config: gptNeoxConfig,
    rotatesInPart: true,
    reads: ['use_parallel_residual'],
  },
  t5: { className: 'T5ForConditionalGeneration', names: t5Names, config: t5Config },
  bert: { className: 'BertModel', names: bertNames, config: bertConfig, head: bertHead, bidirectional: true },
  'modern-bert': {
    className: 'ModernBertModel',
    modelType: 'modernbert',
    names: modernBertNames,
    config: modernBertConfig,
    head: bertHead,
    bidirectional: true,
    reads: sliding,
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
  ...caps,
  'logit_scale',
  'residual_scale',
  'embedding_scale',
  'use_parallel_residual',
]

const refuseUnsupported = (fields: GgufFields, { bidirectional = false, reads = [] }: Architecture): void => {
  const harmless: Record<string, unknown> = { 'attention.causal': !bidirectional }
  for (const name of unsupportedSettings) {
    const value = fields.file.metadata.get(fields.key(name))
    if (
      reads.includes(name) ||
      value === undefined ||
      value === harmless[name] ||
      value === 0 ||
      (value === false && !(name in harmless))
    )
      continue
    throw new CheckpointError(
      `${fields.file.path}: Expected no \`${fields.key(name)}\`, got ${String(value).slice(0, 40)}. Tunesmith's ${fields.prefix} does not support it: use the Hugging Face folder of the model.`,
    )
  }
}

const hasExperts = (fields: GgufFields): boolean => (fields.number('expert_count') ?? 0) > 0

const readSizes = (fields: GgufFields, { rotatesInPart = false }: Architecture): GgufSizes => {
  const { file } = fields
  const hidden = fields.need('embedding_length')
  const heads = fields.need('attention.head_count')
  const layers = fields.need('block_count')
  if (layers > file.tensors.size) throw fields.fault('as many layers as there are tensors for', 'block_count', layers)
  const headDim = fields.count('attention.key_length') ?? hidden / heads
  if (!Number.isInteger(headDim) || headDim % 2 !== 0)
    throw fields.fault('heads of an even size', 'attention.head_count', heads)
  const valueDim = fields.count('attention.value_length') ?? headDim
  if (valueDim !== headDim) throw fields.fault(`${headDim}`, 'attention.value_length', valueDim)
  const rotaryDim = fields.count('rope.dimension_count') ?? headDim
  if (rotaryDim !== headDim && !rotatesInPart)
    throw fields.fault(`the whole head (${headDim})`, 'rope.dimension_count', rotaryDim)
  if (rotaryDim > headDim || rotaryDim % 2 !== 0)
    throw fields.fault(`an even number up to ${headDim}`, 'rope.dimension_count', rotaryDim)
  const kvHeads = fields.count('attention.head_count_kv') ?? heads
  if (heads % kvHeads !== 0) throw fields.fault(`a divisor of ${heads}`, 'attention.head_count_kv', kvHeads)
  const embedding = file.tensors.get('token_embd.weight')
  if (embedding === undefined || embedding.shape.length !== 2)
    throw new CheckpointError(`${file.path}: Expected a matrix \`token_embd.weight\`, got none.`, {
      missing: ['token_embd.weight'],
    })
  const intermediate = fields.need('feed_forward_length')
  const tokens = file.metadata.get('tokenizer.ggml.tokens')
  if (Array.isArray(tokens) && tokens.length > embedding.shape[0])
    throw new GgufFields(file, 'tokenizer.ggml').fault(`at most ${embedding.shape[0]} tokens`, 'tokens', tokens.length)
  return {
    hidden,
    intermediate,
    layers,
    heads,
    kvHeads,
    headDim,
    rotaryDim,
    vocab: embedding.shape[0],
    positions: fields.need('context_length'),
    segments: file.tensors.get('token_types.weight')?.shape[0],
    decoderLayers: fields.count('decoder_block_count'),
    buckets: fields.count('attention.relative_buckets_count'),
    gated: file.tensors.has('enc.blk.0.ffn_gate.weight'),
    ...(hasExperts(fields)
      ? {
          experts: fields.need('expert_count'),
          expertSize: fields.count('expert_feed_forward_length') ?? intermediate,
        }
      : {}),
  }
}

/**
 * Names of all tensors of an architecture, by ggml's name: the one table that files are read and written by.
 * @returns undefined for an architecture without a table
 */
export const ggufNames = (type: string, sizes: GgufSizes): Map<string, GgufName> | undefined =>
  architectureOf(type, sizes.experts !== undefined)?.names(sizes)

const architectureOf = (type: string, mixture: boolean): Architecture | undefined => {
  const found = Object.hasOwn(architectures, type) ? architectures[type] : undefined
  return (mixture ? found?.mixture : undefined) ?? found
}

const checkNames = (file: GgufFile, names: ReadonlyMap<string, GgufName>): void => {
  const missing = [...names].filter(([name, { required }]) => required && !file.tensors.has(name)).map(([name]) => name)
  const unexpected = [...file.tensors.keys()].filter((name) => !names.has(name) && !ropeFactorNames.includes(name))
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
  const fields = new GgufFields(file, type)
  const architecture = architectureOf(type, hasExperts(fields))
  if (architecture === undefined)
    throw new CheckpointError(
      `${file.path}: Expected one of ${Object.keys(architectures).join(', ')} for \`general.architecture\`, got ${type.slice(0, 40)}. Use the Hugging Face folder of the model.`,
    )
  refuseUnsupported(fields, architecture)
  const sizes = readSizes(fields, architecture)
  const names = architecture.names(sizes)
  checkNames(file, names)
  for (const [name, tensor] of file.tensors) if (!tensor.readable) throw unreadable(file.path, name, tensor.type)
  const tied = !file.tensors.has('output.weight')
  const config = {
    architectures: [architecture.className],
    model_type: architecture.modelType ?? type,
    ...architecture.config(fields, sizes, tied),
    ...tokenIds(file),
    dtype: storedDtypes[file.tensors.get('blk.0.attn_output.weight')?.type ?? ''] ?? 'float32',
  }
  const read =
    (tensor: GgufTensor, { order, transposed, offset }: GgufName) =>
    () =>
      scope(() => {
        const rows = order === undefined ? undefined : storedRows(order)
        // Blocks lie along the rows, so a transposed matrix has none.
        if (packed && tensor.readBlocks !== undefined && !transposed && offset === undefined)
          return standInFor(tensor.readBlocks(rows))
        const stored = tensor.read()
        const inOrder = rows === undefined ? stored : stored.indexSelect(0, rows)
        const turned = transposed ? inOrder.t() : inOrder
        return offset === undefined ? turned : turned.sub(offset)
      })
  return {
    config,
    headOptions: architecture.head?.(fields),
    tensors: new Map(
      [...names].flatMap(([name, entry]) => {
        const tensor = file.tensors.get(name)
        if (tensor === undefined) return []
        const parts = entry.experts === undefined ? [tensor] : tensor.parts()
        return hfKeysOf(entry).map((key, i) => [key, read(parts[i], entry)] as const)
      }),
    ),
  }
}
