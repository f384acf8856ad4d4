// A model whose vocabulary was changed is not opened with a tokenizer from before or of another model; models with rows to spare are.
import { copyFileSync, cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  growVocabulary,
  loadModel,
  loadTokenizer,
  saveModel,
  shrinkVocabulary,
  swapTokenizer,
} from '../../src/checkpoint/index.ts'
import { encodeShards } from '../../src/data/index.ts'
import { loadForInference } from '../../src/inference/index.ts'
import { buildModel, models } from '../../src/models/index.ts'
import { finetune, openSpecialists, pretrain } from '../../src/runs/index.ts'
import { Generator, setThreads } from '../../src/tensor/index.ts'
import { trainTokenizer, writeTokenizerFolder } from '../../src/tokenizers/index.ts'
import { makeDocuments, runHere } from '../e2e/run-folder.ts'

let root: string
const at = (...names: string[]) => join(root, ...names)
const texts = makeDocuments(30)

const makeBase = async (name: string, tokenizer: string, spare = 0) => {
  const { maxId } = await loadTokenizer(at(tokenizer))
  const sizes = { hiddenSize: 16, numLayers: 1, numHeads: 2, numKvHeads: 2, intermediateSize: 32, maxPositions: 128 }
  const config = models.llama.adjust({}, { ...sizes, vocabSize: maxId + 1 + spare, tiedEmbeddings: true } as never)
  const model = buildModel(models.llama, config, 'causal-lm')
  await saveModel(model.initialize({ std: 0.1, generator: new Generator(1) }), at(name), { tokenizer: at(tokenizer) })
}

/** A copy of a model with the tokenizer of another. */
const withTokenizerOf = (model: string, other: string): string => {
  const out = at(`${model}-with-${other}`.replaceAll('/', '-'))
  cpSync(at(model), out, { recursive: true })
  for (const file of ['tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json'])
    if (existsSync(at(other, file))) copyFileSync(at(other, file), join(out, file))
  return out
}

const rows = (name: string) => {
  const lines = Array.from({ length: 12 }, (_, i) =>
    JSON.stringify({ text: texts[i].slice(0, 40), label: `l${i % 2}` }),
  )
  writeFileSync(at(name), lines.join('\n'))
  return at(name)
}
const tune = (base: string, out: string, variant: string) =>
  finetune({
    ...{ base, out, variant, task: 'sequence-classification', data: rows('rows.jsonl'), budget: { steps: 1 } },
    ...{ batch: { sequences: 4 }, maxLength: 32, validationShare: 0.3 },
  } as unknown as Parameters<typeof finetune>[0])

beforeAll(async () => {
  setThreads(1)
  root = mkdtempSync(join(tmpdir(), 'tunesmith-vocabulary-record-'))
  for (const [name, size] of [
    ['bpe', 330],
    ['other', 300],
  ] as const) {
    const { files } = await trainTokenizer(name === 'other' ? texts.slice(0, 3) : texts, {
      type: 'bpe',
      vocabSize: size,
    })
    await writeTokenizerFolder(at(name), files)
  }
  await makeBase('base', 'bpe')
  await makeBase('padded', 'bpe', 22)
  await growVocabulary({ base: at('base'), out: at('grown'), tokens: ['the cat'], template: 'chatml', multipleOf: 64 })
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

const lost = /without the cat, <\|im_start\|>, <\|im_end\|>, which the model has rows for.*Restore tokenizer\.json/

describe('a grown model with the tokenizer from before', () => {
  it('is refused wherever it is opened, and the tokens are named', async () => {
    const old = withTokenizerOf('grown', 'base')
    await expect(loadForInference({ model: old })).rejects.toThrow(lost)
    await expect(openSpecialists(old, {})).rejects.toThrow(lost)
    await expect(tune(old, at('none'), 'lora')).rejects.toThrow(lost)
    await expect(growVocabulary({ base: old, out: at('again'), tokens: ['a dog'] })).rejects.toThrow(lost)
    const { code, stderr } = await runHere(['generate', '--model', old, '--prompt', 'the cat'])
    expect([code, stderr]).toEqual([2, expect.stringMatching(lost)])
    await expect(loadForInference({ model: at('grown') })).resolves.toBeDefined()
  })

  it('is named in continued pretraining, whether the base has it too or its own', async () => {
    await encodeShards(texts, at('bpe'), at('old-shards'), { validation: 0.1 }, { workers: 1 })
    const objective = { type: 'causal-lm' as const }
    const further = { objective, data: at('old-shards'), tokenizer: at('bpe'), budget: { steps: 1 } }
    for (const [base, remedy] of [
      [at('grown'), /leave out `tokenizer`\./],
      [withTokenizerOf('grown', 'base'), /restore tokenizer\.json in \S*, which lacks them too\./],
    ] as const) {
      const notes: string[] = []
      await pretrain({ ...further, base, out: `${base}-further` }, { onNote: (line) => notes.push(line) })
      expect(notes.join('\n')).toMatch(
        /lacks 3 tokens of the base's own: "the cat", "<\|im_start\|>", "<\|im_end\|>"\./,
      )
      expect(notes.join('\n')).toMatch(remedy)
    }
  })

  it('is refused after fine-tuning too: the record is kept with the weights, and found from an adapter', async () => {
    await tune(at('grown'), at('full'), 'full')
    await tune(at('grown'), at('lora'), 'lora')
    for (const run of ['full', 'lora']) await expect(loadForInference({ model: at(run) })).resolves.toBeDefined()
    await expect(loadForInference({ model: withTokenizerOf('full/model', 'base') })).rejects.toThrow(lost)
    const before = readFileSync(at('grown', 'tokenizer.json'))
    copyFileSync(at('base', 'tokenizer.json'), at('grown', 'tokenizer.json'))
    const stale = loadForInference({ model: at('lora') })
    await (existsSync(at('lora', 'model', 'tokenizer.json'))
      ? expect(stale).resolves.toBeDefined()
      : expect(stale).rejects.toThrow(lost))
    writeFileSync(at('grown', 'tokenizer.json'), before)
  })
})

describe('a tokenizer that does not belong to the rows', () => {
  it('is refused where it has more tokens than the model has rows, except in place of images', async () => {
    const larger = withTokenizerOf('base', 'grown')
    await expect(loadForInference({ model: larger })).rejects.toThrow(/got \d+ rows: the cat, .* have none/)
    const file = join(larger, 'tokenizer_config.json')
    const json = JSON.parse(readFileSync(file, 'utf8')) as object
    await growVocabulary({ base: at('base'), out: at('pictures'), tokens: ['<image>'], special: true })
    for (const name of ['tokenizer.json', 'special_tokens_map.json'])
      if (existsSync(at('pictures', name))) copyFileSync(at('pictures', name), join(larger, name))
    await expect(loadForInference({ model: larger })).rejects.toThrow(/rows: <image> have none/)
    writeFileSync(file, JSON.stringify({ ...json, image_token: '<image>' }))
    await expect(loadForInference({ model: larger })).resolves.toBeDefined()
  })

  it('is refused after a swap and a shrink, where sizes say nothing', async () => {
    await swapTokenizer({ base: at('base'), tokenizer: at('other'), out: at('swapped'), multipleOf: 512 })
    await expect(loadForInference({ model: withTokenizerOf('swapped', 'bpe') })).rejects.toThrow(
      /whose first \d+ tokens are others|, which the model has rows for/,
    )
    await shrinkVocabulary([texts[0].slice(0, 60)], { base: at('base'), out: at('small'), multipleOf: 512 })
    await expect(loadForInference({ model: withTokenizerOf('small', 'bpe') })).rejects.toThrow(
      /whose first \d+ tokens are others/,
    )
    for (const name of ['swapped', 'small']) await expect(loadForInference({ model: at(name) })).resolves.toBeDefined()
  })

  it('leaves the spare rows of a model as they are when tokens are added to it', async () => {
    const { before, after } = await growVocabulary({ base: at('padded'), out: at('padded-grown'), tokens: ['a dog'] })
    expect(after).toBe(before)
    const rowsOf = async (name: string) => (await loadModel(at(name))).body.embedTokens.weight.toArray() as number[][]
    const [old, own] = [await rowsOf('padded'), await rowsOf('padded-grown')]
    const id = (await loadTokenizer(at('padded-grown'))).tokenToId('a dog') as number
    expect(own.filter((row, i) => i !== id && row.join() !== old[i].join())).toEqual([])
    expect(own[id].join()).not.toBe(old[id].join())
  })

  it('passes where a model has rows to spare, as published ones do, and where tokens were added to it since', async () => {
    await expect(loadForInference({ model: at('padded') })).resolves.toBeDefined()
    await growVocabulary({ base: at('grown'), out: at('twice'), tokens: ['a dog'] })
    // The later tokenizer has a row for its new token among the spare ones of the model.
    await expect(loadForInference({ model: withTokenizerOf('grown', 'twice') })).resolves.toBeDefined()
    writeFileSync(at('twice', 'vocabulary.json'), '{"tokens": 3')
    await expect(loadForInference({ model: at('twice') })).rejects.toThrow(
      /vocabulary\.json: Expected the tokens .*delete it/,
    )
  })
})
