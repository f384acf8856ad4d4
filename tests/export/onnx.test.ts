// Every architecture and head in every ONNX format, run by onnxruntime-node, against our own forward pass in float32.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { InferenceSession, Tensor as OnnxTensor } from 'onnxruntime-node'
import { describe, expect, it } from 'vitest'
import { type OnnxFormat, writeOnnx } from '../../src/export/onnx/write-onnx.ts'
import { type HeadType, headsOf, models } from '../../src/models/index.ts'
import { eachValue } from '../grid.ts'
import {
  batch,
  difference,
  emptyCache,
  expected,
  int64,
  limits,
  oddModel,
  ours,
  seen,
  values,
  withSessions,
  worstOf,
  worstWithCache,
} from './onnx-fixture.ts'

/** Bodies of another architecture under another name: one head shows that they are taken. */
const renamed = ['camembert', 'mt5', 'xlm-roberta']

/** Decoders with the heads of Llama, where all heads are tested. `npm run bench -- exports` runs every head of every one. */
const likeLlama = [
  'gemma',
  'gemma2',
  'gemma3',
  'gpt-neox',
  'mistral',
  'mixtral',
  'olmo2',
  'phi3',
  'qwen2',
  'qwen3',
  'qwen3-moe',
  'smollm3',
]

const cases = Object.values(models).flatMap((definition) =>
  (Object.keys(headsOf(definition, definition.adjust(definition.presets.test, {}))) as HeadType[])
    .filter((head) => head !== 'seq2seq-lm' && (!renamed.includes(definition.type) || head === 'embedding'))
    .filter((head) => !likeLlama.includes(definition.type) || head === 'causal-lm')
    .map((head) => [definition.type as keyof typeof models, head] as const),
)
const chosen = eachValue(cases, (one) => one, 2)

describe('ONNX in onnxruntime', () => {
  it.each(chosen)('%s with the head %s', async (type, head) => {
    const model = oddModel(type, head)
    for (const format of Object.keys(limits) as OnnxFormat[])
      expect([format, await worstOf(model, format)]).toEqual([
        format,
        expect.toSatisfy((x: number) => x < limits[format]),
      ])
    expect(await worstOf(model, 'fp32', 'standard')).toBeLessThan(limits.fp32)
  })

  it.each([
    [{ positionBuckets: 0, maxRelativePositions: 3 }],
    [{ positionBuckets: 4, maxRelativePositions: 5, sharesProjections: false }],
    [{ contentToPosition: false, normedDistances: false, absolutePositions: true, typeVocabSize: 2 }],
    [{ positionToContent: false, sharesProjections: false }],
    [{ relativeAttention: false, absolutePositions: true }],
  ])('DeBERTa with %j', async (changes) => {
    const model = oddModel('deberta-v2', 'token-classification', changes)
    for (const operators of ['plain', 'standard'] as const)
      expect(await worstOf(model, 'fp32', operators)).toBeLessThan(limits.fp32)
  })

  const cached = [
    'gpt2',
    'llama',
    'mistral',
    'mixtral',
    'qwen3',
    'qwen3-moe',
    'gemma2',
    'gemma3',
    'gpt-neox',
    'smollm3',
  ] as const
  const withCache = cached.flatMap((type) =>
    (['plain', 'standard'] as const).map((operators) => [type, operators] as const),
  )
  it.each(eachValue(withCache, (one) => one, 1))(
    '%s with a cache and padding on the left, of %s operators',
    async (type, operators) => {
      // Dynamic scaling changes the frequencies with the length: cached keys keep those of their call, here as there.
      const model = oddModel(type, 'causal-lm', type === 'qwen3' ? { ropeScaling: { kind: 'default' } } : {})
      expect(await worstWithCache(model, operators)).toBeLessThan(limits.fp32)
    },
  )

  it.each([
    ['t5', {}],
    ['t5', { gated: false, activation: 'relu', tiedEmbeddings: false }],
    ['bart', {}],
    ['mbart', { scaleEmbeddings: true }],
  ] as const)('%s that generates, %j', async (type, changes) => {
    const model = oddModel(type, 'seq2seq-lm', changes)
    const { ids, mask } = batch(0)
    const target = [0, 9, 41, 77, 12]
    const rows = ids.map(() => target)
    const wanted = values(
      () => model.forward({ inputIds: ours(ids), attentionMask: ours(mask), decoderInputIds: ours(rows) }).logits,
    )
    const vocabulary = model.facts.vocabSize
    await withSessions(model, {}, async ([encoder, decoder]) => {
      const encoderMask = int64(mask.flat(), [3, 7])
      const encoded = await encoder.run({ input_ids: int64(ids.flat(), [3, 7]), attention_mask: encoderMask })
      let cache = emptyCache(decoder, 3)
      for (const [from, to] of [
        [0, 3],
        [3, 4],
        [4, 5],
      ]) {
        const outputs = await decoder.run({
          input_ids: int64(
            rows.flatMap((row) => row.slice(from, to)),
            [3, to - from],
          ),
          encoder_hidden_states: encoded.last_hidden_state,
          encoder_attention_mask: encoderMask,
          use_cache_branch: new OnnxTensor('bool', [from > 0], [1]),
          ...cache,
        })
        const part = [0, 1, 2].flatMap((row) =>
          Array.from(wanted.subarray((row * 5 + from) * vocabulary, (row * 5 + to) * vocabulary)),
        )
        expect(difference(outputs.logits.data as Float32Array, part)).toBeLessThan(1e-4)
        cache = Object.fromEntries(
          Object.keys(cache).map((name) => [name, outputs[name.replace('past_key_values', 'present')] as OnnxTensor]),
        )
      }
    })
  })
})

const withFolder = async (use: (folder: string) => Promise<void>) => {
  const folder = await mkdtemp(join(tmpdir(), 'onnx-'))
  try {
    await use(folder)
  } finally {
    await rm(folder, { recursive: true })
  }
}

describe('ONNX files', () => {
  it('has the same bytes when written twice', () =>
    withFolder(async (folder) => {
      for (const format of ['fp16', 'q8', 'q4'] as const) {
        const [name] = await writeOnnx(oddModel('bert', 'masked-lm'), folder, { format })
        const first = await readFile(join(folder, name))
        await writeOnnx(oddModel('bert', 'masked-lm'), folder, { format })
        expect(first.equals(await readFile(join(folder, name)))).toBe(true)
      }
    }))

  it('declares weights in files beside the model, which onnxruntime reads', () =>
    withFolder(async (folder) => {
      const model = oddModel('bert', 'masked-lm')
      await writeFile(join(folder, 'config.json'), '{"model_type":"bert"}')
      const names = await writeOnnx(model, folder, { maxInlineBytes: 20_000 })
      expect(names.slice(0, 3)).toEqual(['onnx/model.onnx', 'onnx/model.onnx_data', 'onnx/model.onnx_data_1'])
      const config = JSON.parse(await readFile(join(folder, 'config.json'), 'utf8'))
      expect(config['transformers.js_config'].use_external_data_format).toEqual({ 'model.onnx': names.length - 1 })
      const session = await InferenceSession.create(join(folder, names[0]))
      const { ids, mask } = batch(0)
      const given = { input_ids: ids, attention_mask: mask, token_type_ids: ids.map((row) => row.map(() => 0)) }
      const feeds = Object.entries(given).map(([name, rows]) => [name, int64(rows.flat(), [3, 7])])
      const { logits } = await session.run(Object.fromEntries(feeds))
      const wanted = expected(model, ids, mask).logits
      expect(difference(seen(logits.data as Float32Array, mask), seen(wanted, mask))).toBeLessThan(1e-4)
    }))

  it('names a tensor with NaN, and one too large for float16', () =>
    withFolder(async (folder) => {
      const model = oddModel('bert', 'masked-lm')
      const weight = model.parameters().get('body.layers.1.mlp.upProj.weight')
      weight?.narrow(0, 3, 1).fill_(1e6)
      await expect(writeOnnx(model, folder, { format: 'fp16' })).rejects.toThrow(
        /layers\.1\.mlp\.upProj\.weight.*float16/,
      )
      weight?.narrow(0, 3, 1).fill_(Number.NaN)
      for (const format of ['fp32', 'q8', 'q4'] as const)
        await expect(writeOnnx(model, folder, { format })).rejects.toThrow(
          /NaN in `body\.layers\.1\.mlp\.upProj\.weight`/,
        )
    }))
})
