// GGUF files: every architecture and type read back with the logits of the model, byte-level tokenizers of our own, and what
// is refused. Golden bytes of blocks are in quantize.test.ts; the reader was compared with llama.cpp in tests/checkpoint.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { adaptersOf, applyAdapter } from '../../src/adapters/index.ts'
import { ggufTokenizer, loadModel, loadTokenizer, openGguf, saveModel } from '../../src/checkpoint/index.ts'
import { mixes } from '../../src/export/gguf/mixes.ts'
import { chooseTarget, exportModel } from '../../src/export/index.ts'
import { openSource } from '../../src/export/open-source.ts'
import { embedTexts } from '../../src/features/index.ts'
import { generate } from '../../src/generation/index.ts'
import { loadForInference } from '../../src/inference/index.ts'
import { buildModel, freeWeights, type HeadType, type Model, type ModelType, models } from '../../src/models/index.ts'
import type { GatedMlp } from '../../src/nn/index.ts'
import { Generator, keep, noGrad, Tensor, zeros } from '../../src/tensor/index.ts'
import { trainTokenizer } from '../../src/tokenizers/index.ts'
import { testDevice } from '../device.ts'

/** Forms that the matrices of a .gguf file may have in memory. */
const ofFile = ['packed', 'unpacked'] as const

const scratch = mkdtempSync(join(tmpdir(), 'gguf-export-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

const train = async (
  name: string,
  input: Parameters<typeof trainTokenizer>[1],
  text = 'The cat sat on the mat, and the dog ran after the cat. It is 1999.',
): Promise<string> => {
  const { files } = await trainTokenizer(Array(50).fill(text), input, { workers: 1 })
  const folder = join(scratch, name)
  mkdirSync(folder)
  for (const [file, content] of Object.entries(files)) writeFileSync(join(folder, file), content)
  return folder
}
const rowOf = (ids: number[]) => Tensor.from([ids], { dtype: 'int64', device: testDevice })
let tokenizer = ''

const make = async (
  name: string,
  type: ModelType,
  changes: object,
  files = tokenizer,
  head: HeadType = 'causal-lm',
  noise = 0.2,
): Promise<string> => {
  const definition = models[type] as (typeof models)['llama']
  const config = definition.adjust(definition.presets.test, { vocabSize: 300, ...changes })
  const model = buildModel(definition as never, config, head).initialize({
    std: 0.1,
    generator: new Generator(1),
  })
  // Norms and biases that are not all the same, so that those in another place show.
  const generator = new Generator(2)
  noGrad(() => {
    for (const parameter of model.parameters().values())
      if (parameter.ndim === 1) parameter.add_(zeros(parameter.shape).normal_(0, noise, { generator }))
  })
  const folder = join(scratch, name)
  await saveModel(model.eval(), folder, { tokenizer: files })
  return folder
}

beforeAll(async () => {
  tokenizer = await train('tokenizer', { type: 'bpe', vocabSize: 290, minFrequency: 1 })
})

const llama3 = { kind: 'llama3', factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalPositions: 8192 }
const yarn = { kind: 'yarn', factor: 40, originalPositions: 16, betaFast: 4, betaSlow: 1 }
const longrope = {
  kind: 'longrope',
  shortFactor: [1, 1.25, 1.5, 2],
  longFactor: [1, 2, 3, 5],
  originalPositions: 256,
  factor: 4,
}
const [full, near] = ['full_attention', 'sliding_attention']
/** Caps that the scores and logits of small models reach. */
const soft = { attentionSoftcap: 1.5, logitSoftcap: 2 }
const cases: [string, ModelType, object][] = [
  ['llama', 'llama', { tiedEmbeddings: true }],
  ['llama with biases', 'llama', { attentionBias: true, mlpBias: true, headDim: 16 }],
  ['llama 3', 'llama', { ropeScaling: llama3, ropeTheta: 500000 }],
  ['linear', 'llama', { ropeScaling: { kind: 'linear', factor: 2 } }],
  ['yarn with mscale', 'llama', { ropeScaling: { ...yarn, mscale: 0.4, mscaleAllDim: 3 } }],
  ['mistral', 'mistral', { slidingWindow: 0 }],
  ['qwen2', 'qwen2', {}],
  ['qwen3', 'qwen3', { tiedEmbeddings: true }],
  ['gemma', 'gemma', { maxPositions: 128 }],
  ['gemma2', 'gemma2', { maxPositions: 128, headDim: 12, queryScale: 12, slidingWindow: 3, numLayers: 3, ...soft }],
  ['gemma2 by a list', 'gemma2', { maxPositions: 128, slidingWindow: 3, layerTypes: [full, near], ...soft }],
  ['gemma2 of windows', 'gemma2', { maxPositions: 128, slidingWindow: 3, layerTypes: [near, near], ...soft }],
  ['gemma2 of full attention', 'gemma2', { maxPositions: 128, slidingWindow: 3, layerTypes: [full, full], ...soft }],
  ['gemma3', 'gemma3', { maxPositions: 128, headDim: 12, queryScale: 12, slidingWindow: 3 }],
  ['gemma3 of full attention', 'gemma3', { maxPositions: 128, layerTypes: [full, full] }],
  ['olmo2', 'olmo2', { maxPositions: 128, hiddenSize: 48, intermediateSize: 40 }],
  ['olmo2 with one matrix', 'olmo2', { maxPositions: 128, tiedEmbeddings: true, numKvHeads: 4 }],
  ['smollm3', 'smollm3', { maxPositions: 128, numLayers: 5 }],
  ['phi3', 'phi3', { maxPositions: 128, hiddenSize: 48, partialRotaryFactor: 0.5, intermediateSize: 40 }],
  ['phi3 with longrope', 'phi3', { ropeScaling: longrope, maxPositions: 1024, tiedEmbeddings: true }],
  ['gpt-neox', 'gpt-neox', { maxPositions: 128, intermediateSize: 48, partialRotaryFactor: 0.25, hiddenSize: 64 }],
  ['gpt-neox in sequence', 'gpt-neox', { maxPositions: 128, parallelResidual: false, tiedEmbeddings: true }],
  [
    'mixtral',
    'mixtral',
    { maxPositions: 128, hiddenSize: 48, numExperts: 5, expertsPerToken: 3, intermediateSize: 40 },
  ],
  ['mixtral with one matrix', 'mixtral', { maxPositions: 128, tiedEmbeddings: true, ropeScaling: llama3 }],
  ['qwen3-moe', 'qwen3-moe', { maxPositions: 128, hiddenSize: 48, expertSize: 40, intermediateSize: 56 }],
  ['qwen3-moe with one matrix', 'qwen3-moe', { maxPositions: 128, tiedEmbeddings: true, expertsPerToken: 1 }],
  ['gpt2', 'gpt2', { maxPositions: 128, intermediateSize: 48 }],
  ['gpt2 with an output matrix', 'gpt2', { maxPositions: 128, tiedEmbeddings: false }],
]

const mixed = 'Größe, café, naïve. 你好，世界 Привет! Donaudampfschifffahrtsgesellschaft 3.14 #42'
const slidesTwice = ['sliding_attention', 'full_attention', 'full_attention', 'sliding_attention']
const encoders: [name: string, type: ModelType, changes: object, lowercase: boolean | undefined, pooling: string][] = [
  ['bert', 'bert', {}, true, 'mean'],
  ['cased bert', 'bert', { typeVocabSize: 1 }, false, 'cls'],
  ['distilbert', 'distilbert', {}, true, 'mean'],
  ['roberta', 'roberta', {}, undefined, 'lasttoken'],
  ['modernbert', 'modernbert', { maxPositions: 128, numLayers: 5, localAttention: 6 }, undefined, 'mean'],
  [
    'modernbert by a list',
    'modernbert',
    { maxPositions: 128, activation: 'silu', layerTypes: slidesTwice },
    true,
    'cls',
  ],
]

// An optional package, which the compiler must not look for.
const optional = 'node-llama-cpp'
const installed = await import(optional).then(
  () => true,
  () => false,
)

describe.skipIf(!installed)(`gguf in llama.cpp${installed ? '' : ' (skipped: no node-llama-cpp)'}`, () => {
  it.each([
    ['llama', { tiedEmbeddings: true }],
    ['gemma', { maxPositions: 128 }],
    ['gpt2', { maxPositions: 128 }],
    // Texts are longer than 8 tokens, and so is the context of llama.cpp: both take the long factors.
    ['phi3', { maxPositions: 128, ropeScaling: { ...longrope, originalPositions: 8, factor: 16 } }],
  ] as const)('has the logits of a %s and the ids of a tokenizer that was trained here', async (type, changes) => {
    const folder = await make(`${type}-in-llama-cpp`, type, changes)
    const { proof } = await exportModel({ model: folder, to: 'gguf:f32', out: `${folder}-out` })
    const own = proof.filter(({ consumer }) => consumer.startsWith('node-llama-cpp'))
    expect(own.map(({ check }) => check)).toContain('token ids')
    expect(own.filter(({ ok }) => !ok)).toEqual([])
    expect(own[0].value).toBeLessThan(5e-3)
  })
})

describe('gguf', () => {
  it.each(cases)('writes %s in float32 with the same logits and token ids', async (name, type, changes) => {
    const folder = await make(name.replaceAll(' ', '-'), type, changes)
    const { proof } = await exportModel({ model: folder, to: 'gguf:f32', out: `${folder}-out` })
    expect(proof.filter(({ ok }) => !ok)).toEqual([])
    expect(proof.map(({ check }) => check)).toContain('token ids')
    expect(proof[0].value).toBeLessThan(1e-5)
    const consumers = proof.map(({ consumer }) => consumer.split(' ')[0])
    if (installed) expect(consumers).toContain('node-llama-cpp')
  })

  it('writes the file where nobody asks for its hash', async () => {
    const folder = await make('unhashed', 'llama', {})
    const source = await openSource({ model: folder })
    const { target, variant } = chooseTarget('gguf:q8_0')
    await target.write(source, variant, folder, { note: () => {} })
    expect(existsSync(join(folder, 'unhashed-Q8_0.gguf'))).toBe(true)
  })

  it.each(encoders)(
    'writes the embeddings of a %s, and reads them back',
    async (name, type, changes, lowercase, pooling) => {
      const words = name.replaceAll(' ', '-')
      const input = lowercase === undefined ? ({ type: 'bpe' } as const) : ({ type: 'wordpiece', lowercase } as const)
      const files = await train(`${words}-words`, { ...input, vocabSize: 290, minFrequency: 1 }, mixed)
      // llama.cpp 0.5 computes wrong products of Q8_0 with rows of 32.
      const folder = await make(words, type, { hiddenSize: 64, ...changes }, files, 'embedding')
      mkdirSync(join(folder, '1_Pooling'))
      writeFileSync(join(folder, '1_Pooling', 'config.json'), JSON.stringify({ pooling_mode: pooling }))
      const modules = ['Transformer', 'Pooling', 'Normalize'].map((name) => ({ type: `sentence_transformers.${name}` }))
      writeFileSync(join(folder, 'modules.json'), JSON.stringify(modules))
      const texts = [mixed, mixed.toUpperCase(), 'The cat 猫 sat.', 'naïve naive NAÏVE zzz']
      const { proof } = await exportModel({ model: folder, to: ['gguf:f32', 'gguf:q8_0'], out: `${folder}-out`, texts })
      expect(proof.filter(({ ok }) => !ok)).toEqual([])
      expect(proof[0].value).toBeLessThan(1e-5)
      const checks = proof.filter(({ consumer }) => consumer !== 'tunesmith').map(({ check }) => check)
      if (installed) expect(checks).toContain('embeddings, smallest cosine')
      const inOllama = await exportModel({ model: folder, to: 'ollama:f32', out: `${folder}-ollama`, prove: false })
      expect(inOllama.notes.some((note) => /a WordPiece of its own/.test(note))).toBe(lowercase !== undefined)
      // Read by anyone, it is an embedding model with the pooling of the file and vectors of norm 1.
      const path = join(`${folder}-out`, 'gguf', `${words}-F32.gguf`)
      const read = await loadForInference({ model: path })
      const [theirs, ours] = [
        await embedTexts(read.model, read.tokenizer, texts),
        await embedTexts(await loadModel(folder), await loadTokenizer(folder), texts),
      ]
      expect(theirs.sub(ours).abs().max().item()).toBeLessThan(1e-6)
    },
  )

  it.each([true, false])(
    'says what Ollama does to the words of a decoder whose tokenizer lowercases: %s',
    async (lowercase) => {
      const name = `words-of-decoder-${lowercase}`
      const files = await train(name, { type: 'wordpiece', lowercase, vocabSize: 290, minFrequency: 1 }, mixed)
      const folder = await make(`decoder-${lowercase}`, 'gpt2', {}, files)
      const { notes } = await exportModel({ model: folder, to: 'ollama:f32', out: `${folder}-out`, prove: false })
      expect(notes.some((note) => note.includes('WordPiece of its own'))).toBe(false)
      expect(notes.some((note) => note.includes('into lower case'))).toBe(!lowercase)
    },
  )

  it.each([
    ['t5', {}],
    ['t5', { gated: true, activation: 'gelu_new', tiedEmbeddings: false }],
    ['mt5', { gated: true, activation: 'gelu_new', tiedEmbeddings: true }],
  ] as const)('writes a %s with %j, and its Unigram tokenizer', async (type, changes) => {
    const name = `${type}${Object.keys(changes).length}`
    const files = await train(`${name}-words`, { type: 'unigram', vocabSize: 90, normalizer: 'none' }, mixed)
    const path = join(files, 'tokenizer.json')
    const normalizers = [
      { type: 'Replace', pattern: { Regex: '\\A +| +\\z' }, content: '' },
      { type: 'Replace', pattern: { Regex: ' {2,}' }, content: ' ' },
    ]
    const json = JSON.parse(readFileSync(path, 'utf8')) as object
    writeFileSync(path, JSON.stringify({ ...json, normalizer: { type: 'Sequence', normalizers } }))
    const folder = await make(name, type, changes, files, 'seq2seq-lm')
    const texts = [mixed, '  two  spaces ', 'zzz']
    const { proof } = await exportModel({ model: folder, to: ['gguf:f32', 'gguf:q8_0'], out: `${folder}-out`, texts })
    expect(proof.filter(({ ok }) => !ok)).toEqual([])
    expect(proof.map(({ check }) => check)).toContain('greedy tokens')
    expect(proof.find(({ check }) => check.startsWith('logits'))!.value).toBeLessThan(1e-5)
  })

  it.each([{}, { normalizer: 'none' }, { normalizer: 'nfd' }, { lowercase: true }] as const)(
    'writes a Unigram tokenizer that was trained here with %j, which splits any text into the same ids',
    async (options) => {
      const name = `unigram-${Object.values(options).join('-')}`
      const words = `${mixed} 한국어 ﬁne`
      const files = await train(`${name}-words`, { type: 'unigram', vocabSize: 140, ...options }, words)
      const folder = await make(name, 'llama', { maxPositions: 128 }, files)
      const texts = [
        words.toUpperCase(),
        words.normalize('NFD'),
        '  two  spaces\tand\n\ntabs ',
        'ＦＵＬＬ width ２３ ½ … ™ ẞ İ',
        // Composed in part, and with marks that compose with nothing.
        'zzz ắ ă\u0301 a\u0306\u0301 q\u0307',
        '\u00a0a\u2003b\u3000c',
        '👩‍👩‍👧 flags 🇩🇪',
      ]
      const { proof } = await exportModel({ model: folder, to: 'gguf:f32', out: `${folder}-out`, texts })
      const ids = proof.filter(({ check }) => check === 'token ids')
      expect(ids).toHaveLength(installed ? 2 : 1)
      for (const { ok, value } of ids) expect([ok, value]).toEqual([true, expect.stringMatching(/^(\d+) of \1 texts$/)])
    },
  )

  it("writes SentencePiece's BPE, whose merges llama.cpp makes by scores", async () => {
    const golden = gunzipSync(readFileSync(join(import.meta.dirname, '../checkpoint/golden/sentencepiece.json.gz')))
    const { header } = JSON.parse(golden.toString()) as { header: string }
    // A vocabulary of 512 tokens; the tensors are not read.
    const vocabulary = join(scratch, 'vocabulary.gguf')
    writeFileSync(vocabulary, Buffer.concat([Buffer.from(header, 'base64'), Buffer.alloc(4 << 20)]))
    const files = join(scratch, 'sentencepiece-words')
    mkdirSync(files)
    const given = await openGguf(vocabulary)
    const { tokenizer: content, config } = ggufTokenizer(given)
    writeFileSync(join(files, 'tokenizer.json'), JSON.stringify(content))
    writeFileSync(join(files, 'tokenizer_config.json'), JSON.stringify(config))
    const folder = await make('sentencepiece', 'llama', { vocabSize: 512, maxPositions: 128 }, files)
    const texts = ['Once upon a time, there was a girl.', ' two  spaces\tand\n\ntabs ', 'Größe 你好 🦙 é', '  ']
    const { proof } = await exportModel({ model: folder, to: 'gguf:f32', out: `${folder}-out`, texts })
    const ids = proof.filter(({ check }) => check === 'token ids')
    expect(ids).toHaveLength(installed ? 2 : 1)
    for (const { ok, value } of ids) expect([ok, value]).toEqual([true, expect.stringMatching(/^(\d+) of \1 texts$/)])
    const written = await openGguf(join(`${folder}-out`, 'gguf', 'sentencepiece-F32.gguf'))
    const types = (file: typeof given) => [...(file.metadata.get('tokenizer.ggml.token_type') as Int32Array)]
    expect(types(written)).toEqual(types(given))
    // Merges in an order that no scores give.
    const path = join(folder, 'tokenizer.json')
    const json = JSON.parse(readFileSync(path, 'utf8')) as { model: { merges: unknown[] } }
    writeFileSync(path, JSON.stringify({ ...json, model: { ...json.model, merges: json.model.merges.slice(1) } }))
    await expect(exportModel({ model: folder, to: 'gguf:f32', out: `${folder}-no` })).rejects.toThrow(/do not follow/)
  })

  it('writes every type, and the same bytes twice', async () => {
    const sizes = {
      hiddenSize: 256,
      intermediateSize: 256,
      numLayers: 2,
      numHeads: 4,
      numKvHeads: 1,
    }
    // Few bits lose more where norms and biases differ.
    const folder = await make('types', 'llama', sizes, tokenizer, 'causal-lm', 0)
    const to = Object.keys(mixes).map((variant) => `gguf:${variant}`)
    const texts = ['The cat sat on the mat.']
    const first = await exportModel({ model: folder, to, out: join(scratch, 'types-1'), texts })
    const second = await exportModel({ model: folder, to: to.slice(-3), out: join(scratch, 'types-2'), prove: false })
    const written = ({ files }: typeof first) => files.filter(({ name }) => name.endsWith('.gguf'))
    expect(written(first)).toHaveLength(to.length)
    for (const file of written(second)) expect(first.files).toContainEqual(file)
    const errors = new Map(
      first.proof
        .filter(({ check, consumer }) => check.startsWith('logits') && consumer === 'tunesmith')
        .map(({ target, value }) => [target, Number(value)]),
    )
    expect(errors.get('gguf:q8_0')).toBeLessThan(0.1)
    expect(errors.get('gguf:q6_k')).toBeLessThan(errors.get('gguf:q4_0')!)
    expect(errors.get('gguf:q5_k_m')).toBeLessThan(errors.get('gguf:q4_k_s')!)
  })

  it('is computed with its blocks as they lie in the file, near the logits of the unpacked weights', async () => {
    const sizes = {
      hiddenSize: 256,
      intermediateSize: 512,
      numLayers: 2,
      numHeads: 4,
      numKvHeads: 2,
      attentionBias: true,
    }
    const folder = await make('packed', 'llama', { ...sizes, tiedEmbeddings: true })
    // Together they have all block formats but Q4_1, Q5_0 and Q5_1.
    const variants = ['q8_0', 'q4_0', 'q4_k_m', 'q5_k_m']
    const to = variants.map((variant) => `gguf:${variant}`)
    const { files } = await exportModel({ model: folder, to, out: `${folder}-out`, prove: false })
    const ids = rowOf([5, 9, 200, 3, 77, 31, 8])
    const logitsOf = (model: Model, inputIds = ids) => noGrad(() => model.forward({ inputIds }).logits)
    const paths = files.filter(({ name }) => name.endsWith('.gguf')).map(({ name }) => join(`${folder}-out`, name))
    expect(paths).toHaveLength(variants.length)
    for (const path of paths) {
      const [packed, unpacked] = [
        (await loadForInference({ model: path })).model,
        (await loadForInference({ model: path, weights: 'unpacked' })).model,
      ]
      expect([...packed.parameters().values()].filter(({ ndim }) => ndim > 1)).toEqual([])
      expect(packed.parameterCount).toBe(unpacked.parameterCount)
      const [near, exact] = [logitsOf(packed), logitsOf(unpacked)]
      expect(near.sub(exact).square().mean().sqrt().item() / exact.std().item(), path).toBeLessThan(0.05)
      // Decoding with a cache, which is one call per layer, sees the same matrices.
      const [{ ids: made }] = await generate(packed, undefined, [[5, 9, 200]], { maxNewTokens: 4 })
      const whole = noGrad(() => packed.forward({ inputIds: rowOf([5, 9, 200, ...made]) }))
      expect(made).toEqual([...whole.logits.argmax(-1).flatten().toTypedArray()].slice(2, 6).map(Number))
      freeWeights(packed)
    }
    const [path] = paths
    // Only the CPU reads the file itself.
    const packed = (await loadForInference({ model: path, device: 'cpu' })).model
    await expect(saveModel(packed, join(scratch, 'saved'))).rejects.toThrow(/quantised to/)
    await expect(loadForInference({ model: folder, weights: 'packed' })).rejects.toThrow(/needs a \.gguf file/)
    await expect(loadModel(folder, { weights: 'unpacked' })).rejects.toThrow(/needs a \.gguf file/)
    await expect(loadForInference({ model: path, weights: 'packed' }, { dtype: 'float32' })).rejects.toThrow(/`dtype`/)
    truncateSync(path, 200_000)
    expect(() => logitsOf(packed, ids.to({ device: 'cpu' }))).toThrow(/was truncated while it is in use/)
  })

  it.each([
    ['mixtral', 'causal-lm', { intermediateSize: 96, numExperts: 3 }],
    ['phi3', 'causal-lm', { intermediateSize: 96 }],
    ['gpt-neox', 'causal-lm', { intermediateSize: 96, numHeads: 2 }],
    ['modernbert', 'embedding', { intermediateSize: 96, numHeads: 2, layerTypes: slidesTwice }],
  ] as const)(
    'splits the matrices of a %s that are one tensor where they lie in the file',
    async (type, head, changes) => {
      const name = `fused-${type}`
      const folder = await make(name, type, { hiddenSize: 64, maxPositions: 128, ...changes }, tokenizer, head)
      await exportModel({ model: folder, to: 'gguf:q8_0', out: `${folder}-out`, prove: false })
      const path = join(`${folder}-out`, 'gguf', `${name}-Q8_0.gguf`)
      const inputIds = rowOf([5, 9, 200, 3, 77, 31, 8])
      const [packed, unpacked] = await Promise.all(ofFile.map((weights) => loadModel(path, { head, weights })))
      // Routers stay as they are.
      const matrices = (model: Model) =>
        [...model.body.parameters()].filter(([name, { ndim }]) => ndim > 1 && !name.endsWith('router.weight'))
      expect(matrices(unpacked).length).toBeGreaterThan(8)
      expect(matrices(packed)).toEqual([])
      const [near, exact] = [packed, unpacked].map((model) => noGrad(() => model.forward({ inputIds }).logits))
      expect(near.sub(exact).square().mean().sqrt().item() / exact.std().item()).toBeLessThan(0.05)
    },
  )

  it('takes adapters while its matrices stay blocks, also in the one call per layer of decoding', async () => {
    const folder = await make('adapted', 'llama', { hiddenSize: 64, intermediateSize: 64, numHeads: 2, numKvHeads: 1 })
    await exportModel({ model: folder, to: 'gguf:q8_0', out: `${folder}-out`, prove: false })
    const path = join(`${folder}-out`, 'gguf', 'adapted-Q8_0.gguf')
    const ids = [5, 9, 200, 3]
    const logits: Tensor[] = []
    for (const weights of ofFile) {
      const { model } = await loadForInference({ model: path, weights })
      const bare = noGrad(() => model.forward({ inputIds: rowOf(ids) }).logits)
      applyAdapter(model, { type: 'lora', rank: 2, targets: ['qProj', 'downProj'] }, { name: 'a', seed: 1 })
      noGrad(() => {
        for (const tensor of adaptersOf(model).tensorsOf('a').values())
          tensor.normal_(0, 0.3, { generator: new Generator(2) })
      })
      model.eval()
      const [{ ids: made }] = await generate(model, undefined, [ids], { maxNewTokens: 4, eosTokenIds: [] })
      const whole = noGrad(() => model.forward({ inputIds: rowOf([...ids, ...made]) }).logits)
      expect(made, weights).toEqual([...whole.argmax(-1).flatten().toTypedArray()].slice(3, 7).map(Number))
      expect(whole.narrow(1, 0, 4).sub(bare).abs().max().item()).toBeGreaterThan(0.1)
      const dense = [...model.body.parameters().keys()].filter((name) => name.endsWith('qProj.weight'))
      expect(dense.length === 0, weights).toBe(weights === 'packed')
      logits.push(whole.narrow(1, 0, 4))
    }
    const [packed, unpacked] = logits
    expect(packed.sub(unpacked).square().mean().sqrt().item() / unpacked.std().item()).toBeLessThan(0.05)
  })

  it('has vectors of its own in a cache, packed and not', async () => {
    const folder = await make('cached', 'llama', { hiddenSize: 64, intermediateSize: 64, numHeads: 2, numKvHeads: 1 })
    await exportModel({ model: folder, to: ['gguf:q8_0', 'gguf:f16'], out: `${folder}-out`, prove: false })
    const path = join(`${folder}-out`, 'gguf', 'cached-Q8_0.gguf')
    const cache = { folder: join(scratch, 'vectors'), identity: 'the file' }
    for (const weights of ofFile) {
      const { model, tokenizer } = await loadForInference({ model: path, weights }, { head: 'embedding' })
      const [stored, alone] = [
        await embedTexts(model, tokenizer, ['The cat sat.'], { cache }),
        await embedTexts(model, tokenizer, ['The cat sat.']),
      ]
      expect(stored.toArray(), weights).toEqual(alone.toArray())
    }
    const half = join(`${folder}-out`, 'gguf', 'cached-F16.gguf')
    await expect(loadForInference({ model: half, weights: 'packed' })).rejects.toThrow(/needs matrices in Q4_0/)
  })

  it('carries the chat template, end tokens and sampling defaults', async () => {
    const folder = await make('chat', 'llama', {})
    writeFileSync(join(folder, 'chat_template.jinja'), "{% for m in messages %}{{ m['content'] }}{% endfor %}")
    writeFileSync(
      join(folder, 'generation_config.json'),
      '{"do_sample": true, "temperature": 0.5, "top_k": 7, "eos_token_id": [0, 5]}',
    )
    const out = join(scratch, 'chat-out')
    await exportModel({ model: folder, to: 'gguf:f16', out })
    const path = join(out, 'gguf', 'chat-F16.gguf')
    const { metadata } = await openGguf(path)
    expect(metadata.get('general.sampling.top_k')).toBe(7)
    expect(metadata.get('general.sampling.temp')).toBe(0.5)
    expect(metadata.get('tokenizer.ggml.eot_token_id')).toBeDefined()
    expect((await loadTokenizer(path)).chatTemplate).toContain('messages')
    await expect(loadModel(path)).resolves.toBeDefined()
  })

  it('writes a Modelfile with every setting that Ollama has another default for', async () => {
    const folder = await make('modelfile', 'llama', { maxPositions: 64 })
    writeFileSync(join(folder, 'generation_config.json'), '{"eos_token_id": [7], "stop_strings": ["User:"]}')
    const out = join(scratch, 'ollama-out')
    await exportModel({ model: folder, to: 'ollama:f16', out, prove: false })
    const text = readFileSync(join(out, 'ollama', 'Modelfile'), 'utf8')
    const end = JSON.stringify((await loadTokenizer(folder)).idToToken(7))
    expect(text.split('\n')).toEqual([
      'FROM ./modelfile-F16.gguf',
      'PARAMETER num_ctx 64',
      'PARAMETER temperature 0',
      'PARAMETER top_k 0',
      'PARAMETER top_p 1',
      'PARAMETER min_p 0',
      'PARAMETER repeat_penalty 1',
      `PARAMETER stop ${end}`,
      'PARAMETER stop "User:"',
      'TEMPLATE "{{ .Prompt }}"',
      '',
    ])
    const exportWith = async (name: string, template: string) => {
      writeFileSync(join(folder, 'chat_template.jinja'), template)
      const { notes } = await exportModel({ model: folder, to: 'ollama:f16', out: `${out}-${name}`, prove: false })
      return { notes: notes.join(), text: readFileSync(join(`${out}-${name}`, 'ollama', 'Modelfile'), 'utf8') }
    }
    const chat = await exportWith(
      'chat',
      "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\\n' }}{% endfor %}",
    )
    expect(chat.notes).toContain('renders 24 conversations as the chat template does.')
    expect(chat.text).toContain('TEMPLATE """{{ range .Messages }}{{ if eq .Role "system" }}system: {{ .Content }}\n')
    const dated = await exportWith(
      'dated',
      "{{ strftime_now('%d') }}{% for m in messages %}{{ m['content'] }}{% endfor %}",
    )
    expect(dated.notes).toContain('no TEMPLATE, as the chat template writes the date')
    expect(dated.text).not.toContain('TEMPLATE')
    writeFileSync(join(folder, 'generation_config.json'), '{"stop_strings": ["\\n\\n", "a\\u2028b"]}')
    const stops = await exportWith('stops', "{% for m in messages %}{{ m['content'] }}{% endfor %}")
    expect(stops.text).toContain('PARAMETER stop """\n\n"""\n')
    expect(stops.notes).toContain('lacks the stop text "a\u2028b"')
  })

  it('collects the importance of each expert from the tokens that it got', async () => {
    const sizes = { hiddenSize: 256, intermediateSize: 256, numLayers: 1, numExperts: 16, expertsPerToken: 1 }
    const folder = await make('importance-of-experts', 'mixtral', sizes)
    const imatrix = ['The cat.']
    await exportModel({ model: folder, to: 'gguf:q4_k_m', out: `${folder}-out`, imatrix, prove: false })
    const matrix = await openGguf(join(`${folder}-out`, 'gguf', 'importance-of-experts-imatrix.gguf'))
    const read = (name: string) => matrix.tensors.get(`blk.0.ffn_down_exps.weight.${name}`)!.read()
    const { ids } = (await loadTokenizer(folder)).encode(imatrix[0], { addSpecialTokens: false })
    const [counts, sums] = [read('counts').flatten().toFloat32Array(), read('in_sum2')]
    expect(sums.shape).toEqual([16, 256])
    expect(counts.reduce((total, one) => total + one, 0)).toBe(ids.length)
    expect(counts).toContain(0)
    for (const [expert, size] of sums.sum(1).toFloat32Array().entries()) expect(size > 0).toBe(counts[expert] > 0)
  })

  it('weighs errors by the inputs that the matrices have on calibration text', async () => {
    const sizes = { hiddenSize: 256, intermediateSize: 256, numLayers: 1, numHeads: 4, numKvHeads: 1 }
    const folder = await make('weighed', 'llama', sizes)
    const imatrix = ['The cat sat on the mat.', 'It is 1999, and the dog ran.']
    const to = ['gguf:f32', 'gguf:q4_k_m', 'gguf:q3_k_s', 'gguf:iq4_xs']
    const [plain, weighed] = [`${folder}-plain`, `${folder}-out`]
    await exportModel({ model: folder, to, out: plain, prove: false })
    const { notes, proof } = await exportModel({ model: folder, to, out: weighed, imatrix })
    expect(notes.join()).toMatch(/Importance matrix of \d+ tokens/)
    expect(proof.filter(({ ok }) => !ok)).toEqual([])
    const open = (out: string, type: string) => openGguf(join(out, 'gguf', `weighed-${type}.gguf`))
    const matrix = await open(weighed, 'imatrix')
    expect(matrix.metadata.get('general.type')).toBe('imatrix')
    const name = 'blk.0.ffn_down.weight'
    const read = (file: typeof matrix, tensor: string) => file.tensors.get(tensor)!.read().to('float32')
    // What the matrix reads, by the modules themselves.
    const model = await loadModel(folder)
    const { ids } = (await loadTokenizer(folder)).encode(imatrix.join('\n'), { addSpecialTokens: false })
    const layer = [...model.modules()].find(([path]) => path.endsWith('layers.0.mlp'))![1] as unknown as GatedMlp
    let squares: Tensor | undefined
    const forward = layer.downProj.forward
    layer.downProj.forward = function (input) {
      squares = keep(input.square().flatten(0, -2).sum(0).to({ device: 'cpu' }))
      return forward.call(this, input)
    }
    noGrad(() => model.forward({ inputIds: rowOf([...ids]) }))
    expect(read(matrix, `${name}.counts`).item()).toBe(ids.length)
    const sums = read(matrix, `${name}.in_sum2`).flatten()
    expect(sums.sub(squares!).abs().max().item()).toBeLessThan(1e-5 * squares!.max().item())
    const exact = read(await open(weighed, 'F32'), name)
    const errorOf = async (out: string, type: string) => {
      const error = read(await open(out, type), name).sub(exact)
      return error.square().mul(sums).sum().item()
    }
    for (const type of ['Q4_K_M', 'Q3_K_S', 'IQ4_XS'])
      expect(await errorOf(weighed, type), type).toBeLessThan(await errorOf(plain, type))
    const refused = (more: object, words: RegExp) =>
      expect(exportModel({ model: folder, to: 'gguf:q4_0', out: `${folder}-no`, ...more })).rejects.toThrow(words)
    await refused({ imatrix, to: ['gguf:q8_0', 'merged'] }, /`imatrix` has no effect on gguf:q8_0, merged/)
    await refused({ imatrix: [''] }, /`imatrix` needs text/)
  })

  it('refuses what llama.cpp does not compute, before anything is written', async () => {
    const window = await make('window', 'mistral', { slidingWindow: 8 })
    const scaling = { kind: 'dynamic', factor: 2, originalPositions: 32 }
    const dynamic = await make('dynamic', 'llama', { ropeScaling: scaling })
    const words = await train('words', { type: 'unigram', vocabSize: 90 })
    const unigram = await make('unigram', 'llama', {}, words)
    const odd = await make('odd', 'llama', {})
    const path = join(odd, 'tokenizer.json')
    const json = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>
    writeFileSync(
      path,
      JSON.stringify({
        ...json,
        pre_tokenizer: {
          type: 'Sequence',
          pretokenizers: [{ type: 'Punctuation', behavior: 'Isolated' }, json.pre_tokenizer],
        },
      }),
    )
    const out = join(scratch, 'refused')
    const refused = async (model: string, words: RegExp) =>
      expect(exportModel({ model, to: 'gguf', out })).rejects.toThrow(words)
    await refused(window, /sliding window of 8/)
    await refused(dynamic, /dynamic/)
    await refused(await make('ramp', 'llama', { ropeScaling: { ...yarn, truncate: false } }), /YaRN with `truncate`/)
    const rules = join(unigram, 'tokenizer.json')
    const trained = JSON.parse(readFileSync(rules, 'utf8')) as object
    writeFileSync(
      rules,
      JSON.stringify({ ...trained, normalizer: { type: 'Replace', pattern: { String: 'a' }, content: 'b' } }),
    )
    await refused(unigram, /Unigram with the normalizer/)
    await refused(await make('deep', 't5', { numDecoderLayers: 3 }, words, 'seq2seq-lm'), /3 and 2/)
    await refused(odd, /Punctuation/)
    await refused(await make('nowhere', 'smollm3', { positionlessInterval: 2 }), /no positions in every fourth layer/)
    await refused(await make('biased', 'olmo2', { attentionBias: true }), /layers without biases/)
    await refused(await make('scaled', 'gemma3', { queryScale: 5 }), /divided by the root of 8.*the root of 5/)
    await refused(await make('uncapped', 'gemma2', { logitSoftcap: 0 }), /soft caps.*logits without one/)
    await refused(await make('raw', 'qwen3-moe', { normalizeWeights: false }), /divided by their sum/)
    await refused(await make('dense', 'qwen3-moe', { denseLayers: [1] }), /experts in every layer/)
    await refused(await make('near', 'phi3', { slidingWindow: 16 }), /sliding window of 16/)
    await refused(await make('rule', 'qwen2', { ropeScaling: llama3 }), /RoPE scaling of default, linear, yarn/)
    const mpnet = await make('mpnet', 'mpnet', {}, words, 'embedding')
    await refused(mpnet, /mpnet \(llama\.cpp has no relative positions in encoders\)/)
    const masked = await make('masked', 'bert', {}, words, 'masked-lm')
    await refused(masked, /the head embedding with bert.*the head masked-lm/)
    expect(existsSync(out)).toBe(false)
  })
})
