// What is damaged and how it is opened, a suite a format. A suite's `open` throws what the library throws, and returns
// what it finds wrong with a file that did open. Knows no runner.
import { readFileSync } from 'node:fs'
import {
  fromHfKeys,
  ggufToHf,
  ggufTokenizer,
  makeSafetensorsHeader,
  openGguf,
  openSafetensors,
} from '../../src/checkpoint/index.ts'
import { CheckpointError, type Random, TunesmithError } from '../../src/core/index.ts'
import { models } from '../../src/models/index.ts'
import { freeTensors, Generator, noGrad, scope, Tensor } from '../../src/tensor/index.ts'
import { loadTokenizer } from '../../src/tokenizers/index.ts'
import { type Field, float, float32Tensor, int, text, uint, type WrittenTensor, writeGguf } from './gguf-writer.ts'
import { damageBytes, damageJson, damageText, type Json, pick } from './hostile-mutations.ts'

export interface Suite {
  file: string
  mutate(random: Random): Buffer
  /** Throws, or says what is wrong with the result. */
  open(path: string, mutant: Buffer): Promise<string | undefined>
}

const bytesOf = (tensor: Tensor): Buffer => {
  const values = tensor.toTypedArray()
  return Buffer.from(values.buffer, values.byteOffset, values.byteLength)
}

/** --- safetensors --- */
const safetensorsSeed = scope(() => {
  const tensors = new Map<string, Tensor>()
  const add = (name: string, shape: number[], dtype: Parameters<Tensor['to']>[0]) => {
    const count = shape.reduce((product, size) => product * size, 1)
    tensors.set(
      name,
      Tensor.from(
        Float32Array.from({ length: count }, (_, i) => i % 90),
        { shape },
      ).to(dtype),
    )
  }
  add('a.weight', [4, 8], 'float32')
  add('b.weight', [3, 5], 'bfloat16')
  add('c', [], 'int64')
  add('d.bias', [7], 'float16')
  add('e', [2, 0, 3], 'float32')
  add('f', [9], 'uint8')
  const header = makeSafetensorsHeader(tensors, { format: 'pt', note: 'seed' })
  return Buffer.concat([header, ...[...tensors.values()].map(bytesOf)])
})
const safetensorsHeaderBytes = 8 + Number(safetensorsSeed.readBigUInt64LE(0))

const withHeader = (json: string, fixLength: boolean): Buffer => {
  const header = Buffer.from(json, 'utf8')
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(fixLength ? header.length : safetensorsHeaderBytes - 8))
  return Buffer.concat([length, header, safetensorsSeed.subarray(safetensorsHeaderBytes)])
}

const safetensors: Suite = {
  file: 'model.safetensors',
  mutate: (random) => {
    const json = safetensorsSeed.subarray(8, safetensorsHeaderBytes).toString().trim()
    const kind = random.float()
    if (kind < 0.45)
      return damageBytes(safetensorsSeed, random, pick(random, [8, safetensorsHeaderBytes, safetensorsSeed.length]))
    if (kind < 0.85)
      return withHeader(JSON.stringify(damageJson(JSON.parse(json) as Json, random)), random.float() < 0.9)
    return withHeader(damageText(json, random), random.float() < 0.9)
  },
  open: async (path, mutant) => {
    const file = await openSafetensors(path)
    const header = JSON.parse(mutant.subarray(8, 8 + Number(mutant.readBigUInt64LE(0))).toString()) as Record<
      string,
      { data_offsets: [number, number]; shape: number[] }
    >
    const start = 8 + Number(mutant.readBigUInt64LE(0))
    let covered = 0
    for (const name of file.tensors.keys()) {
      const [first, last] = header[name].data_offsets
      covered += last - first
      const fault = scope(() => {
        const tensor = file.tensor(name)
        if (tensor.shape.join() !== header[name].shape.join()) return `${name} has the shape [${tensor.shape}]`
        return bytesOf(tensor).equals(mutant.subarray(start + first, start + last))
          ? undefined
          : `${name} has other bytes`
      })
      if (fault !== undefined) return fault
    }
    return covered === mutant.length - start
      ? undefined
      : `${mutant.length - start - covered} bytes belong to no tensor`
  },
}

/** --- GGUF --- */
const wave = (shape: readonly number[]): WrittenTensor =>
  float32Tensor(
    shape,
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i)),
  )
const blocks = (shape: readonly number[], type: number, bytes: number): WrittenTensor => ({
  shape,
  type,
  bytes: Uint8Array.from({ length: bytes }, (_, i) => (i * 7) % 60),
})

const ggufMetadata: Record<string, Field> = {
  'general.architecture': text('llama'),
  'general.alignment': uint(32),
  'llama.block_count': uint(1),
  'llama.context_length': uint(64),
  'llama.embedding_length': uint(32),
  'llama.feed_forward_length': uint(64),
  'llama.attention.head_count': uint(4),
  'llama.attention.head_count_kv': uint(2),
  'llama.attention.layer_norm_rms_epsilon': float(1e-5),
  'llama.rope.freq_base': float(10000),
  'llama.rope.dimension_count': uint(8),
  'tokenizer.ggml.model': text('gpt2'),
  'tokenizer.ggml.pre': text('smollm'),
  'tokenizer.ggml.tokens': text(['a', 'b', 'c', 'Ġ', 'ab', 'Ġa', '<s>', '</s>']),
  'tokenizer.ggml.token_type': int(Int32Array.of(1, 1, 1, 1, 1, 1, 3, 3)),
  'tokenizer.ggml.merges': text(['a b', 'Ġ a']),
  'tokenizer.ggml.bos_token_id': uint(6),
  'tokenizer.ggml.eos_token_id': uint(7),
  'tokenizer.ggml.add_bos_token': { type: 'bool', value: true },
  'tokenizer.chat_template': text('{{ messages[0].content }}'),
}
const ggufTensors: Record<string, WrittenTensor> = {
  'token_embd.weight': blocks([8, 32], 8, 8 * 34),
  'blk.0.attn_norm.weight': wave([32]),
  'blk.0.attn_q.weight': blocks([32, 32], 3, 32 * 20),
  'blk.0.attn_k.weight': blocks([16, 32], 2, 16 * 18),
  'blk.0.attn_v.weight': wave([16, 32]),
  'blk.0.attn_output.weight': wave([32, 32]),
  'blk.0.ffn_norm.weight': wave([32]),
  'blk.0.ffn_gate.weight': blocks([64, 32], 1, 64 * 32 * 2),
  'blk.0.ffn_up.weight': blocks([64, 32], 30, 64 * 32 * 2),
  'blk.0.ffn_down.weight': wave([32, 64]),
  'output_norm.weight': wave([32]),
}
const ggufSeed = writeGguf(ggufMetadata, ggufTensors)
const ggufHeaderBytes =
  ggufSeed.length - Object.values(ggufTensors).reduce((sum, { bytes }) => sum + Math.ceil(bytes.length / 32) * 32, 0)

const oddFields: Field[] = [
  uint(0),
  uint(1),
  uint(3),
  uint(2 ** 32 - 1),
  int(-1),
  float(Number.NaN),
  float(Number.POSITIVE_INFINITY),
  float(0),
  text(''),
  text('a'.repeat(5000)),
  text(['x', 'x']),
  text([]),
  int(Int32Array.of(2, 2)),
  int(new Int32Array(0)),
  float(new Float32Array(8)),
  { type: 'uint64', value: 2 ** 60 },
  { type: 'bool', value: false },
  { type: 'uint8', value: 4 },
]

const structural = (random: Random): Buffer => {
  const metadata = { ...ggufMetadata }
  const tensors = { ...ggufTensors }
  for (let n = 1 + random.integer(3); n > 0; n--) {
    const key = pick(random, Object.keys(metadata))
    const name = pick(random, Object.keys(tensors))
    const tensor = tensors[name]
    const changes: (() => void)[] = [
      () => {
        metadata[key] = pick(random, oddFields)
      },
      () => delete metadata[key],
      () => {
        metadata[key] = metadata[pick(random, Object.keys(metadata))]
      },
      () => {
        tensors[name] = { ...tensor, type: random.integer(45) }
      },
      () => {
        tensors[name] = {
          ...tensor,
          shape: tensor.shape.map((size) => pick(random, [0, 1, size, size * 2, 2 ** 32, 2 ** 52])),
        }
      },
      () => {
        tensors[name] = { ...tensor, shape: [...tensor.shape, pick(random, [1, 2, 0])] }
      },
      () => delete tensors[name],
      () => {
        tensors[`blk.${pick(random, [0, 1, 9, 1e9])}.odd.weight`] = tensor
      },
    ]
    pick(random, changes)()
  }
  return writeGguf(metadata, tensors, {
    version: pick(random, [2, 3, 3, 3]),
    alignment: pick(random, [32, 32, 32, 64, 1]),
  })
}

/** What the library refuses; anything else is for the runner to see. */
const refusal = async <Result>(work: () => Result | Promise<Result>): Promise<TunesmithError | undefined> => {
  try {
    await work()
    return undefined
  } catch (error) {
    if (error instanceof TunesmithError) return error
    throw error
  }
}

const openGgufModel = (file: Awaited<ReturnType<typeof openGguf>>): string | undefined => {
  const { config, tensors } = ggufToHf(file)
  const { llama } = models
  if (config.model_type !== llama.type) return undefined
  const settings = llama.fromHf(config)
  const body = llama.build(settings)
  try {
    return scope(() => {
      const { state, unknown } = fromHfKeys(tensors, llama.hfKeys(settings), settings.numLayers, llama.hfPrefix)
      const foreign = unknown.filter((key) => key !== 'lm_head.weight')
      if (foreign.length > 0) return `no place for ${foreign.join(', ')}`
      body.loadState(state)
      const { hidden } = noGrad(() =>
        body.forward({ inputIds: Tensor.from(BigInt64Array.of(0n, 1n), { shape: [1, 2] }) }),
      )
      return hidden.shape.join() === `1,2,${settings.hiddenSize}` ? undefined : `hidden has the shape [${hidden.shape}]`
    })
  } finally {
    freeTensors([...body.parameters().values()])
  }
}

const gguf: Suite = {
  file: 'model.gguf',
  mutate: (random) => {
    const kind = random.float()
    if (kind < 0.6)
      return damageBytes(ggufSeed, random, pick(random, [32, ggufHeaderBytes, ggufHeaderBytes, ggufSeed.length]))
    return structural(random)
  },
  open: async (path) => {
    const file = await openGguf(path)
    for (const { read, shape } of file.tensors.values()) {
      const fault = await refusal(() =>
        scope(() => {
          if (read().shape.join() !== shape.join()) throw new Error('a tensor of another shape')
        }),
      )
      if (fault !== undefined && !(fault instanceof CheckpointError)) return `reading gives ${fault.message}`
    }
    let wrong: string | undefined
    const model = await refusal(() => {
      wrong = openGgufModel(file)
    })
    const tokenizer = await refusal(async () => {
      const { tokenizer: json, config } = ggufTokenizer(file)
      const made = await loadTokenizer(json, { config })
      made.decode(made.encode('ab abc 12 <s>').ids)
    })
    file.close()
    if (wrong !== undefined) return wrong
    if (model ?? tokenizer) throw model ?? tokenizer
    return undefined
  },
}

/** --- config.json --- */
const configSeeds = Object.values(models).map((definition) => {
  const { test } = definition.presets as Record<string, object>
  // Presets are partial: the schema's defaults fill the rest.
  const full = (definition.config as unknown as { parse(value: unknown): never }).parse(test)
  return definition.toHf(full) as Json
})

const config: Suite = {
  file: 'config.json',
  mutate: (random) => {
    const seed = pick(random, configSeeds)
    const kind = random.float()
    const words = JSON.stringify(seed, null, 2)
    if (kind < 0.75) return Buffer.from(JSON.stringify(damageJson(seed, random)))
    if (kind < 0.9) return Buffer.from(damageText(words, random))
    return damageBytes(Buffer.from(words), random, words.length)
  },
  open: async (path) => {
    let fields: Json
    try {
      fields = JSON.parse(readFileSync(path, 'utf8')) as Json
      if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) throw new Error('not an object')
    } catch (error) {
      throw new CheckpointError(`Expected JSON, got ${(error as Error).message.slice(0, 100)}`)
    }
    const type = String(fields.model_type)
    if (!Object.hasOwn(models, type)) throw new CheckpointError('another model')
    const definition = models[type as keyof typeof models]
    const settings = definition.fromHf(fields) as never
    const body = definition.build(settings)
    try {
      if (body.parameterCount > 2_000_000) return undefined
      body.initialize({ std: 0.02, generator: new Generator(1) })
      const inputIds = Tensor.from(BigInt64Array.of(0n, 0n, 0n), { shape: [1, 3] })
      const { hidden } = scope(() => noGrad(() => body.eval().forward({ inputIds, decoderInputIds: inputIds })))
      const width = definition.facts(settings).hiddenSize
      return hidden.shape.join() === `1,3,${width}` ? undefined : `hidden has the shape [${hidden.shape}]`
    } finally {
      freeTensors([...body.parameters().values()])
    }
  },
}

/** --- tokenizer.json --- */
const special = (id: number, content: string) => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
})
const byteLevelVocab = { a: 0, b: 1, c: 2, Ġ: 3, ab: 4, Ġa: 5, '<s>': 6, '</s>': 7 }
const tokenizerSeeds: Json[] = [
  {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [special(6, '<s>'), special(7, '</s>')],
    normalizer: {
      type: 'Sequence',
      normalizers: [{ type: 'NFC' }, { type: 'Replace', pattern: { Regex: ' {2,}' }, content: ' ' }],
    },
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        {
          type: 'Split',
          pattern: { Regex: "(?i:'s|'t)|\\p{L}+|\\p{N}{1,3}|\\s+" },
          behavior: 'Isolated',
          invert: false,
        },
        { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
      ],
    },
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [{ Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }],
      special_tokens: { '<s>': { id: '<s>', ids: [6], tokens: ['<s>'] } },
    },
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      unk_token: null,
      byte_fallback: false,
      ignore_merges: true,
      vocab: byteLevelVocab,
      merges: [
        ['a', 'b'],
        ['Ġ', 'a'],
      ],
    },
  },
  {
    version: '1.0',
    added_tokens: [special(0, '<unk>')],
    normalizer: { type: 'Prepend', prepend: '▁' },
    pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true },
    post_processor: null,
    decoder: {
      type: 'Sequence',
      decoders: [{ type: 'ByteFallback' }, { type: 'Fuse' }, { type: 'Strip', content: ' ', start: 1, stop: 0 }],
    },
    model: {
      type: 'Unigram',
      unk_id: 0,
      byte_fallback: false,
      vocab: [
        ['<unk>', 0],
        ['▁', -1],
        ['a', -2.5],
        ['▁ab', -3],
        ['b', -4],
      ],
    },
  },
  {
    version: '1.0',
    truncation: { direction: 'Right', max_length: 8, strategy: 'LongestFirst', stride: 0 },
    padding: {
      strategy: { Fixed: 8 },
      direction: 'Right',
      pad_to_multiple_of: null,
      pad_id: 0,
      pad_type_id: 0,
      pad_token: '[PAD]',
    },
    added_tokens: [special(0, '[PAD]'), special(2, '[CLS]'), special(3, '[SEP]')],
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: null,
      lowercase: true,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: { type: 'BertProcessing', sep: ['[SEP]', 3], cls: ['[CLS]', 2] },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: '[UNK]',
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab: { '[PAD]': 0, '[UNK]': 1, '[CLS]': 2, '[SEP]': 3, a: 4, '##b': 5, '##c': 6, abc: 7 },
    },
  },
]

const tokenizer: Suite = {
  file: 'tokenizer.json',
  mutate: (random) => {
    const seed = pick(random, tokenizerSeeds)
    const kind = random.float()
    const words = JSON.stringify(seed)
    if (kind < 0.6) return Buffer.from(JSON.stringify(damageJson(seed, random)))
    if (kind < 0.8) return Buffer.from(damageText(words, random))
    return damageBytes(Buffer.from(words), random, words.length)
  },
  open: async (path) => {
    const made = await loadTokenizer(path)
    const probe = 'ab abc, 123 naïve <s> 日本 😀\n[CLS] \ud800'
    const { ids } = made.encode(probe, { pair: 'ab' })
    made.decode(ids)
    const plain = made.encode(probe, { addSpecialTokens: false }).ids
    return [...made.encodeIds(probe)].join() === [...plain].join() ? undefined : 'the fast encoder gives other ids'
  },
}

/** What the runner must notice. */
const broken = (open: Suite['open']): Suite => ({ file: 'broken', mutate: () => Buffer.from('x'), open })
const runnerProofs: Record<string, Suite> = {
  hang: broken(async () => {
    for (;;);
  }),
  giant: broken(async () => {
    const kept = Array.from({ length: 12 }, () => Buffer.alloc(64 * 2 ** 20, 1))
    return kept.length === 0 ? 'nothing' : undefined
  }),
  crash: broken(async () => process.abort()),
  foreign: broken(async () => {
    throw new TypeError('not one of ours')
  }),
  wrong: broken(async () => 'a wrong value'),
}

export const suites: Record<string, Suite> = { safetensors, gguf, config, tokenizer, ...runnerProofs }
