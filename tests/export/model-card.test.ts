// Model cards: the metadata that the Hub reads, scores with intervals, the proof, and no path of this machine.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { saveModel } from '../../src/checkpoint/index.ts'
import { exportModel } from '../../src/export/index.ts'
import { runModelCard } from '../../src/runs/engine/evaluation-files.ts'
import { trainTokenizer } from '../../src/tokenizers/index.ts'
import { licenseOf, makeRunCard, renderModelCard, writeRunCard } from '../../src/tracking/index.ts'
import { oddModel } from './onnx-fixture.ts'

const scratch = mkdtempSync(join(tmpdir(), 'cards-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))
const model = join(scratch, 'run', 'model')

const metadataOf = (text: string): Record<string, unknown> => parse(/^---\n([\s\S]*?)\n---/.exec(text)?.[1] ?? '')

beforeAll(async () => {
  const { files } = await trainTokenizer(
    Array(50).fill('The cat sat on the mat.'),
    { type: 'wordpiece', vocabSize: 60, lowercase: true },
    { workers: 1 },
  )
  mkdirSync(join(scratch, 'tokenizer'))
  for (const [name, content] of Object.entries(files)) writeFileSync(join(scratch, 'tokenizer', name), content)
  await saveModel(oddModel('bert', 'sequence-classification', { vocabSize: 300 }), model, {
    tokenizer: join(scratch, 'tokenizer'),
  })
  const base = join(scratch, 'a-base')
  mkdirSync(base)
  writeFileSync(join(base, 'README.md'), '---\nlicense: "cc-by-4.0"\n---\n# Base\n')
  const interval = { value: 0.9123, low: 0.8931, high: 0.9301 }
  writeFileSync(
    join(model, 'evaluation.json'),
    JSON.stringify({
      metrics: { accuracy: interval },
      mainMetric: 'accuracy',
      records: { count: 872, sha256: 'x' },
      parameters: { trained: 1000, total: 22_000_000 },
      references: [{ name: 'majority class', metrics: { accuracy: { ...interval, value: 0.509 } } }],
    }),
  )
  await writeRunCard(
    join(scratch, 'run'),
    makeRunCard({
      name: 'run',
      seed: 0,
      versions: {},
      dataHashes: {},
      config: {
        command: 'finetune',
        base,
        task: 'sequence-classification',
        variant: 'lora',
        data: join(scratch, 'reviews.csv'),
        validation: join(scratch, 'dev.csv'),
      },
      steps: 250,
      tokens: 1e6,
      wallSeconds: 3600,
      cpuSeconds: 7000,
      pricePerHour: 0.5,
      warnings: ['The model answers one class for all records.'],
    }),
  )
})

describe('the card of a run', () => {
  it('has data, scores with intervals, references, cost and limitations, and the licence of the base', async () => {
    const text = await runModelCard(model, 'reviews')
    expect(metadataOf(text)).toMatchObject({
      license: 'cc-by-4.0',
      library_name: 'transformers',
      'model-index': [{ results: [{ metrics: [{ type: 'accuracy', value: 0.9123 }], dataset: { name: 'dev.csv' } }] }],
    })
    for (const part of [
      '# reviews',
      'Base: a-base (finetune)',
      '| reviews.csv | training |  | not recorded |',
      '| dev.csv | validation | 872 | not recorded |',
      '| accuracy | 0.9123 | 0.8931 to 0.9301 |',
      '| majority class | 0.509 |',
      '0.50 USD',
      'one class for all records',
    ])
      expect(text).toContain(part)
    expect(text).not.toContain(scratch)
  })

  it('names a base of the Hub in the metadata, and reads licences', () => {
    const text = renderModelCard({ name: 'x', summary: 'X.', library: 'gguf', base: 'org/base', relation: 'quantized' })
    expect(metadataOf(text)).toMatchObject({ base_model: 'org/base', base_model_relation: 'quantized' })
    expect(text).toContain('Licence: not recorded')
    expect(licenseOf('---\nlanguage: en\nlicense: mit\n---\n')).toBe('mit')
    expect(licenseOf('# No metadata\n\nlicense: mit\n')).toBeUndefined()
  })
})

describe('the card of an export', () => {
  it('has the proof and what the run knows, in each folder with its library', async () => {
    const out = join(scratch, 'out')
    const { files } = await exportModel({ model: join(scratch, 'run'), to: ['merged', 'onnx'], out, license: 'mit' })
    const cards = ['README.md', 'merged/README.md', 'onnx/README.md']
    expect(files.map(({ name }) => name)).toEqual(expect.arrayContaining(cards))
    const [, merged, onnx] = cards.map((name) => readFileSync(join(out, name), 'utf8'))
    expect(metadataOf(onnx)).toMatchObject({
      license: 'mit',
      library_name: 'transformers.js',
      pipeline_tag: 'text-classification',
    })
    expect(metadataOf(merged)).toMatchObject({ library_name: 'transformers' })
    expect(onnx).toMatch(
      /\| onnx \| logits, largest relative difference \| \S+ \| 0\.0001 \| onnxruntime-node [\d.]+ \|/,
    )
    expect(onnx).not.toContain('| merged |')
    expect(merged).toContain('| accuracy | 0.9123 |')
    expect(onnx).not.toContain(scratch)
  })
})
