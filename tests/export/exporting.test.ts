// `exportModel`: opening, merging, the folder that appears as a whole, and bad input. Expected logits are those of the model
// with its adapter beside the base.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { applyAdapter, loadAdapter, saveAdapter } from '../../src/adapters/index.ts'
import { loadModel, saveModel } from '../../src/checkpoint/index.ts'
import { exportModel, exportTargets, PROOF_FILE } from '../../src/export/index.ts'
import { loadForInference } from '../../src/inference/index.ts'
import { buildModel, type Model, models, quantizeWeights } from '../../src/models/index.ts'
import type { Quantization } from '../../src/nn/index.ts'
import { Generator, noGrad, tensor } from '../../src/tensor/index.ts'
import { trainTokenizer } from '../../src/tokenizers/index.ts'
import { testDevice } from '../device.ts'

const scratch = mkdtempSync(join(tmpdir(), 'exporting-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))
const base = join(scratch, 'base')
const ids = tensor(BigInt64Array.from([5, 6, 7, 8, 9, 10], BigInt), { shape: [1, 6] })
const logitsOf = (model: Model) => {
  const inputIds = ids.to({ device: model.body.embedTokens.device })
  return noGrad(() => model.forward({ inputIds }).logits.to('float32').toFloat32Array())
}
const apart = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i])))

const tiny = (seed = 1): Model =>
  buildModel(
    models.llama,
    models.llama.adjust(models.llama.presets.test, { vocabSize: 300, tiedEmbeddings: true }),
    'causal-lm',
  )
    .initialize({ std: 0.2, generator: new Generator(seed) })
    .eval()

/** The base with quantised matrices. */
const quantised = async (format: Quantization): Promise<Model> => {
  const model = await loadModel(base, { device: 'cpu' })
  quantizeWeights(model, format)
  return model.to({ device: testDevice })
}

const makeAdapter = async (
  name: string,
  config: Parameters<typeof applyAdapter>[1],
  format?: Quantization,
): Promise<string> => {
  const model = format === undefined ? await loadModel(base) : await quantised(format)
  const applied = applyAdapter(model, config, { seed: 3 })
  const generator = new Generator(4)
  noGrad(() => {
    for (const value of applied.trainable.values()) value.detach().add_(value.mul(0).normal_(0, 0.1, { generator }))
  })
  const folder = join(scratch, name)
  await saveAdapter(applied, folder, { base })
  return folder
}

beforeAll(async () => {
  const text = 'The cat sat on the mat, and the dog ran after the cat. It is 1999.'
  const { files } = await trainTokenizer(
    Array(50).fill(text),
    { type: 'bpe', vocabSize: 290, minFrequency: 1 },
    { workers: 1 },
  )
  mkdirSync(join(scratch, 'tokenizer'))
  for (const [name, content] of Object.entries(files)) writeFileSync(join(scratch, 'tokenizer', name), content)
  await saveModel(tiny(), base, { tokenizer: join(scratch, 'tokenizer') })
})

describe('exportModel', () => {
  it('writes the operators of opset 23 on request, which onnxruntime computes', async () => {
    const out = join(scratch, 'opset')
    const { proof } = await exportModel({ model: base, to: ['onnx', 'onnx:fp16'], opset: 23, out })
    expect(proof.some(({ consumer }) => consumer.startsWith('onnxruntime-node'))).toBe(true)
    const written = readFileSync(join(out, 'onnx', 'onnx', 'model.onnx'), 'latin1')
    for (const operator of ['Attention', 'RMSNormalization', 'RotaryEmbedding']) expect(written).toContain(operator)
    const plain = await exportModel({ model: base, to: 'onnx', opset: 18, out: `${out}-plain`, prove: false })
    expect(readFileSync(join(plain.out, 'onnx', 'onnx', 'model.onnx'), 'latin1')).not.toContain('RMSNormalization')
    const refused = (more: object, words: RegExp) =>
      expect(exportModel({ model: base, to: 'onnx', out: `${out}-no`, ...more })).rejects.toThrow(words)
    await refused({ opset: 17 }, /one of `18`, `23` for `opset`, got 17/)
    for (const opset of [18, 23])
      for (const target of exportTargets.map(({ type }) => type).filter((type) => type !== 'onnx'))
        await refused(
          { opset, to: ['onnx', target] },
          new RegExp(`\`opset\` has no effect on ${target}.*: leave it out`),
        )
  })

  it('writes GroupQueryAttention on request, which onnxruntime computes', async () => {
    const out = join(scratch, 'grouped')
    const to = ['onnx', 'onnx:fp16', 'onnx:q8', 'onnx:q4', 'onnx:q4f16']
    const { proof } = await exportModel({ model: base, to, groupedQueryAttention: true, out })
    const checks = proof.filter(({ consumer }) => consumer.startsWith('onnxruntime-node')).map(({ check }) => check)
    for (const check of ['padded batch against single rows', 'greedy tokens', 'with a cache against without'])
      expect(checks.filter((one) => one === check)).toHaveLength(to.length)
    expect(readFileSync(join(out, 'onnx', 'onnx', 'model_q4.onnx'), 'latin1')).toContain('GroupQueryAttention')
    const refused = (more: object, words: RegExp) =>
      expect(
        exportModel({ model: base, to: 'onnx', out: `${out}-no`, groupedQueryAttention: true, ...more }),
      ).rejects.toThrow(words)
    await refused({ opset: 23 }, /two forms of attention: set one/)
    await refused({ to: ['onnx', 'gguf:q8_0'] }, /`groupedQueryAttention` has no effect on gguf:q8_0/)
  })

  it.each([
    ['lora', { type: 'lora', rank: 4 }],
    ['rslora', { type: 'lora', rank: 4, rsLora: true }],
    ['dora', { type: 'lora', rank: 4, dora: true }],
    ['ia3', { type: 'ia3' }],
    ['lora on all layers', { type: 'lora', rank: 2, targets: 'all-linear' }],
  ] as const)('merges %s into a plain folder with the same logits', async (name, config) => {
    const adapter = await makeAdapter(name.replaceAll(' ', '-'), config)
    const before = logitsOf((await loadForInference({ model: adapter })).model)
    const out = join(scratch, `${name.replaceAll(' ', '-')}-out`)
    const { files, proof } = await exportModel({ model: adapter, to: 'merged', out })
    expect(apart(logitsOf(await loadModel(join(out, 'merged'))), before)).toBeLessThan(1e-5)
    expect(files.map(({ name }) => name)).toContain('merged/model.safetensors')
    expect(proof.every(({ ok }) => ok)).toBe(true)
    expect(existsSync(join(out, 'merged', 'adapter_config.json'))).toBe(false)
    expect(apart(before, logitsOf(await loadModel(base)))).toBeGreaterThan(1e-2)
  })

  it('merges the weighted sum of several adapters', async () => {
    const [a, b] = [
      await makeAdapter('sum-a', { type: 'lora', rank: 4 }),
      await makeAdapter('sum-b', { type: 'lora', rank: 2 }),
    ]
    const out = join(scratch, 'sum-out')
    await exportModel({ model: base, adapters: [`a=${a}`, `b=${b}`], weights: [1, 0], to: 'merged', out })
    const alone = logitsOf((await loadForInference({ model: a })).model)
    expect(apart(logitsOf(await loadModel(join(out, 'merged'))), alone)).toBeLessThan(1e-5)
  })

  it.each(['nf4', 'int8'] as const)(
    'merges an adapter of a base in %s into the original, with both errors',
    async (format) => {
      const adapter = await makeAdapter(format, { type: 'lora', rank: 4, targets: 'all-linear', dora: true }, format)
      const out = join(scratch, `${format}-out`)
      const { notes } = await exportModel({ model: adapter, to: 'merged', out })
      const merged = logitsOf(await loadModel(join(out, 'merged')))
      // The adapter beside the original base, and beside the quantised one.
      const beside = async (base: Model) => {
        const { model } = await loadAdapter(adapter, { base })
        return logitsOf(model)
      }
      expect(apart(merged, await beside(await loadModel(base)))).toBeLessThan(1e-5)
      expect(apart(merged, await beside(await quantised(format)))).toBeGreaterThan(1e-3)
      const [matrices, original, dequantised] = (notes.join(' ').match(/by (?:at most )?[\d.e-]+\d/g) ?? []).map(
        (found) => Number(found.split(' ').at(-1)),
      )
      expect(notes.join(' ')).toContain(`Trained on a base in ${format}`)
      expect(dequantised).toBeLessThan(1e-5)
      expect(original).toBeGreaterThan(1e-3)
      // Of normal values, nf4 costs 9 % of their norm. A step of int8 is 1/127 of the largest value in a row of 32, which is
      // about 2.1 deviations, and errors are uniform within it: 2.1 / 127 / sqrt(12).
      const expected = { nf4: 0.09, int8: 0.005 }[format]
      expect(Math.abs(matrices / expected - 1)).toBeLessThan(0.2)
    },
  )

  it('writes the same bytes twice, in every format', async () => {
    const adapter = await makeAdapter('twice', { type: 'lora', rank: 4 })
    // Every variant, but one of each target whose folder holds only one.
    const own = exportTargets.filter(({ sharesFolder = false, variants }) => !sharesFolder && variants.length > 0)
    const shared = exportTargets.filter(({ sharesFolder = false }) => sharesFolder)
    const to = [
      ...own.map(({ type, variants }) => `${type}:${variants[variants.length - 1]}`),
      ...shared.flatMap(({ type, variants }) => variants.map((variant) => `${type}:${variant}`)),
      'onnx',
    ]
    const [one, two] = [join(scratch, 'one'), join(scratch, 'two')]
    const first = await exportModel({ model: adapter, to, out: one, prove: false })
    const second = await exportModel({ model: adapter, to, out: two, prove: false })
    expect(second.files).toEqual(first.files)
    expect(readFileSync(join(two, PROOF_FILE))).toEqual(readFileSync(join(one, PROOF_FILE)))
  })

  it('is used on the CPU where its files are in half precision, which the CPU does not compute in', async () => {
    const out = join(scratch, 'half')
    await exportModel({ model: base, to: ['merged:fp16', 'gguf:f16'], out, prove: false })
    const expected = logitsOf(await loadModel(base))
    const most = Math.max(...expected.map(Math.abs))
    const adapter = await makeAdapter('on-half', { type: 'lora', rank: 4 })
    const config = JSON.parse(readFileSync(join(adapter, 'adapter_config.json'), 'utf8')) as object
    const moved = { ...config, base_model_name_or_path: join(out, 'merged') }
    writeFileSync(join(adapter, 'adapter_config.json'), JSON.stringify(moved))
    for (const model of [join(out, 'merged'), join(out, 'gguf', 'base-F16.gguf'), adapter]) {
      const loaded = (await loadForInference({ model, device: 'cpu' })).model
      expect([...loaded.parameters().values()].every(({ dtype }) => dtype === 'float32')).toBe(true)
      if (model !== adapter) expect(apart(logitsOf(loaded), expected) / most).toBeLessThan(1e-2)
      else expect(logitsOf(loaded).every(Number.isFinite)).toBe(true)
    }
  })

  it('refuses adapters without matrices, and leaves nothing behind', async () => {
    const prompt = await makeAdapter('prompt', { type: 'prompt-tuning', virtualTokens: 2 })
    const bottleneck = await makeAdapter('houlsby', { type: 'houlsby' })
    const out = join(scratch, 'refused')
    await expect(exportModel({ model: prompt, to: 'merged', out })).rejects.toThrow(/2 virtual tokens are inputs/)
    await expect(exportModel({ model: bottleneck, to: 'merged', out })).rejects.toThrow(/houlsby/)
    expect(existsSync(out)).toBe(false)
  })

  it('names the tensor with NaN', async () => {
    const model = tiny()
    noGrad(() => model.parameters().get('body.layers.1.mlp.upProj.weight')?.fill_(Number.NaN))
    const broken = join(scratch, 'broken')
    await saveModel(model, broken, { tokenizer: join(scratch, 'tokenizer') })
    const out = join(scratch, 'nan-out')
    await expect(exportModel({ model: broken, to: 'merged', out })).rejects.toThrow(
      /body\.layers\.1\.mlp\.upProj\.weight/,
    )
    expect(existsSync(out)).toBe(false)
  })

  it('refuses unknown formats, a full folder, and a folder that no export wrote', async () => {
    const full = join(scratch, 'full')
    mkdirSync(full)
    writeFileSync(join(full, 'mine.txt'), 'mine')
    await expect(exportModel({ model: base, to: 'merge', out: join(scratch, 'x') })).rejects.toThrow(/Did you mean/)
    await expect(exportModel({ model: base, to: 'merged', out: full })).rejects.toThrow(/empty or does not exist/)
    await expect(exportModel({ model: base, to: 'merged', out: full, replace: true })).rejects.toThrow(/proof\.json/)
    expect(readdirSync(full)).toEqual(['mine.txt'])
  })

  it('refuses settings without effect, and names that are no settings, before it opens the model', async () => {
    const out = join(scratch, 'no-effect')
    const refused = (more: object, words: RegExp) =>
      expect(exportModel({ model: join(scratch, 'nowhere'), to: 'merged', out, ...more })).rejects.toThrow(words)
    await refused({ groupedQueryAttention: true }, /`groupedQueryAttention` has no effect on merged/)
    await refused({ imatrix: ['A text.'] }, /`imatrix` has no effect on merged/)
    await refused({ data: 'dev.tsv', prove: false }, /`data` has no effect without the comparison/)
    await refused({ data: 'dev.tsv', to: ['gguf-adapter'] }, /`data` has no effect on gguf-adapter:f32/)
    await refused({ opsets: 18 }, /unknown key `opsets`. Did you mean `opset`/)
    await refused({ out: 7 }, /a string for `out`, got 7/)
    const ofBase = (more: object, words: RegExp) =>
      expect(exportModel({ model: base, to: 'merged', out, ...more })).rejects.toThrow(words)
    await ofBase({ texts: ['A text.'], prove: false }, /`texts` has no effect without the comparison/)
    await ofBase({ revision: 'main' }, /`revision` has no effect on .*base, which is no model of the Hub/)
    await ofBase({ task: 'topics' }, /`task` needs a model of several tasks/)
    await ofBase({ weights: [1] }, /a weight for each of 0 adapters, got 1/)
    expect(existsSync(out)).toBe(false)
    // An adapter of a quantised base is measured on the texts while it is merged.
    const adapter = await makeAdapter('texts', { type: 'lora', rank: 4 }, 'int8')
    const { notes } = await exportModel({ model: adapter, to: 'merged', out, texts: ['A text.'], prove: false })
    expect(notes.join()).toContain('Trained on a base in int8')
  })

  it('writes hashes and comparisons beside the files', async () => {
    const out = join(scratch, 'proved')
    await exportModel({ model: base, to: ['merged:bf16'], out })
    const { proof, files } = JSON.parse(readFileSync(join(out, PROOF_FILE), 'utf8')) as Record<
      string,
      { [key: string]: unknown }[]
    >
    expect(proof[0]).toMatchObject({ target: 'merged:bf16', ok: true })
    expect(files[0].sha256).toMatch(/^[0-9a-f]{64}$/)
    // No file of generation settings for a model that has none.
    expect(files.map(({ name }) => name)).not.toContain('merged/generation_config.json')
  })
})
