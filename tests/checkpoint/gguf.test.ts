// GGUF files: values bit-identical to those of the `gguf` Python package, models and tokenizers as transformers reads
// them, and refused files. Golden values from make-golden.py (gguf 0.19, transformers 5.24).
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterAll, describe, expect, it } from 'vitest'
import { fromHfKeys, ggufToHf, ggufTokenizer, openGguf, refusePickle } from '../../src/checkpoint/index.ts'
import { CheckpointError } from '../../src/core/index.ts'
import { models } from '../../src/models/index.ts'
import { linear, noGrad, scope, Tensor } from '../../src/tensor/index.ts'
import { loadTokenizer } from '../../src/tokenizers/index.ts'
import {
  bool,
  type Field,
  float,
  float32Tensor,
  int,
  text,
  uint,
  type WrittenTensor,
  writeGguf,
} from './gguf-writer.ts'
import { hasStories, storiesFile, storiesGguf } from './stories.ts'

const folder = mkdtempSync(join(tmpdir(), 'tunesmith-gguf-'))
afterAll(() => rmSync(folder, { recursive: true }))

let files = 0
const place = (bytes: Uint8Array, name = `${files++}.gguf`): string => {
  const path = join(folder, name)
  writeFileSync(path, bytes)
  return path
}
const open = (bytes: Uint8Array) => openGguf(place(bytes))
const goldenFile = (name: string): unknown =>
  JSON.parse(gunzipSync(readFileSync(new URL(`golden/${name}.json.gz`, import.meta.url))).toString())

const numbers: Record<string, number> = { F16: 1, BF16: 30, Q4_0: 2, Q4_1: 3, Q8_0: 8, Q4_K: 12, Q6_K: 14 }

describe('values', () => {
  const golden = goldenFile('blocks') as Record<string, { shape: number[]; stored: string; values: string }>
  it.each(Object.keys(numbers))('of random %s blocks are those of ggml', async (name) => {
    const { shape, stored, values } = golden[name]
    const file = await open(
      writeGguf({}, { x: { shape, type: numbers[name], bytes: Buffer.from(stored, 'base64') } }, { version: 2 }),
    )
    const tensor = file.tensors.get('x')!
    expect(tensor.type).toBe(name)
    const read = tensor.read()
    expect(read.shape).toEqual(shape)
    const bytes = Buffer.from(values, 'base64')
    const wanted = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length))
    expect(wanted.filter(Number.isFinite).length).toBeGreaterThan(wanted.length / 2)
    // Object.is tells -0 from 0 and takes any NaN for NaN.
    expect(read.toFloat32Array().findIndex((value, i) => !Object.is(value, wanted[i]))).toBe(-1)
  })

  it('of plain tensors are mapped, in order and aligned as in the file', async () => {
    const values = Float32Array.from({ length: 30 }, (_, i) => i / 7)
    const file = await open(
      writeGguf(
        { 'general.alignment': uint(64), big: { type: 'uint64', value: 2 ** 40 }, list: int(Int32Array.of(1, -2)) },
        {
          a: float32Tensor([2, 3, 5], values),
          b: float32Tensor([], values.subarray(0, 1)),
          c: float32Tensor([0, 4], values.subarray(0, 0)),
        },
        { alignment: 64 },
      ),
    )
    expect([...file.tensors.keys()]).toEqual(['a', 'b', 'c'])
    const a = file.tensors.get('a')!.read()
    expect(a.shape).toEqual([2, 3, 5])
    file.close()
    expect(() => file.tensors.get('b')!.read()).toThrow(CheckpointError)
    expect([...a.toFloat32Array()]).toEqual([...values])
    expect(file.metadata.get('big')).toBe(2 ** 40)
    expect(file.metadata.get('list')).toEqual(Int32Array.of(1, -2))
  })
})

describe.skipIf(!hasStories)(`stories260K${hasStories ? '' : ' (skipped: no shared data)'}`, () => {
  const load = async () => {
    const { config, tensors } = ggufToHf(await open(storiesGguf()))
    const { llama } = models
    const settings = llama.fromHf(config)
    const body = llama.build(settings)
    const { state } = fromHfKeys(tensors, llama.hfKeys(settings), settings.numLayers, llama.hfPrefix)
    body.loadState(state, { copy: false })
    return (ids: readonly number[]): Float32Array =>
      scope(() =>
        noGrad(() => {
          const { hidden } = body.forward({
            inputIds: Tensor.from(BigInt64Array.from(ids, BigInt), { shape: [1, ids.length] }),
          })
          return linear(hidden, body.embedTokens.weight, null).toFloat32Array()
        }),
      )
  }
  const best = (row: Float32Array): number => row.indexOf(row.reduce((most, value) => Math.max(most, value)))

  it('gives the logits of the reference implementation', async () => {
    const [reference] = JSON.parse(gunzipSync(storiesFile('reference-logits.json.gz')).toString()) as {
      prompt: string
      tokens: number[]
      logits: number[][]
      greedy_next_48: number[]
    }[]
    const logits = await load()
    const given = logits(reference.tokens)
    const wanted = reference.logits.flat()
    expect(wanted.length).toBe(given.length)
    expect(wanted.reduce((worst, value, i) => Math.max(worst, Math.abs(value - given[i])), 0)).toBeLessThan(1e-3)
    const { tokenizer, config } = ggufTokenizer(await open(storiesGguf()))
    const encoder = await loadTokenizer(tokenizer, { config })
    expect([...encoder.encode(reference.prompt).ids]).toEqual(reference.tokens)
  })

  it('gives its greedy text of 200 tokens', async () => {
    const logits = await load()
    const { tokenizer, config } = ggufTokenizer(await open(storiesGguf()))
    const encoder = await loadTokenizer(tokenizer, { config })
    const ids = [1]
    while (ids.length < 201) {
      const all = logits(ids)
      const next = best(all.subarray(all.length - 512))
      if (next === 1) break
      ids.push(next)
    }
    expect(encoder.decode(ids, { skipSpecialTokens: true })).toBe(
      storiesFile('expected-greedy-200-steps.txt').toString().trimEnd(),
    )
  })
})

describe('tokenizers', () => {
  it('of SentencePiece give the ids of transformers, from a file of the gguf package', async () => {
    const golden = goldenFile('sentencepiece') as { header: string; texts: { text: string; ids: number[] }[] }
    const file = await open(Buffer.concat([Buffer.from(golden.header, 'base64'), Buffer.alloc(512 * 64 * 4)]))
    const { tokenizer, config } = ggufTokenizer(file)
    const encoder = await loadTokenizer(tokenizer, { config })
    for (const { text: page, ids } of golden.texts) {
      expect([...encoder.encode(page).ids]).toEqual(ids)
      expect(encoder.decode(ids, { skipSpecialTokens: true })).toBe(page)
    }
    expect(encoder.special.bos).toEqual({ token: '<s>', id: 1 })
  })

  const byteTokens = ['a', 'b', 'Ġ', '1', '2', 'ab', 'Ġa', '12', '<s>', '<think>']
  const byteLevel = (more: Record<string, Field>): Buffer =>
    writeGguf(
      {
        'tokenizer.ggml.model': text('gpt2'),
        'tokenizer.ggml.tokens': text(byteTokens),
        'tokenizer.ggml.token_type': int(Int32Array.of(1, 1, 1, 1, 1, 1, 1, 1, 3, 4)),
        'tokenizer.ggml.merges': text(['a b', 'Ġ a', '1 2']),
        'tokenizer.ggml.bos_token_id': uint(8),
        ...more,
      },
      {},
    )
  const encode = async (bytes: Buffer, input: string) => {
    const { tokenizer, config } = ggufTokenizer(await open(bytes))
    return [...(await loadTokenizer(tokenizer, { config })).encode(input).ids]
  }

  it('are pre-tokenized by the name in the file, with the start token if the file or the name requires it', async () => {
    const input = 'ab a12<think>'
    expect(await encode(byteLevel({ 'tokenizer.ggml.pre': text('gpt-2') }), input)).toEqual([5, 6, 7, 9])
    expect(await encode(byteLevel({ 'tokenizer.ggml.pre': text('smollm') }), input)).toEqual([5, 6, 3, 4, 9])
    expect(await encode(byteLevel({ 'tokenizer.ggml.pre': text('qwen2') }), input)).toEqual([5, 6, 3, 4, 9])
    expect(await encode(byteLevel({ 'tokenizer.ggml.pre': text('llama-bpe') }), input)).toEqual([8, 5, 6, 7, 9])
    expect(
      await encode(
        byteLevel({ 'tokenizer.ggml.pre': text('llama-bpe'), 'tokenizer.ggml.add_bos_token': bool(false) }),
        input,
      ),
    ).toEqual([5, 6, 7, 9])
  })

  it('that cannot be converted are refused', async () => {
    const tokenizerOf = async (bytes: Buffer) => ggufTokenizer(await open(bytes))
    await expect(tokenizerOf(byteLevel({ 'tokenizer.ggml.pre': text('unheard-of') }))).rejects.toThrow(/smollm/)
    await expect(tokenizerOf(byteLevel({ 'tokenizer.ggml.model': text('rwkv') }))).rejects.toThrow(/gpt2, llama/)
    await expect(tokenizerOf(byteLevel({ 'tokenizer.ggml.merges': text(['ab']) }))).rejects.toThrow(CheckpointError)
    await expect(tokenizerOf(writeGguf({}, {}))).rejects.toThrow(CheckpointError)
  })
})

/** A model of 8 values a vector, with 2 heads. */
const tiny = (architecture: string, more: Record<string, Field> = {}, extra: Record<string, WrittenTensor> = {}) => {
  const tensor = (shape: number[]) =>
    float32Tensor(
      shape,
      Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i)),
    )
  const names = {
    attn_norm: [8],
    attn_q: [8, 8],
    attn_k: [4, 8],
    attn_v: [4, 8],
    attn_output: [8, 8],
    ffn_norm: [8],
    ffn_gate: [12, 8],
    ffn_up: [12, 8],
    ffn_down: [8, 12],
    ...(architecture === 'qwen3' ? { attn_q_norm: [4], attn_k_norm: [4] } : {}),
  }
  const biases = architecture === 'qwen2' ? { attn_q: [8], attn_k: [4], attn_v: [4] } : {}
  return writeGguf(
    {
      'general.architecture': text(architecture),
      [`${architecture}.block_count`]: uint(1),
      [`${architecture}.context_length`]: uint(64),
      [`${architecture}.embedding_length`]: uint(8),
      [`${architecture}.feed_forward_length`]: uint(12),
      [`${architecture}.attention.head_count`]: uint(2),
      [`${architecture}.attention.head_count_kv`]: uint(1),
      [`${architecture}.attention.layer_norm_rms_epsilon`]: float(1e-6),
      [`${architecture}.rope.freq_base`]: float(500000),
      ...more,
    },
    {
      'token_embd.weight': tensor([10, 8]),
      'output_norm.weight': tensor([8]),
      ...Object.fromEntries(Object.entries(names).map(([name, shape]) => [`blk.0.${name}.weight`, tensor(shape)])),
      ...Object.fromEntries(Object.entries(biases).map(([name, shape]) => [`blk.0.${name}.bias`, tensor(shape)])),
      ...extra,
    },
  )
}

describe('models', () => {
  it.each(['llama', 'qwen2', 'qwen3'] as const)(
    '%s: every parameter of the architecture has its tensor',
    async (type) => {
      const { config, tensors } = ggufToHf(await open(tiny(type)))
      const definition = models[type]
      const settings = definition.fromHf(config) as never
      expect(settings).toMatchObject({
        vocabSize: 10,
        ropeTheta: 500000,
        normEps: 1e-6,
        tiedEmbeddings: true,
        headDim: 4,
      })
      const body = definition.build(settings)
      const { state, unknown } = fromHfKeys(tensors, definition.hfKeys(settings), 1, definition.hfPrefix)
      expect(unknown).toEqual([])
      expect(body.loadState(state)).toEqual({ missing: [], unexpected: [], mismatched: [] })
    },
  )

  const small = goldenFile('models') as Record<string, { file: string; ids: number[]; logits: string }>
  it.each(['llama', 'qwen2', 'qwen3'] as const)(
    'of %s give the logits of transformers from the same file',
    async (type) => {
      const { file, ids, logits } = small[type]
      const { config, tensors } = ggufToHf(await open(Buffer.from(file, 'base64')))
      const definition = models[type]
      const settings = definition.fromHf(config) as never
      const body = definition.build(settings)
      const { state, unknown } = fromHfKeys(tensors, definition.hfKeys(settings), 2, definition.hfPrefix)
      expect(unknown).toEqual(['lm_head.weight'])
      body.loadState(state, { copy: false })
      const given = noGrad(() => {
        const { hidden } = body.forward({
          inputIds: Tensor.from(BigInt64Array.from(ids, BigInt), { shape: [1, ids.length] }),
        })
        return linear(hidden, tensors.get('lm_head.weight')!(), null).toFloat32Array()
      })
      const bytes = Buffer.from(logits, 'base64')
      const wanted = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length))
      const largest = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
      expect(given.length).toBe(wanted.length)
      expect(given.reduce((worst, value, i) => Math.max(worst, Math.abs(value - wanted[i])), 0)).toBeLessThan(
        2e-5 * largest,
      )
    },
  )

  it('with an output matrix have an lm_head and untied embeddings', async () => {
    const output = float32Tensor([10, 8], new Float32Array(80))
    const { config, tensors } = ggufToHf(await open(tiny('llama', {}, { 'output.weight': output })))
    expect(config.tie_word_embeddings).toBe(false)
    expect(tensors.get('lm_head.weight')!().shape).toEqual([10, 8])
  })

  it('of llama alone get the rows of queries and keys unpermuted', async () => {
    const rows = async (type: string) =>
      ggufToHf(await open(tiny(type))).tensors.get('model.layers.0.self_attn.q_proj.weight')!()
        .toFloat32Array()
        .filter((_, i) => i % 8 === 0)
    const stored = Array.from({ length: 8 }, (_, i) => Math.fround(Math.sin(8 * i)))
    expect([...(await rows('qwen2'))]).toEqual(stored)
    // Of each head of 4 rows: first the even ones, then the odd ones.
    expect([...(await rows('llama'))]).toEqual([0, 2, 1, 3, 4, 6, 5, 7].map((i) => stored[i]))
  })

  it("can have linear and YaRN scaling of RoPE, and Llama 3's if the factors follow its rule", async () => {
    const scaling = async (more: Record<string, Field>, extra: Record<string, WrittenTensor> = {}) =>
      ggufToHf(await open(tiny('llama', more, extra))).config.rope_scaling
    expect(await scaling({})).toBeUndefined()
    expect(await scaling({ 'llama.rope.scaling.type': text('linear'), 'llama.rope.scaling.factor': float(4) })).toEqual(
      { rope_type: 'linear', factor: 4 },
    )
    expect(
      await scaling({
        'llama.rope.scaling.type': text('yarn'),
        'llama.rope.scaling.factor': float(4),
        'llama.rope.scaling.original_context_length': uint(32768),
      }),
    ).toMatchObject({ rope_type: 'yarn', factor: 4, original_max_position_embeddings: 32768 })
    expect(
      await scaling({
        'llama.rope.scaling.type': text('yarn'),
        'llama.rope.scaling.factor': float(Math.E ** 10),
        'llama.rope.scaling.original_context_length': uint(64),
        'llama.rope.scaling.attn_factor': float(0.75),
      }),
    ).toMatchObject({ attention_factor: expect.closeTo(1.5, 6) })
    // By hand for base 500000 and heads of 4: wavelengths 2π (kept) and 2π·√500000 ≈ 4443 (between 2048 and 8192).
    const smooth = (8192 / (2 * Math.PI * Math.sqrt(500000)) - 1) / 3
    const between = 1 / ((1 - smooth) / 8 + smooth)
    const factors = (values: number[]) => ({ 'rope_freqs.weight': float32Tensor([2], Float32Array.from(values)) })
    expect(await scaling({}, factors([1, 1]))).toBeUndefined()
    await expect(scaling({}, factors([1, between]))).rejects.toThrow(/Llama 3/)
    await expect(scaling({}, factors([3, 8]))).rejects.toThrow(/Llama 3/)
    // With a base of 5e8 the second wavelength is beyond 8192: the factor itself.
    expect(await scaling({ 'llama.rope.freq_base': float(5e8) }, factors([1, 8]))).toEqual({
      rope_type: 'llama3',
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 8192,
    })
  })

  it.each<[string, Buffer, RegExp]>([
    ['another architecture', writeGguf({ 'general.architecture': text('mamba') }, {}), /llama, qwen2, qwen3/],
    ['experts', tiny('qwen2', { 'qwen2.expert_count': uint(8) }), /expert_count/],
    [
      'experts without their matrices',
      tiny('llama', { 'llama.expert_count': uint(8) }),
      /missing: blk\.0\.ffn_gate_inp/,
    ],
    ['partial rotary positions', tiny('llama', { 'llama.rope.dimension_count': uint(2) }), /whole head/],
    ['sizes that the tensors do not have', tiny('llama', { 'llama.embedding_length': uint(16) }), /another shape/],
    ['more layers than tensors', tiny('llama', { 'llama.block_count': uint(2 ** 31 - 1) }), /layers/],
    ['a missing layer', tiny('llama', { 'llama.block_count': uint(2) }), /missing: blk\.1/],
    ['a tensor of no use', tiny('llama', {}, { odd: float32Tensor([1], new Float32Array(1)) }), /unexpected: odd/],
    ['rope scaling of another kind', tiny('llama', { 'llama.rope.scaling.type': text('dynamic') }), /yarn/],
    [
      'LongRoPE without its factors',
      tiny('llama', { 'llama.rope.scaling.type': text('longrope') }),
      /both of rope_factors_short\.weight and rope_factors_long\.weight, got none/,
    ],
  ])('refuses %s', async (_, bytes, message) => {
    const file = await open(bytes)
    expect(() => ggufToHf(file)).toThrow(CheckpointError)
    expect(() => ggufToHf(file)).toThrow(message)
  })

  it('with an unsupported type are refused by tensor and type, with the conversion to use', async () => {
    const file = await open(
      writeGguf({}, { 'blk.0.x.weight': { shape: [1, 256], type: 16, bytes: new Uint8Array(66) } }),
    )
    expect(() => file.tensors.get('blk.0.x.weight')!.read()).toThrow(/blk\.0\.x\.weight.*IQ2_XXS.*Q8_0/s)
    await expect(open(writeGguf({}, { y: { shape: [4], type: 777, bytes: new Uint8Array(16) } }))).rejects.toThrow(
      /"y".*777/,
    )
  })
})

describe('pickle', () => {
  it.each([
    ['pytorch_model.bin', Buffer.from([0x80, 4, 0x7d, 0x71])],
    ['weights', Buffer.from([0x50, 0x4b, 3, 4, 0, 0])],
    ['old', Buffer.from([0x80, 2, 0x7d, 0x71])],
  ])('%s is refused with the line that converts it', async (name, bytes) => {
    await expect(refusePickle(place(bytes, name))).rejects.toThrow(/safe_serialization=True/)
  })

  it.each([
    ['stories.bin', Buffer.from([0x40, 0, 0, 0, 0xac])],
    ['model.PT', Buffer.alloc(0)],
  ])('%s, which is none, is refused as another format', async (name, bytes) => {
    const refused = refusePickle(place(bytes, name))
    await expect(refused).rejects.toThrow(/in a format that Tunesmith does not read/)
    await expect(refused).rejects.not.toThrow(/pickle/)
  })

  it('accepts other files', async () => {
    await refusePickle(place(writeGguf({}, {})))
    await refusePickle(place(Buffer.from([0x80]), 'short'))
    await refusePickle(join(folder, 'nothing'))
    await refusePickle(folder)
  })
})
