// The proof of exports: every comparison where the export is right, and what it says where one layer, matrix or template is
// wrong. Wrong exports are made by changing the model after it was exported.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { saveModel } from '../../src/checkpoint/index.ts'
import type { ExportSource, ProofRow } from '../../src/export/export-target.ts'
import { exportModel, exportTargets } from '../../src/export/index.ts'
import { openSource } from '../../src/export/open-source.ts'
import { freeModel } from '../../src/export/proof/compare-models.ts'
import { generateInTransformersJs } from '../../src/export/proof/transformers-js.ts'
import { noGrad } from '../../src/tensor/index.ts'
import { trainTokenizer } from '../../src/tokenizers/index.ts'
import { oddModel } from './onnx-fixture.ts'

const scratch = mkdtempSync(join(tmpdir(), 'proof-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))
const text = 'The cat sat on the mat, and the dog ran after the cat. It is 1999.'
const texts = ['The cat sat on the mat.', 'A dog', 'It is 1999, and the dog ran.']

beforeAll(async () => {
  for (const [name, input] of [
    ['bpe', { type: 'bpe', vocabSize: 290, minFrequency: 1 }],
    ['wordpiece', { type: 'wordpiece', vocabSize: 120, lowercase: true }],
  ] as const) {
    const { files } = await trainTokenizer(Array(50).fill(text), input, { workers: 1 })
    mkdirSync(join(scratch, name))
    for (const [file, content] of Object.entries(files)) writeFileSync(join(scratch, name, file), content)
  }
})

type OddModel = Parameters<typeof oddModel>

const save = async (
  name: string,
  type: OddModel[0],
  head: OddModel[1],
  { tokenizer = 'bpe', changes = {}, fields = {} }: { tokenizer?: string; changes?: object; fields?: object } = {},
): Promise<string> => {
  const folder = join(scratch, name)
  const model = oddModel(type, head, { vocabSize: 300, ...changes })
  await saveModel(model, folder, { tokenizer: join(scratch, tokenizer), fields: { ...fields } })
  return folder
}

const template =
  "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}{% if add_generation_prompt %}>{% endif %}"

/** Proves the files of an export against a model that changed since. */
const proveAgain = (type: string, source: ExportSource, folder: string): Promise<ProofRow[]> => {
  const target = exportTargets.find((one) => one.type === type)!
  return target.prove!(source, target.defaultVariant ?? '', join(folder, type), { texts, note: () => {} })
}

const byCheck = (rows: readonly ProofRow[], check: string) => rows.find((row) => row.check.startsWith(check))

describe('a proof', () => {
  it('compares a decoder that chats in every way', async () => {
    const folder = await save('chat', 'llama', 'causal-lm')
    writeFileSync(join(folder, 'chat_template.jinja'), template)
    const { proof } = await exportModel({
      model: folder,
      to: ['merged', 'onnx', 'onnx:q4', 'gguf:f16'],
      out: `${folder}-out`,
      texts,
    })
    expect(proof.filter(({ ok }) => !ok)).toEqual([])
    for (const target of ['merged', 'onnx', 'gguf:f16']) {
      const own = proof.filter((row) => row.target === target)
      expect(byCheck(own, 'greedy tokens')?.value).toBe('64 of 64')
      expect(byCheck(own, 'with a cache')?.value).toBeLessThan(1e-5)
      expect(byCheck(own, 'padded batch')?.value).toBeLessThan(1e-5)
      expect(byCheck(own, 'rendered chat template')?.value).toBe('3 of 3 conversations')
      expect(byCheck(own, 'token ids')?.ok).toBe(true)
    }
    const q4 = proof.filter((row) => row.target === 'onnx:q4')
    expect(byCheck(q4, 'logits against the quantised')?.value).toBeLessThan(1e-5)
    expect(byCheck(q4, 'weights, largest')?.value).toBeGreaterThan(0.05)
  })

  it('generates with an encoder-decoder, and runs several choices', async () => {
    for (const head of ['seq2seq-lm', 'multiple-choice'] as const) {
      const folder = await save(`t5-${head}`, 't5', head)
      const { proof } = await exportModel({ model: folder, to: 'onnx', out: `${folder}-out`, texts })
      expect(proof.filter(({ ok }) => !ok)).toEqual([])
      expect(byCheck(proof, 'logits')?.value).toBeLessThan(1e-5)
      expect(byCheck(proof, 'padded batch')?.value).toBeLessThan(1e-5)
      expect(byCheck(proof, 'greedy tokens')?.value).toBe(head === 'seq2seq-lm' ? '64 of 64' : undefined)
    }
  })

  it('generates in transformers.js, which reads config.json in its own way', async () => {
    // As many layers in the decoder as in the encoder, which transformers.js does not take from `num_layers`.
    const folder = await save('t5-equal', 't5', 'seq2seq-lm', {
      changes: { numDecoderLayers: undefined },
      fields: { eos_token_id: 299 },
    })
    const out = `${folder}-out`
    const { proof } = await exportModel({ model: folder, to: ['onnx', 'merged'], out, texts })
    expect(proof.filter(({ ok }) => !ok)).toEqual([])
    const inTransformersJs = ({ check, consumer }: (typeof proof)[number]) =>
      check === 'greedy tokens' && consumer.startsWith('transformers.js')
    expect(proof.find(inTransformersJs)?.value).toMatch(/^(\d+) of \1$/)
    const read = (path: string) => JSON.parse(readFileSync(join(out, path), 'utf8')) as Record<string, unknown>
    expect(read('onnx/config.json')).toMatchObject({ num_layers: 2, num_decoder_layers: 2 })
    // transformers takes no end token from config.json beside this file.
    expect(read('merged/generation_config.json')).toMatchObject({ eos_token_id: 299 })

    const { num_decoder_layers: _, ...without } = read('onnx/config.json')
    writeFileSync(join(out, 'onnx', 'config.json'), JSON.stringify(without))
    const source = await openSource({ model: folder })
    const notes: string[] = []
    const options = { target: 'onnx', dtype: 'fp32', limit: 1e-4, note: (line: string) => void notes.push(line) }
    const [row] = await generateInTransformersJs(source, join(out, 'onnx'), texts, options)
    expect(row).toMatchObject({ ok: false, value: 'none', detail: expect.stringMatching(/past_key_values/) })
    expect(notes).toEqual([])
    writeFileSync(join(out, 'onnx', 'config.json'), JSON.stringify({ ...without, model_type: 'newer' }))
    expect(await generateInTransformersJs(source, join(out, 'onnx'), texts, options)).toEqual([])
    expect(notes.join()).toMatch(
      /^Greedy tokens were not compared in transformers.js 4\S*: Unsupported model type: newer\.$/,
    )
    freeModel(source.model)
  })

  it.each([
    ['mixtral', 'onnx:fp16'],
    ['qwen3-moe', 'merged:fp16'],
  ] as const)('compares %s in %s with the experts that rounding has chosen', async (type, to) => {
    const folder = join(scratch, `${type}-${to.replace(':', '-')}`)
    const changes = {
      vocabSize: 300,
      maxPositions: 256,
      ...(type === 'mixtral' ? {} : { ropeScaling: { kind: 'default' } }),
    }
    const model = oddModel(type, 'causal-lm', changes, 0.05)
    await saveModel(model, folder, { tokenizer: join(scratch, 'bpe') })
    // So many tokens that some are near a border: 8 texts of up to 256.
    const words = text.split(' ')
    const long = Array.from({ length: 8 }, (_, i) =>
      Array.from({ length: 120 }, (_, j) => words[(j * (i + 3) + j * j) % words.length]).join(' '),
    )
    const { proof, notes } = await exportModel({ model: folder, to, out: `${folder}-out`, texts: long })
    const skipped = notes.filter((line) => /Greedy tokens were not compared in transformers.js .*experts/.test(line))
    expect(skipped).toHaveLength(type === 'mixtral' ? 1 : 0)
    const value = (check: string) => Number(byCheck(proof, check)?.value)
    expect(value('logits, largest')).toBeGreaterThan(0.01)
    expect(byCheck(proof, 'logits, largest')).toMatchObject({ ok: true, detail: expect.stringMatching(/experts/) })
    expect(value('logits with the same experts')).toBeLessThan(0.01)
    expect(value('largest lead of an expert not taken')).toBeLessThan(0.01)
    expect(byCheck(proof, 'tokens with another expert')?.value).toMatch(/^[1-9]\d? of \d+$/)
    // A wrong expert is none that rounding has exchanged.
    const source = await openSource({ model: folder })
    noGrad(() => void source.model.parameters().get('body.layers.0.mlp.experts.0.downProj.weight')!.mul_(3))
    const [target, variant] = to.split(':')
    const entry = exportTargets.find((one) => one.type === target)!
    const rows = await entry.prove!(source, variant, join(`${folder}-out`, target), { texts, note: () => {} })
    expect(byCheck(rows, 'logits, largest')).toMatchObject({ ok: false, limit: 0.01 })
    expect(byCheck(rows, 'logits with the same experts')?.ok).toBe(false)
  })

  it.each(['merged', 'onnx', 'gguf'])('names the first layer that differs in %s', async (type) => {
    const folder = await save(`layer-${type}`, 'llama', 'causal-lm')
    await exportModel({ model: folder, to: type, out: `${folder}-out`, prove: false })
    const source = await openSource({ model: folder })
    const names = [...source.model.parameters().keys()]
    expect(names).toContain('body.layers.1.mlp.upProj.weight')
    noGrad(() => source.model.parameters().get('body.layers.1.mlp.upProj.weight')?.mul_(1.5))
    const rows = await proveAgain(type, source, `${folder}-out`)
    const logits = rows.filter(({ check, ok }) => check.startsWith('logits, largest') && !ok)
    expect(logits[0].detail).toBe('layer 1 is the first that differs')
    if (type === 'gguf') expect(byCheck(rows, 'weights')?.detail).toBe('body.layers.1.mlp.upProj.weight')
  })

  it('finds another template and another tokenizer', async () => {
    const folder = await save('template', 'llama', 'causal-lm')
    writeFileSync(join(folder, 'chat_template.jinja'), template)
    await exportModel({ model: folder, to: 'onnx', out: `${folder}-out`, prove: false })
    const path = join(`${folder}-out`, 'onnx', 'chat_template.jinja')
    writeFileSync(path, readFileSync(path, 'utf8').replace('<', '['))
    const config = join(`${folder}-out`, 'onnx', 'tokenizer_config.json')
    const fields = JSON.parse(readFileSync(config, 'utf8')) as Record<string, unknown>
    writeFileSync(config, JSON.stringify({ ...fields, chat_template: template.replace('<', '[') }))
    const rows = await proveAgain('onnx', await openSource({ model: folder }), `${folder}-out`)
    expect(rows.filter(({ ok }) => !ok).map(({ check }) => check)).toEqual(['rendered chat template'])
    expect(byCheck(rows, 'rendered')?.detail).toContain('[user>')
  })
})

describe('the score of a task', () => {
  const classifier = async (name: string): Promise<string> => {
    const folder = await save(name, 'bert', 'sequence-classification', { tokenizer: 'wordpiece' })
    writeFileSync(join(folder, 'task.json'), '{"task": "sequence-classification", "settings": {}}')
    const words = 'the cat sat on mat and dog ran after it'.split(' ')
    const line = (i: number) => `${words[i % 10]} ${words[(i * 7) % 10]} ${words[(i * 3) % 9]},${'aaabbc'[i % 6]}`
    const lines = Array.from({ length: 40 }, (_, i) => line(i))
    writeFileSync(join(scratch, `${name}.csv`), `text,label\n${lines.join('\n')}\n`)
    return folder
  }

  it('is that of the model, in onnxruntime and in a folder', async () => {
    const folder = await classifier('scored')
    const { proof } = await exportModel({
      model: folder,
      to: ['merged', 'onnx', 'onnx:q8'],
      out: `${folder}-out`,
      data: join(scratch, 'scored.csv'),
    })
    const scores = proof.filter(({ check }) => check.includes('on 40 records'))
    expect(scores.map(({ target }) => target)).toEqual(['merged', 'onnx', 'onnx:q8'])
    const values = scores.map(({ value }) => String(value).split(', '))
    expect(values[0][0]).toBe(values[0][1])
    expect(values[1]).toEqual(values[0])
    expect(Number(values[0][0])).toBeLessThan(1)
  })

  it('refuses a score that changed, and data of a model without a task', async () => {
    const folder = await classifier('changed')
    await exportModel({ model: folder, to: 'onnx', out: `${folder}-out`, prove: false })
    const source = await openSource({ model: folder })
    noGrad(() => source.model.parameters().get('head.classifier.weight')?.mul_(-1))
    const { openValidation } = await import('../../src/export/proof/compare-scores.ts')
    const validation = await openValidation(source, join(scratch, 'changed.csv'))
    const onnx = exportTargets.find(({ type }) => type === 'onnx')!
    const rows = await onnx.prove!(source, '', join(`${folder}-out`, 'onnx'), { texts, validation, note: () => {} })
    expect(rows.find(({ check }) => check.includes('on 40 records'))).toMatchObject({
      ok: false,
      limit: 'within 0.005',
    })
    const plain = await save('plain', 'llama', 'causal-lm')
    await expect(
      exportModel({ model: plain, to: 'merged', out: `${plain}-out`, data: join(scratch, 'changed.csv') }),
    ).rejects.toThrow(/`data` needs a specialist/)
  })
})
