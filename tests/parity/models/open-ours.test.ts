// transformers opens what we wrote: models drawn anew of every architecture with every head that it has a class for, saved by us, opened by
// its from_pretrained with nothing missing and nothing left over, and giving the logits that we gave.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { peersPython } from '../../../bench/side-by-side.ts'
import { saveModel, saveSafetensors } from '../../../src/checkpoint/index.ts'
import {
  buildModel,
  type HeadType,
  headEntry,
  headsOf,
  type Model,
  type ModelDefinition,
  models,
} from '../../../src/models/index.ts'
import { Generator, noGrad, type Tensor, tensor } from '../../../src/tensor/index.ts'

const python = peersPython()
const scratch = mkdtempSync(join(tmpdir(), 'open-ours-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

interface Opened {
  name: string
  class: string
  dtype: string
  missing_keys: string[]
  unexpected_keys: string[]
  mismatched_keys: string[]
  error_msgs: string[]
  difference: number
  labels: Record<string, string> | null
}

/** Odd settings beside the test preset, by our names. */
const variants: Record<string, Record<string, unknown>[]> = {
  albert: [{ numLayers: 3, layerGroups: 2, tiedEmbeddings: false, embeddingSize: 32 }],
  bart: [
    { numDecoderLayers: 1, numDecoderHeads: 2, decoderIntermediateSize: 40, scaleEmbeddings: true },
    { tiedEmbeddings: false },
  ],
  mbart: [{ tiedEmbeddings: false }],
  mistral: [{ numKvHeads: undefined }],
  bert: [{ tiedEmbeddings: false, activation: 'gelu_new' }],
  'deberta-v2': [
    { sharesProjections: false, positionBuckets: 0, absolutePositions: true, normedDistances: false, typeVocabSize: 2 },
  ],
  electra: [{ embeddingSize: 32 }],
  roberta: [{ padTokenId: 3 }],
  gpt2: [{ tiedEmbeddings: false, scaleAttentionByLayer: true, intermediateSize: 50 }],
  llama: [{ tiedEmbeddings: true, numKvHeads: 2 }],
  modernbert: [{ normBias: true, attentionBias: true, classifierPooling: 'mean', windowPattern: 2 }],
  phi3: [{ slidingWindow: 8, partialRotaryFactor: 0.5 }],
  'gpt-neox': [{ parallelResidual: false, attentionBias: false, tiedEmbeddings: true }],
  qwen2: [{ tiedEmbeddings: true }],
  t5: [
    { gated: true, activation: 'gelu_new', tiedEmbeddings: false, numDecoderLayers: 1 },
    { gated: true, activation: 'gelu' },
  ],
}

const padIdOf = (config: object) => (config as { padTokenId?: number }).padTokenId ?? 0

const batchOf = (definition: ModelDefinition, head: HeadType, config: object) => {
  const choices = head === 'multiple-choice'
  const shape = choices ? [2, 2, 6] : [2, 6]
  const count = shape.reduce((product, size) => product * size, 1)
  const ids = Array.from({ length: count }, (_, i) => 5 + ((i * 7) % 100))
  const mask = ids.map((_, i) => (i % 6 === 5 && i > 6 ? 0 : 1))
  // The classifier of encoder-decoders reads the place of the end token.
  const isLast = (i: number) => i % 6 === 5 || mask[i + 1] === 0
  if (definition.facts(config).decoderStartTokenId !== undefined)
    for (let i = 0; i < count; i++) if (isLast(i)) ids[i] = (config as { eosTokenId?: number }).eosTokenId ?? 1
  const int64 = (values: number[], size = shape) => tensor(values, { dtype: 'int64' }).view(size)
  const inputIds = int64(ids.map((id, i) => (mask[i] === 1 ? id : padIdOf(config))))
  const decoder = head === 'seq2seq-lm' ? { decoderInputIds: int64([0, 7, 9, 11, 0, 8, 10, 12], [2, 4]) } : {}
  const segments = 'typeVocabSize' in config && Number(config.typeVocabSize) > 1
  const types = segments ? { typeIds: int64(ids.map((_, i) => (i % 6 > 3 ? 1 : 0))) } : {}
  return { inputIds, attentionMask: int64(mask), ...decoder, ...types }
}

const theirNames: Record<string, string> = {
  inputIds: 'input_ids',
  attentionMask: 'attention_mask',
  typeIds: 'token_type_ids',
  decoderInputIds: 'decoder_input_ids',
}

/** Every parameter, so that none can be lost unseen. */
const draw = (model: Model) => {
  const generator = new Generator(5)
  noGrad(() => {
    for (const parameter of model.eval().parameters().values()) parameter.normal_(0, 0.2, { generator })
  })
}

const cases = Object.values(models).flatMap((entry) => {
  const definition = entry as unknown as ModelDefinition
  return [{}, ...(variants[definition.type] ?? [])].flatMap((changes, i) => {
    const config = definition.adjust(definition.presets.test, changes)
    return (Object.keys(headsOf(definition, config)) as HeadType[])
      .filter((head) => headEntry(definition, config, head).hfClass !== undefined)
      .map((head) => ({ name: `${definition.type}-${head}${i === 0 ? '' : `-${i}`}`, definition, config, head }))
  })
})

const title = 'from_pretrained opens what saveModel wrote'
const skipped = ' (SKIPPED: no Python with transformers; make it with `node bench/peers/setup.mjs`)'
describe.skipIf(python === undefined)(`${title}${python === undefined ? skipped : ''}`, () => {
  it('with every architecture and head', async () => {
    for (const { name, definition, config, head } of cases) {
      const options = head === 'embedding' ? { pooling: 'mean' as const } : { labels: ['no', 'yes', 'perhaps'] }
      const model = buildModel(definition, config, head, options)
      draw(model)
      const batch = batchOf(definition, head, config)
      const { logits } = model.forward(batch)
      const folder = join(scratch, name)
      // Classifiers of transformers find a row's last token by it.
      await saveModel(model, folder, { fields: { pad_token_id: padIdOf(config) } })
      const inputs = Object.entries(batch).map(([key, value]): [string, Tensor] => [theirNames[key], value as Tensor])
      await saveSafetensors(join(folder, 'ours.safetensors'), new Map([...inputs, ['logits', logits.detach()]]))
      if (head === 'embedding') writeFileSync(join(folder, 'pooling.json'), '"mean"')
    }
    const script = fileURLToPath(new URL('open_ours.py', import.meta.url))
    const { status, stdout, stderr } = spawnSync(python!, [script, scratch], { encoding: 'utf8', maxBuffer: 2 ** 26 })
    expect(status, stderr.slice(-2000)).toBe(0)
    const { rows } = JSON.parse(stdout.trimEnd().split('\n').at(-1)!) as { rows: Opened[] }
    expect(rows.map(({ name }) => name)).toEqual(cases.map(({ name }) => name).sort())
    for (const row of rows) {
      // A bare body has no pooler unless it came with one.
      const missing = row.missing_keys.filter((key) => !(row.name.includes('embedding') && /^pooler\./.test(key)))
      expect({ ...row, missing_keys: missing }).toMatchObject({
        dtype: 'float32',
        missing_keys: [],
        unexpected_keys: [],
        mismatched_keys: [],
        error_msgs: [],
      })
      expect(row.difference, row.name).toBeLessThan(2e-5)
      if (row.labels !== null && !/reward/.test(row.name))
        expect(row.labels).toEqual({ 0: 'no', 1: 'yes', 2: 'perhaps' })
    }
  })
})
