// Programs that an export is compared with and that are missing or too old: packages are replaced by others here. Modules of src are imported
// without the fixtures of other tests, since replaced packages need those of vite (scripts/tested-modules.mjs).
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { saveModel } from '../../src/checkpoint/index.ts'
import { exportModel } from '../../src/export/index.ts'
import { buildModel, type ModelDefinition, models } from '../../src/models/index.ts'
import { Generator } from '../../src/tensor/index.ts'
import { trainTokenizer } from '../../src/tokenizers/index.ts'

const scratch = mkdtempSync(join(tmpdir(), 'other-programs-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))
const at = (name: string) => join(scratch, name)

beforeAll(async () => {
  const { files } = await trainTokenizer(
    Array(50).fill('The cat sat on the mat, and the dog ran after the cat.'),
    { type: 'bpe', vocabSize: 290, minFrequency: 1 },
    { workers: 1 },
  )
  mkdirSync(at('tokenizer'))
  for (const [name, content] of Object.entries(files)) writeFileSync(join(at('tokenizer'), name), content)
  const definition = models.llama as unknown as ModelDefinition
  const config = definition.adjust(definition.presets.test, { vocabSize: 300 })
  const model = buildModel(definition, config, 'causal-lm').initialize({ std: 0.2, generator: new Generator(1) })
  await saveModel(model, at('model'), { tokenizer: at('tokenizer') })
})

it('says which program is missing, and how to install it', async () => {
  // A package that cannot be imported stands for one that is not installed.
  vi.doMock('node-llama-cpp', () => {
    throw new Error('not found')
  })
  const { notes, proof } = await exportModel({ model: at('model'), to: 'gguf:f16', out: at('no-consumer') })
  vi.doUnmock('node-llama-cpp')
  expect(notes.join()).toMatch(/read back by Tunesmith only: `npm install .*node-llama-cpp`/)
  expect(new Set(proof.map(({ consumer }) => consumer))).toEqual(new Set(['tunesmith']))
})

it.each([
  ['node-llama-cpp', { getModuleVersion: async () => '2.8.16' }, 'gguf:f16', '2.8.16'],
  ['onnxruntime-node', { env: { versions: { node: '1.9.1' } } }, 'onnx', '1.9.1'],
  ['@huggingface/transformers', { env: { version: '3.7.0' } }, 'onnx', '3.7.0'],
])('says that %s is too old, and compares without it', async (name, module, to, version) => {
  vi.doMock(name, () => module)
  const out = at(`old-${name.replace(/\W/g, '')}`)
  const { notes, proof } = await exportModel({ model: at('model'), to, out })
  vi.doUnmock(name)
  expect(notes.join('\n')).toMatch(
    new RegExp(`${name} ${version} is installed, and [\\d.]+ or newer is needed: \`npm install`),
  )
  expect(proof.filter(({ consumer }) => consumer.includes(version))).toEqual([])
  expect(existsSync(out)).toBe(true)
})
