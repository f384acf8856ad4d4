// Loading folders: heads, new and unused parameters, and one report of everything that does not fit.
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { applyAdapter } from '../../src/adapters/index.ts'
import {
  describeModelLoad,
  loadModel,
  loadModelWithReport,
  openSafetensors,
  saveModel,
} from '../../src/checkpoint/index.ts'
import { CheckpointError } from '../../src/core/index.ts'
import { GenerationScheduler, generate } from '../../src/generation/index.ts'
import { quantizeWeights, withHead } from '../../src/models/index.ts'
import { scoreContinuations } from '../../src/tasks/language-modelling/continuations.ts'
import { scoreBatch } from '../../src/tasks/language-modelling/scoring.ts'
import { noGrad, ones, zeros } from '../../src/tensor/index.ts'
import { away, testDevice } from '../device.ts'
import { batch, changeConfig, changeWeights, sameState, smallFolder } from './folders-fixture.ts'

const scratch = mkdtempSync(join(tmpdir(), 'folders-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))
let folder = ''
let count = 0
beforeEach(() => {
  folder = join(scratch, `model-${++count}`)
})

const failure = async (work: Promise<unknown>): Promise<CheckpointError> => {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(CheckpointError)
  return error as CheckpointError
}

describe('a new head on a loaded body', () => {
  it('is initialised from the seed and reported, and the old head is not used', async () => {
    const old = await smallFolder(folder, 'bert', 'masked-lm')
    const headOptions = { labels: ['no', 'yes', 'perhaps'] }
    const { model, report } = await loadModelWithReport(folder, { head: 'sequence-classification', headOptions })
    expect(report.newHead).toEqual([
      'head.dense.weight',
      'head.dense.bias',
      'head.classifier.weight',
      'head.classifier.bias',
    ])
    expect(report.unused).toEqual(
      expect.arrayContaining(['cls.predictions.transform.dense.weight', 'cls.predictions.bias']),
    )
    expect(describeModelLoad(report)[0]).toMatch(/^The head is new.*head\.classifier\.bias\. Train it before use\.$/)
    expect(model.forward(batch()).logits.shape).toEqual([2, 3])
    expect(sameState(model.body.parameters(), old.body.parameters())).toBe(true)
    const drawn = async (seed?: number) =>
      (await loadModelWithReport(folder, { head: 'sequence-classification', headOptions, seed })).model
    expect(sameState((await drawn()).parameters(), model.parameters())).toBe(true)
    expect(sameState((await drawn(7)).head.parameters(), model.head.parameters())).toBe(false)
  })

  it('is logged once, and nothing is logged for a head that was there', async () => {
    await smallFolder(folder, 'bert', 'masked-lm')
    const source = new URL('../../src/checkpoint/index.ts', import.meta.url).href
    const script = `import { loadModel } from ${JSON.stringify(source)}
      await loadModel(process.argv[1], { head: process.argv[2] })`
    const linesFor = (head: string) => {
      const args = ['--import', 'tsx', '--input-type=module', '-e', script, folder, head]
      const { status, stderr, stdout } = spawnSync(process.execPath, args, {
        encoding: 'utf8',
        env: { ...process.env, TUNESMITH_LOG: 'warn' },
      })
      expect(status, stderr).toBe(0)
      expect(stdout).toBe('')
      return stderr.split('\n').filter((line) => line.includes('"name":"checkpoint"'))
    }
    expect(linesFor('masked-lm')).toEqual([])
    const lines = linesFor('question-answering')
    expect(lines.filter((line) => line.includes('The head is new'))).toHaveLength(1)
    expect(lines.filter((line) => line.includes('Not used'))).toHaveLength(1)
    expect(lines).toHaveLength(2)
  })

  it('takes what fits from the old head: a pooler belongs to body and head', async () => {
    const old = await smallFolder(folder, 'bert', 'sentence-pretraining')
    const { model, report } = await loadModelWithReport(folder, { head: 'sequence-classification' })
    expect(report.newHead).toEqual(['head.classifier.weight', 'head.classifier.bias'])
    expect(model.parameters().get('head.dense.weight')!.equal(old.parameters().get('head.pooler.weight')!)).toBe(true)
  })

  it('is refused beside a bias of the logits that is not zero, which BART does not have here', async () => {
    await smallFolder(folder, 'bart', 'seq2seq-lm')
    await changeWeights(folder, (tensors) => tensors.set('final_logits_bias', zeros([1, 128])))
    expect((await loadModelWithReport(folder)).report).toEqual({ newHead: [], unused: [], notes: [] })
    await changeWeights(folder, (tensors) => tensors.set('final_logits_bias', ones([1, 128])))
    expect((await failure(loadModel(folder))).message).toMatch(/Expected zeros for `final_logits_bias`/)
  })

  it.each(['bart', 't5'] as const)('is refused beside a table of embeddings for each stack of a %s', async (type) => {
    const old = await smallFolder(folder, type, 'seq2seq-lm')
    const { weight } = old.body.embedTokens
    const prefix = type === 'bart' ? 'model.' : ''
    const key = `${prefix}decoder.embed_tokens.weight`
    await changeWeights(folder, (tensors) => tensors.set(key, weight))
    expect((await loadModelWithReport(folder)).report).toEqual({ newHead: [], unused: [], notes: [] })
    await changeWeights(folder, (tensors) => tensors.set(key, weight.add(1)))
    expect((await failure(loadModel(folder))).message).toContain(
      `Expected the values of \`${prefix}shared.weight\` for \`${key}\`, got others`,
    )
  })

  it('can be on the encoder of an encoder-decoder alone', async () => {
    const old = await smallFolder(folder, 't5', 'seq2seq-lm')
    for (const head of ['embedding', 'token-classification'] as const) {
      const { model, report } = await loadModelWithReport(folder, { head })
      expect([...model.parameters().keys()].filter((path) => path.includes('decoder'))).toEqual([])
      expect(report.unused).toEqual(expect.arrayContaining(['decoder.final_layer_norm.weight']))
      const hidden = old.body.forward(batch()).encoderHidden!
      expect(model.bodyForward(batch()).hidden.equal(hidden)).toBe(true)
      await saveModel(model, `${folder}-${head}`)
      expect((await loadModelWithReport(`${folder}-${head}`)).report).toEqual({ newHead: [], unused: [], notes: [] })
    }
  })
})

describe('files whose config.json names no class', () => {
  const headOf = async () => (await loadModelWithReport(folder)).model.headType

  it('continue texts if they are of a decoder with an output layer of its own or a tied one', async () => {
    for (const tiedEmbeddings of [true, false]) {
      const saved = await smallFolder(folder, 'llama', 'causal-lm', { config: { tiedEmbeddings } })
      changeConfig(folder, { architectures: undefined })
      const { model, report } = await loadModelWithReport(folder)
      expect(model.headType).toBe('causal-lm')
      expect(report.newHead).toEqual([])
      expect(model.forward(batch()).logits.equal(saved.forward(batch()).logits)).toBe(true)
      rmSync(folder, { recursive: true })
    }
  })

  it('are bodies otherwise', async () => {
    await smallFolder(folder, 'llama', 'embedding', { config: { tiedEmbeddings: false } })
    changeConfig(folder, { architectures: undefined })
    expect(await headOf()).toBe('embedding')
    rmSync(folder, { recursive: true })
    await smallFolder(folder, 'bert', 'embedding')
    changeConfig(folder, { architectures: undefined })
    expect(await headOf()).toBe('embedding')
  })
})

describe('keys that do not fit', () => {
  it('are listed in one error: missing, unexpected and of another shape', async () => {
    await smallFolder(folder, 'bert', 'masked-lm')
    await changeWeights(folder, (tensors) => {
      tensors.delete('bert.encoder.layer.0.output.dense.bias')
      tensors.delete('bert.embeddings.position_embeddings.weight')
      tensors.set('bert.encoder.layer.7.output.dense.bias', zeros([3]))
      tensors.set('adapter.weight', zeros([3]))
      tensors.set('bert.encoder.layer.1.attention.self.query.weight', zeros([32, 16]))
      tensors.set('cls.predictions.bias', zeros([5]))
    })
    const { report, message } = await failure(loadModelWithReport(folder))
    expect(report).toEqual({
      missing: ['body.embedPositions.weight', 'body.layers.0.mlp.downProj.bias'],
      unexpected: ['bert.encoder.layer.7.output.dense.bias', 'adapter.weight'],
      mismatched: [
        'body.layers.1.attention.qProj.weight: expected [32,32], got [32,16]',
        'head.lmHead.bias: expected [128], got [5]',
      ],
    })
    expect(message).toMatch(/2 missing: .*; 2 unexpected: .*; 2 of another shape: /)
    expect(message.startsWith(folder)).toBe(true)
  })

  it('of the head in config.json are refused without `newHead`', async () => {
    await smallFolder(folder, 'bert', 'token-classification', { headOptions: { labels: ['O', 'B', 'I'] } })
    await changeWeights(folder, (tensors) => void tensors.delete('classifier.bias'))
    const { report, message } = await failure(loadModel(folder))
    expect(report.missing).toEqual(['head.classifier.bias'])
    expect(message).toMatch(/files are of BertForTokenClassification; pass `newHead` to initialise the head at random/)
    const { model, report: opened } = await loadModelWithReport(folder, { newHead: true })
    expect(opened.newHead).toEqual(['head.classifier.weight', 'head.classifier.bias'])
    expect(model.headOptions.labels).toEqual(['O', 'B', 'I'])
  })

  it('for another number of labels are refused without `newHead`', async () => {
    await smallFolder(folder, 'roberta', 'sequence-classification')
    const headOptions = { labels: ['a', 'b', 'c', 'd', 'e'] }
    const { report, message } = await failure(loadModelWithReport(folder, { headOptions }))
    expect(report.mismatched).toEqual([
      'head.classifier.weight: expected [5,32], got [2,32]',
      'head.classifier.bias: expected [5], got [2]',
    ])
    expect(message).toMatch(/Pass `newHead` to initialise another head at random/)
    const { model, report: opened } = await loadModelWithReport(folder, { headOptions, newHead: true })
    expect(opened.newHead).toHaveLength(4)
    expect(model.forward(batch()).logits.shape).toEqual([2, 5])
  })

  it('of a new language modelling head exclude what is tied to the body', async () => {
    const old = await smallFolder(folder, 'gpt2', 'causal-lm')
    const { model } = await loadModelWithReport(folder, { newHead: true })
    expect(sameState(model.parameters(), old.parameters())).toBe(true)
    const untied = `${folder}-untied`
    await smallFolder(untied, 'gpt2', 'causal-lm', { config: { tiedEmbeddings: false } })
    expect((await loadModelWithReport(untied, { newHead: true })).report.newHead).toEqual(['head.lmHead.weight'])
  })
})

describe('keys of other libraries', () => {
  it('of TensorFlow, gamma and beta, are read as weight and bias', async () => {
    const old = await smallFolder(folder, 'bert', 'masked-lm')
    await changeWeights(folder, (tensors) => {
      for (const [name, value] of [...tensors]) {
        const older = name
          .replace(/LayerNorm\.weight$/, 'LayerNorm.gamma')
          .replace(/LayerNorm\.bias$/, 'LayerNorm.beta')
        tensors.delete(name)
        tensors.set(older, value)
      }
      expect([...tensors.keys()].filter((name) => /gamma|beta/.test(name))).toHaveLength(12)
    })
    expect(sameState((await loadModel(folder)).parameters(), old.parameters())).toBe(true)
  })

  it.each(['bert', 'gpt2', 'llama'] as const)(
    'a bare body of %s goes under a head, and a headed one is a body',
    async (type) => {
      const bare = await smallFolder(folder, type, 'embedding')
      const { model, report } = await loadModelWithReport(folder, { head: 'sequence-classification' })
      expect(report.newHead.length).toBeGreaterThan(0)
      expect(report.unused).toEqual([])
      expect(sameState(model.body.parameters(), bare.body.parameters())).toBe(true)
      const headed = `${folder}-headed`
      await saveModel(model, headed)
      const again = await loadModelWithReport(headed, { head: 'embedding' })
      expect(again.report.newHead).toEqual([])
      expect(sameState(again.model.body.parameters(), bare.body.parameters())).toBe(true)
    },
  )

  it('without a class in config.json are those of a body', async () => {
    await smallFolder(folder, 'bert', 'masked-lm')
    changeConfig(folder, { architectures: null })
    expect((await loadModelWithReport(folder)).model.headType).toBe('embedding')
    expect((await loadModelWithReport(folder, { head: 'masked-lm' })).report.newHead).toEqual([])
  })

  it('of buffers in old files are ignored', async () => {
    await smallFolder(folder, 'gpt2', 'causal-lm')
    await changeWeights(folder, (tensors) => void tensors.set('transformer.h.0.attn.bias', ones([1, 1, 64, 64])))
    expect((await loadModelWithReport(folder)).report).toEqual({ newHead: [], unused: [], notes: [] })
  })
})

describe('tied matrices', () => {
  it('that a file has twice become one, which is written once', async () => {
    const old = await smallFolder(folder, 'gpt2', 'causal-lm')
    await changeWeights(folder, (tensors) => void tensors.set('lm_head.weight', tensors.get('transformer.wte.weight')!))
    const { model, report } = await loadModelWithReport(folder)
    expect(report.notes).toEqual([])
    expect(sameState(model.parameters(), old.parameters())).toBe(true)
    await saveModel(model, folder)
    expect((await openSafetensors(join(folder, 'model.safetensors'))).tensors.has('lm_head.weight')).toBe(false)
  })

  it('of which a file has only the output are used as the embedding', async () => {
    const old = await smallFolder(folder, 'llama', 'causal-lm', { config: { tiedEmbeddings: true } })
    await changeWeights(folder, (tensors) => {
      tensors.set('lm_head.weight', tensors.get('model.embed_tokens.weight')!)
      tensors.delete('model.embed_tokens.weight')
    })
    expect(sameState((await loadModel(folder)).parameters(), old.parameters())).toBe(true)
  })

  it('with different values are untied, with a note, also when they are saved', async () => {
    const untied = await smallFolder(folder, 'gpt2', 'causal-lm', { config: { tiedEmbeddings: false } })
    changeConfig(folder, { tie_word_embeddings: true })
    const { model, report } = await loadModelWithReport(folder)
    expect(report.notes).toEqual([expect.stringMatching(/two different matrices: they are not tied/)])
    expect(model.forward(batch()).logits.equal(untied.forward(batch()).logits)).toBe(true)
    await saveModel(model, folder)
    const again = await loadModelWithReport(folder)
    expect(again.report.notes).toEqual([])
    expect(again.model.facts.tiedEmbeddings).toBe(false)
    expect(sameState(again.model.parameters(), untied.parameters())).toBe(true)
  })

  it.each([
    ['gpt2', 'causal-lm'],
    ['t5', 'seq2seq-lm'],
  ] as const)('of %s that an adapter untied are saved as such, with the same logits', async (type, head) => {
    await smallFolder(folder, type, head, { config: { tiedEmbeddings: true } })
    const model = await loadModel(folder)
    const applied = applyAdapter(model, { type: 'linear-probe' })
    noGrad(() => applied.trainable.get('head.lmHead.weight')?.detach().mul_(1.5))
    const inputs = { ...batch(), ...(type === 't5' ? { decoderInputIds: batch().inputIds } : {}) }
    const { logits } = noGrad(() => model.forward(inputs))
    const merged = `${folder}-merged-${type}`
    applied.merge()
    await saveModel(model, merged)
    expect(JSON.parse(readFileSync(join(merged, 'config.json'), 'utf8')).tie_word_embeddings).toBe(false)
    const again = await loadModelWithReport(merged)
    expect(again.report.notes).toEqual([])
    expect(noGrad(() => again.model.forward(inputs).logits.sub(logits).abs().max().item())).toBeLessThan(1e-5)
  })
})

describe('loaded weights', () => {
  it('keep their dtype, or are converted to `dtype`', async () => {
    await smallFolder(folder, 'llama', 'causal-lm')
    const half = `${folder}-half`
    await saveModel(await loadModel(folder), half, { dtype: 'bfloat16' })
    const dtypes = async (options = {}) =>
      new Set([...(await loadModel(half, options)).parameters().values()].map(({ dtype }) => dtype))
    expect(await dtypes()).toEqual(new Set(['bfloat16']))
    expect(await dtypes({ dtype: 'float32' })).toEqual(new Set(['float32']))
    expect(await dtypes({ head: 'sequence-classification' })).toEqual(new Set(['bfloat16']))
  })

  it.skipIf(!existsSync('/proc/self/maps'))(
    'leave the memory of the process with their file where all are converted (skipped without /proc)',
    async () => {
      await smallFolder(folder, 'llama', 'causal-lm')
      const mapped = () => readFileSync('/proc/self/maps', 'utf8').split(folder).length - 1
      const kept = await loadModel(folder)
      // Another device has copies.
      expect(mapped()).toBe(away ? 0 : 1)
      for (const parameter of kept.parameters().values()) parameter.free()
      const before = mapped()
      const converted = await loadModel(folder, { dtype: 'bfloat16' })
      expect(mapped()).toBe(before)
      expect(converted.parameters().size).toBeGreaterThan(10)
    },
  )

  it('in the file stay unchanged when the model changes in place', async () => {
    await smallFolder(folder, 'bert', 'masked-lm')
    const before = readFileSync(join(folder, 'model.safetensors'))
    const model = await loadModel(folder)
    noGrad(() => {
      for (const parameter of model.parameters().values()) parameter.add_(1)
    })
    expect(readFileSync(join(folder, 'model.safetensors')).equals(before)).toBe(true)
    const fresh = await loadModel(folder)
    const name = 'body.embeddingNorm.weight'
    expect(
      model
        .parameters()
        .get(name)!
        .sub(fresh.parameters().get(name)!)
        .equal(ones([32], { device: testDevice })),
    ).toBe(true)
  })

  it('are of a model whose `config` option overrides config.json', async () => {
    await smallFolder(folder, 'bert', 'masked-lm')
    const { model } = await loadModelWithReport(folder, { config: { hiddenDropout: 0.5 } })
    expect(model.config).toMatchObject({ hiddenDropout: 0.5, attentionDropout: 0.1 })
    await expect(loadModelWithReport(folder, { config: { hiddenDropuot: 0.5 } })).rejects.toThrow(/hiddenDropout/)
  })
})

describe('settings of sentence-transformers', () => {
  const say = (pooling: object, steps: string[], more: Record<string, object> = {}) => {
    mkdirSync(join(folder, '1_Pooling'), { recursive: true })
    const files = {
      '1_Pooling/config.json': pooling,
      'modules.json': steps.map((type, idx) => ({ idx, name: String(idx), path: '', type })),
      ...more,
    }
    for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), JSON.stringify(content))
  }
  const old = (name: string) => `sentence_transformers.models.${name}`

  it('are read in the old and the new form: pooling, normalisation and maximum length', async () => {
    await smallFolder(folder, 'bert', 'embedding')
    const flags = { word_embedding_dimension: 32, pooling_mode_cls_token: true, pooling_mode_mean_tokens: false }
    say(flags, [old('Transformer'), old('Pooling')], { 'sentence_bert_config.json': { max_seq_length: 12 } })
    expect((await loadModel(folder)).headOptions).toMatchObject({ pooling: 'first', normalize: false, maxTokens: 12 })
    const where = 'sentence_transformers.base.modules'
    say({ embedding_dimension: 32, pooling_mode: 'lasttoken' }, [
      `${where}.transformer.Transformer`,
      `${where}.normalize.Normalize`,
    ])
    expect((await loadModel(folder)).headOptions).toMatchObject({ pooling: 'last', normalize: true })
    const own = { pooling: 'mean' as const, normalize: false }
    expect((await loadModel(folder, { headOptions: own })).headOptions).toMatchObject(own)
  })

  it('are refused if they are not supported, and ignored by other heads', async () => {
    await smallFolder(folder, 'bert', 'masked-lm')
    for (const [pooling, steps] of [
      [{ pooling_mode_mean_tokens: true }, [old('Transformer'), old('Pooling'), old('Dense')]],
      [{ pooling_mode_max_tokens: true }, [old('Transformer'), old('Pooling')]],
      [{ pooling_mode_mean_tokens: true, pooling_mode_cls_token: true }, [old('Transformer'), old('Pooling')]],
      [{ pooling_mode: 'weightedmean' }, [old('Transformer'), old('Pooling')]],
    ] as const) {
      say(pooling, [...steps])
      expect((await failure(loadModelWithReport(folder, { head: 'embedding' }))).message).toMatch(
        /Choose another head or model/,
      )
    }
    expect((await loadModelWithReport(folder)).model.headType).toBe('masked-lm')
  })
})

describe('files that are no model', () => {
  it('are refused if they are pickles, with the command to convert them', async () => {
    await smallFolder(folder, 'bert', 'masked-lm')
    renameSync(join(folder, 'model.safetensors'), join(folder, 'pytorch_model.bin'))
    writeFileSync(join(folder, 'pytorch_model.bin'), Buffer.of(0x50, 0x4b, 3, 4))
    expect((await failure(loadModelWithReport(folder))).message).toMatch(/pickle format, which can run code.*python -c/)
    renameSync(join(folder, 'pytorch_model.bin'), join(folder, 'model.safetensors'))
    expect((await failure(loadModelWithReport(folder))).message).toMatch(/pickle format/)
  })

  it.each([
    ['model_type', 'bertt', /Expected a `model_type` of .*\bbert\b.* got "bertt"\. Did you mean `bert`/],
    ['model_type', undefined, /Expected a `model_type`/],
    ['hidden_size', 'wide', /hidden_size in config.json/],
    ['num_hidden_layers', 1e9, /num_hidden_layers/],
    ['num_attention_heads', 0, /num_attention_heads in config.json/],
    ['hidden_act', 'sine', /hidden_act in config.json/],
    ['id2label', { 0: 'a', 2: 'b' }, /Expected `id2label` in config.json to name the labels 0, 1, 2/],
  ])('a config.json with %s %j is named', async (field, value, message) => {
    await smallFolder(folder, 'bert', 'sequence-classification')
    changeConfig(folder, { [field]: value })
    const error = await loadModelWithReport(folder).then(
      () => undefined,
      (reason: Error) => reason,
    )
    expect(error?.message).toMatch(message)
    expect(error?.name).toMatch(/CheckpointError|ConfigError/)
  })

  it('are refused by name: no config.json, no weights, or truncated JSON', async () => {
    await smallFolder(folder, 'bert', 'masked-lm')
    const copy = (name: string) => {
      cpSync(folder, `${folder}-${name}`, { recursive: true })
      return `${folder}-${name}`
    }
    const [bare, cut, empty] = ['bare', 'cut', 'empty'].map(copy)
    rmSync(join(bare, 'config.json'))
    expect((await failure(loadModelWithReport(bare))).message).toMatch(/config\.json: Expected a file, found none/)
    writeFileSync(join(cut, 'config.json'), '{"model_type": "be')
    expect((await failure(loadModelWithReport(cut))).message).toMatch(/config\.json: Expected JSON/)
    rmSync(join(empty, 'model.safetensors'))
    expect((await failure(loadModelWithReport(empty))).message).toMatch(
      /Expected model\.safetensors or .*, found config\.json/,
    )
    // A file of weights alone works with the config beside it.
    expect((await loadModelWithReport(join(folder, 'model.safetensors'))).model.headType).toBe('masked-lm')
  })

  it('are refused for a head that the architecture does not have, with those it has', async () => {
    await smallFolder(folder, 'bert', 'masked-lm')
    await expect(loadModelWithReport(folder, { head: 'causal-lm' })).rejects.toThrow(
      /Expected a head that bert has \(.*masked-lm.*got "causal-lm"/,
    )
  })
})

describe('weights that are not finite', () => {
  const key = 'transformer.h.1.attn.c_proj.weight'
  const message = /Expected finite weights, got NaN or infinity in body\.layers\.1\.attention\.oProj\.weight\./

  it.each([Number.NaN, Number.NEGATIVE_INFINITY])(
    'with %d are refused by name before they are first used',
    async (value) => {
      for (const dtype of ['float32', 'bfloat16', 'float16'] as const) {
        const at = `${folder}-${dtype}`
        await smallFolder(at, 'gpt2', 'causal-lm')
        await changeWeights(at, (tensors) => {
          const matrix = tensors.get(key)!.to(dtype)
          matrix.narrow(0, 3, 1).narrow(1, 2, 1).fill_(value)
          tensors.set(key, matrix)
        })
        const model = await loadModel(at)
        const inputIds = batch().inputIds
        expect(() => model.forward({ inputIds })).toThrow(message)
        expect(() => model.bodyForward({ inputIds })).toThrow(message)
        await expect(generate(model, undefined, [[1, 2]])).rejects.toThrow(message)
        expect(() => new GenerationScheduler(model)).toThrow(message)
        expect(() => scoreBatch(model, [{ ids: [1, 2], places: [0], labels: [2] }])).toThrow(message)
        expect(() => scoreContinuations(model, [{ prompt: [1], continuations: [[2]] }])).toThrow(message)
        expect(() => withHead(model, 'sequence-classification').forward({ inputIds })).toThrow(message)
        if (dtype !== 'float16') expect(() => quantizeWeights(model, 'int8')).toThrow(/gpt2: Expected finite weights/)
        const unchecked = await loadModel(at, { checkWeights: false, dtype: 'float32' })
        expect(unchecked.forward({ inputIds }).logits.isnan().any().item()).toBeTruthy()
      }
    },
  )

  it('are distinguished from a sum that overflows', async () => {
    await smallFolder(folder, 'gpt2', 'causal-lm')
    await changeWeights(folder, (tensors) => {
      const matrix = tensors.get(key)!
      matrix.fill_(3e38)
    })
    const model = await loadModel(folder)
    expect(() => model.forward({ inputIds: batch().inputIds })).not.toThrow()
  })
})
