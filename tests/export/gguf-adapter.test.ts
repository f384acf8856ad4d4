// LoRA as a GGUF file: base + alpha / rank · B A is the merged model, for every scale that PEFT knows, and what no such file
// can hold is refused. In llama.cpp, where node-llama-cpp is installed, the logits are those of the merged model.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type AdapterInput, applyAdapter, saveAdapter } from '../../src/adapters/index.ts'
import { loadModel, openGguf, saveModel, saveSafetensors } from '../../src/checkpoint/index.ts'
import { exportModel } from '../../src/export/index.ts'
import { Generator, noGrad, zeros } from '../../src/tensor/index.ts'
import { trainTokenizer } from '../../src/tokenizers/index.ts'
import { oddModel } from './onnx-fixture.ts'

const scratch = mkdtempSync(join(tmpdir(), 'gguf-adapter-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))
const at = (name: string) => join(scratch, name)

// An optional package, which the compiler must not look for.
const optional = 'node-llama-cpp'
const installed = await import(optional).then(
  () => true,
  () => false,
)

/** An adapter with random values; `fields` replace those of PEFT's file. */
const makeAdapter = async (
  name: string,
  config: AdapterInput,
  { base = 'llama', fields = {} }: { base?: string; fields?: object } = {},
): Promise<string> => {
  const applied = applyAdapter(await loadModel(at(base)), config, { seed: 3 })
  const generator = new Generator(4)
  noGrad(() => {
    for (const value of applied.trainable.values()) value.detach().normal_(0, 0.2, { generator })
  })
  await saveAdapter(applied, at(name), { base: at(base) })
  const path = join(at(name), 'adapter_config.json')
  writeFileSync(path, JSON.stringify({ ...(JSON.parse(readFileSync(path, 'utf8')) as object), ...fields }))
  // PEFT's own files have no second file of settings.
  if (Object.keys(fields).length > 0) rmSync(join(at(name), 'tunesmith.json'), { force: true })
  return at(name)
}

/** PEFT's files of a LoRA on the output layer, which our own settings cannot choose. */
const makeOutputAdapter = async (base: string): Promise<string> => {
  const folder = await makeAdapter(`output-of-${base}`, { type: 'lora', rank: 2, targets: ['vProj'] }, { base })
  const path = join(folder, 'adapter_config.json')
  const fields = JSON.parse(readFileSync(path, 'utf8')) as object
  writeFileSync(path, JSON.stringify({ ...fields, target_modules: ['lm_head'] }))
  rmSync(join(folder, 'tunesmith.json'))
  const model = await loadModel(at(base))
  const [vocab, hidden] = model.parameters().get('body.embedTokens.weight')!.shape
  const generator = new Generator(5)
  rmSync(join(folder, 'adapter_model.safetensors'))
  const random = (shape: number[]) => noGrad(() => zeros(shape).normal_(0, 0.2, { generator }))
  await saveSafetensors(
    join(folder, 'adapter_model.safetensors'),
    new Map([
      ['base_model.model.lm_head.lora_A.weight', random([2, hidden])],
      ['base_model.model.lm_head.lora_B.weight', random([vocab, 2])],
    ]),
  )
  return folder
}

beforeAll(async () => {
  const { files } = await trainTokenizer(
    Array(50).fill('The cat sat on the mat, and the dog ran after the cat.'),
    { type: 'bpe', vocabSize: 290, minFrequency: 1 },
    { workers: 1 },
  )
  mkdirSync(at('tokenizer'))
  for (const [name, content] of Object.entries(files)) writeFileSync(join(at('tokenizer'), name), content)
  const bases: [name: string, type: 'llama' | 'qwen2' | 'gpt2' | 'gpt-neox', changes: object][] = [
    ['llama', 'llama', { tiedEmbeddings: false }],
    ['qwen2', 'qwen2', { tiedEmbeddings: true, ropeScaling: { kind: 'default' } }],
    ['gpt2', 'gpt2', { maxPositions: 128, scaleAttention: true, scaleAttentionByLayer: false }],
    ['neox', 'gpt-neox', { maxPositions: 128 }],
  ]
  for (const [name, type, changes] of bases)
    await saveModel(oddModel(type, 'causal-lm', { vocabSize: 300, ...changes }), at(name), {
      tokenizer: at('tokenizer'),
    })
})

const cases: [name: string, alpha: number, base: string, make: () => Promise<string>][] = [
  ['lora', 6, 'llama', () => makeAdapter('lora', { type: 'lora', rank: 4, alpha: 6 })],
  ['rslora', 12, 'llama', () => makeAdapter('rslora', { type: 'lora', rank: 4, alpha: 6, rsLora: true })],
  [
    'another alpha of some layers',
    6,
    'llama',
    () =>
      makeAdapter(
        'patterns',
        { type: 'lora', rank: 4, alpha: 6, targets: ['qProj', 'kProj', 'downProj'] },
        { fields: { alpha_pattern: { 'layers.0.self_attn.q_proj': 11, 'layers.1.mlp.down_proj': 1 } } },
      ),
  ],
  ['lora on the output layer', 16, 'llama', () => makeOutputAdapter('llama')],
  [
    'lora on qwen2',
    9,
    'qwen2',
    () => makeAdapter('qwen2-lora', { type: 'lora', rank: 3, alpha: 9 }, { base: 'qwen2' }),
  ],
  // GPT-2 has queries, keys and values in one matrix, which transformers stores transposed.
  ['lora on gpt2', 9, 'gpt2', () => makeAdapter('gpt2-lora', { type: 'lora', rank: 3, alpha: 9 }, { base: 'gpt2' })],
  // GPT-NeoX has them head by head there, and one after the other in GGUF.
  [
    'lora on gpt-neox',
    9,
    'neox',
    () => makeAdapter('neox-lora', { type: 'lora', rank: 3, alpha: 9 }, { base: 'neox' }),
  ],
]

describe('gguf-adapter', () => {
  it.each(cases)(`writes %s${installed ? ', as llama.cpp computes it' : ''}`, async (_, alpha, baseName, make) => {
    const adapter = await make()
    const out = `${adapter}-out`
    const { proof, files } = await exportModel({ model: adapter, to: ['gguf-adapter', 'gguf:f32'], out })
    expect(proof.filter(({ ok }) => !ok)).toEqual([])
    const own = proof.filter(({ target }) => target === 'gguf-adapter:f32')
    expect(own[0].value).toBeLessThan(1e-5)
    const inLlamaCpp = own.filter(({ consumer }) => consumer.startsWith('node-llama-cpp'))
    if (installed) expect(inLlamaCpp.find(({ check }) => check.startsWith('logits'))?.value).toBeLessThan(1e-2)
    const pathOf = (part: string) =>
      join(out, files.find(({ name }) => name.startsWith(part) && name.endsWith('gguf'))!.name)
    const written = await openGguf(pathOf('gguf-adapter/'))
    expect(written.metadata.get('general.type')).toBe('adapter')
    expect(written.metadata.get('adapter.lora.alpha')).toBeCloseTo(alpha, 5)
    const merged = await openGguf(pathOf('gguf/'))
    const baseOut = `${adapter}-base`
    await exportModel({ model: at(baseName), to: 'gguf:f32', out: baseOut, prove: false })
    const base = await openGguf(join(baseOut, 'gguf', `${baseName}-F32.gguf`))
    const changed = [...written.tensors.keys()].filter((tensor) => tensor.endsWith('.lora_a'))
    expect(changed.length).toBeGreaterThan(0)
    for (const [tensor, { read }] of merged.tensors) {
      const values = read().toFloat32Array()
      const before = base.tensors.get(tensor)!.read()
      const [a, b] = ['a', 'b'].map((part) => written.tensors.get(`${tensor}.lora_${part}`)?.read())
      const scale = Number(written.metadata.get('adapter.lora.alpha')) / (b?.shape[1] ?? 1)
      const expected = noGrad(() => (a && b ? before.add(b.matmul(a).mul(scale)) : before)).toFloat32Array()
      expect(Math.max(...values.map((value, i) => Math.abs(value - expected[i])))).toBeLessThan(1e-5)
    }
  })

  it('writes half precision and 8 bits where whole blocks fit', async () => {
    const adapter = await makeAdapter('half', { type: 'lora', rank: 32, alpha: 4 })
    const { proof } = await exportModel({
      model: adapter,
      to: ['gguf-adapter:f16', 'gguf-adapter:bf16', 'gguf-adapter:q8_0'],
      out: at('half-out'),
    })
    expect(proof.filter(({ ok }) => !ok)).toEqual([])
    const values = proof.filter(({ check }) => check.startsWith('changes')).map(({ value }) => Number(value))
    expect(values).toHaveLength(3)
    expect(Math.min(...values)).toBeGreaterThan(1e-5)
  })

  it('refuses what is more than low-rank products of matrices that llama.cpp has', async () => {
    const refused = async (model: string, words: RegExp) =>
      expect(exportModel({ model, to: 'gguf-adapter', out: at('refused') })).rejects.toThrow(words)
    await refused(at('llama'), /the model has none/)
    await saveModel(oddModel('mpnet', 'embedding', { vocabSize: 300 }), at('mpnet'), { tokenizer: at('tokenizer') })
    await refused(at('mpnet'), /for `gguf-adapter`, got mpnet/)
    await refused(await makeAdapter('dora', { type: 'lora', rank: 2, dora: true }), /the lora of .*qProj is none/)
    await refused(await makeAdapter('ia3', { type: 'ia3' }), /the ia3 of/)
    await refused(await makeOutputAdapter('qwen2'), /lm_head\.weight is the token embedding too/)
    expect(existsSync(at('refused'))).toBe(false)
  })
})
