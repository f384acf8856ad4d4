// Models with some of their layers: they compute what the whole model does when its other layers change nothing, open as written, and are
// refused where a layer would compute something else.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadModel, loadTokenizer, saveModel } from '../../src/checkpoint/index.ts'
import { keepLayers } from '../../src/export/index.ts'
import { buildModel, type HeadType, type Model, type ModelDefinition, models } from '../../src/models/index.ts'
import { Generator, inferenceMode, noGrad, setThreads, Tensor } from '../../src/tensor/index.ts'
import { trainTokenizer, writeTokenizerFolder } from '../../src/tokenizers/index.ts'
import { hasStories, storiesGguf } from '../checkpoint/stories.ts'

setThreads(1)
const root = mkdtempSync(join(tmpdir(), 'tunesmith-layers-'))
const at = (name: string) => join(root, name)
beforeAll(async () => {
  const { files } = await trainTokenizer(
    ['a text', 'and another text'],
    { type: 'bpe', vocabSize: 262 },
    { workers: 1 },
  )
  await writeTokenizerFolder(at('tokenizer'), files)
})
afterAll(() => rmSync(root, { recursive: true, force: true }))
const save = (model: Model, name: string) => saveModel(model, at(name), { tokenizer: at('tokenizer') })

const build = (type: string, more: object = {}): Model => {
  const definition = models[type as keyof typeof models] as ModelDefinition
  const config = definition.adjust(definition.presets.test, { numLayers: 4, vocabSize: 300, ...more })
  const heads = Object.keys(definition.heads(config)) as HeadType[]
  const head = (['causal-lm', 'masked-lm', 'seq2seq-lm', 'token-classification'] as const).find((one) =>
    heads.includes(one),
  )
  const model = buildModel(definition, config, head as HeadType)
  return model.initialize({ std: 0.2, generator: new Generator(3) }).eval()
}

const logitsOf = (model: Model): Float32Array => {
  const ids = Tensor.from(BigInt64Array.from([7n, 9n, 11n, 13n, 8n, 6n, 10n, 12n]), { shape: [1, 8] })
  return inferenceMode(() => model.forward({ inputIds: ids }).logits.toFloat32Array())
}

const preNorm = [
  'gemma',
  'gemma2',
  'gemma3',
  'gpt2',
  'gpt-neox',
  'llama',
  'mistral',
  'mixtral',
  'modernbert',
  'olmo2',
  'phi3',
  'qwen2',
  'qwen3',
  'qwen3-moe',
  'smollm3',
]

describe.each(preNorm)('%s', (type) => {
  it('computes what the whole model does when its other layers add nothing', async () => {
    // By its interval, SmolLM3 would have positions in other layers.
    const model = build(type, type === 'smollm3' ? { ropeLayers: [1, 0, 0, 1] } : {})
    // The last products of attention and feed-forward block are all that a layer adds to what it gets.
    noGrad(() => {
      for (const [name, parameter] of model.parameters())
        if (/\.layers\.[13]\..*(oProj|downProj)\.(weight|bias)$/.test(name)) parameter.fill_(0)
    })
    await save(model, type)
    const { of, before, after } = await keepLayers({ model: at(type), layers: [0, 2], out: at(`${type}-cut`) })
    expect(of).toBe(4)
    expect(after).toBeLessThan(before)
    const [whole, cut] = [logitsOf(await loadModel(at(type))), logitsOf(await loadModel(at(`${type}-cut`)))]
    expect(cut).toHaveLength(whole.length)
    whole.forEach((logit, i) => {
      expect(Math.abs(logit - cut[i])).toBeLessThan(1e-4)
    })
  })
})

const others = Object.keys(models).filter((type) => ![...preNorm, 'bart', 'mbart', 't5', 'mt5'].includes(type))

it.each(others)('%s keeps the layers that were asked for', async (type) => {
  const model = build(type)
  await save(model, type)
  await keepLayers({ model: at(type), layers: [0, 2], out: at(`${type}-cut`) })
  const cut = await loadModel(at(`${type}-cut`), { head: model.headType })
  expect(cut.facts.numLayers).toBe(2)
  for (const [name, parameter] of cut.parameters()) {
    const from = name.replace(/\.layers\.1\./, '.layers.2.')
    expect(parameter.equal(model.parameters().get(from) as Tensor), name).toBe(true)
  }
})

it('writes lists with an entry for each layer for those that stay', async () => {
  const { layer_types: types } = JSON.parse(readFileSync(join(at('gemma3-cut'), 'config.json'), 'utf8')) as {
    layer_types: string[]
  }
  const whole = JSON.parse(readFileSync(join(at('gemma3'), 'config.json'), 'utf8')) as { layer_types: string[] }
  expect(types).toEqual([whole.layer_types[0], whole.layer_types[2]])
})

it.skipIf(!hasStories)(
  'takes a .gguf file, whose tokenizer and ids of special tokens stay (needs the shared data)',
  async () => {
    writeFileSync(at('stories.gguf'), storiesGguf())
    await keepLayers({ model: at('stories.gguf'), layers: [0, 2, 4], out: at('stories') })
    const [whole, cut] = [await loadTokenizer(at('stories.gguf')), await loadTokenizer(at('stories'))]
    expect(cut.encode('Once upon a time').ids).toEqual(whole.encode('Once upon a time').ids)
    expect(JSON.parse(readFileSync(join(at('stories'), 'config.json'), 'utf8'))).toMatchObject({
      bos_token_id: 1,
      eos_token_id: 2,
      num_hidden_layers: 3,
    })
  },
)

it('keeps fields of config.json and files that it does not know, and lists of ids whatever their length', async () => {
  await save(build('llama'), 'more')
  const file = join(at('more'), 'config.json')
  const fields = { own: 1, own_layers: [1, 2, 3, 4], eos_token_id: [1, 2, 3, 4] }
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), ...fields }))
  writeFileSync(join(at('more'), 'generation_config.json'), '{"temperature":0.5}')
  await keepLayers({ model: at('more'), layers: [0, 2], out: at('more-cut') })
  expect(JSON.parse(readFileSync(join(at('more-cut'), 'config.json'), 'utf8'))).toMatchObject({
    ...fields,
    own_layers: [1, 3],
    num_hidden_layers: 2,
  })
  expect(readFileSync(join(at('more-cut'), 'generation_config.json'), 'utf8')).toContain('0.5')
})

it('refuses what it cannot keep', async () => {
  const cut = (layers: number[], model = 'bert', out = 'none') => keepLayers({ model: at(model), layers, out: at(out) })
  await expect(cut([0, 4])).rejects.toThrow('Expected layers from 0 to 3')
  await expect(cut([2, 1])).rejects.toThrow('ascending order')
  await expect(cut([1, 1])).rejects.toThrow('ascending order')
  await expect(cut([0, 1, 2, 3])).rejects.toThrow('fewer than the 4 layers')
  await expect(cut([])).rejects.toThrow('layers')
  await expect(cut([0], 'bert', 'bert-cut')).rejects.toThrow('does not exist')
  await save(build('gpt2', { scaleAttentionByLayer: true }), 'scaled')
  await expect(cut([0, 2], 'scaled')).rejects.toThrow('scale_attn_by_inverse_layer_idx')
  await save(build('t5'), 't5')
  await expect(cut([1, 2], 't5')).rejects.toThrow('one stack of layers')
})
