// Specialists of every head and several methods on one base, by name: each answers as it does alone, whatever is asked of the
// others meanwhile.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type AdapterInput, applyAdapter, saveAdapter } from '../../src/adapters/index.ts'
import { loadTokenizer, saveModel } from '../../src/checkpoint/index.ts'
import { open, type TextModel } from '../../src/inference/index.ts'
import { buildModel, type HeadOptions, type HeadType, type ModelDefinition, models } from '../../src/models/index.ts'
import type { RunningServer } from '../../src/serving/index.ts'
import { Generator, noGrad, setBatchInvariant } from '../../src/tensor/index.ts'
import { trainTokenizer, writeTokenizerFolder } from '../../src/tokenizers/index.ts'
import { away } from '../device.ts'
import { random, seaTexts, startServer } from './fixture.ts'

const folder = mkdtempSync(join(tmpdir(), 'tunesmith-specialists-'))
const at = (name: string) => join(folder, name)

const wanted: Record<string, { head: HeadType; adapter: AdapterInput; options?: Partial<HeadOptions> }> = {
  mood: {
    head: 'sequence-classification',
    adapter: { type: 'lora', rank: 3 },
    options: { labels: ['bad', 'fine', 'good'], problemType: 'single-label' },
  },
  stars: {
    head: 'sequence-classification',
    adapter: { type: 'pfeiffer' },
    options: { labels: ['stars'], problemType: 'regression' },
  },
  names: { head: 'token-classification', adapter: { type: 'prefix-tuning' }, options: { labels: ['O', 'B-X', 'I-X'] } },
  spans: { head: 'question-answering', adapter: { type: 'ia3' } },
  bits: {
    head: 'sequence-classification',
    adapter: { type: 'bitfit' },
    options: { labels: ['a', 'b'], problemType: 'single-label' },
  },
}

let server: RunningServer
let client: OpenAI
const alone = new Map<string, TextModel>()
const texts = [...seaTexts, 'The ship', 'a storm in the night, and the boy said nothing of it to the old captain']

beforeAll(async () => {
  const { files } = await trainTokenizer(seaTexts, { type: 'wordpiece', vocabSize: 200 })
  await writeTokenizerFolder(at('tokenizer'), files)
  const configFile = join(at('tokenizer'), 'tokenizer_config.json')
  const tokenizerConfig = JSON.parse(readFileSync(configFile, 'utf8'))
  writeFileSync(configFile, JSON.stringify({ ...tokenizerConfig, model_max_length: 160 }))
  const { maxId } = await loadTokenizer(at('tokenizer'))
  const definition = models.bert as unknown as ModelDefinition
  const config = definition.adjust(definition.presets.test, { vocabSize: maxId + 1, maxPositions: 256 })
  const base = buildModel(definition, config, 'masked-lm').initialize({ std: 0.3, generator: new Generator(3) })
  await saveModel(base, at('base'), { tokenizer: at('tokenizer') })
  for (const [i, [name, { head, adapter, options = {} }]] of Object.entries(wanted).entries()) {
    const model = buildModel(definition, config, head, options).initialize({ std: 0.3, generator: new Generator(i) })
    const body = base.body.parameters()
    noGrad(() => {
      for (const [path, tensor] of model.body.parameters()) tensor.copy_(body.get(path)!)
    })
    const applied = applyAdapter(model, adapter, { name: 'default' })
    random(model, 'default', i)
    await saveAdapter(applied, at(name), { base: at('base') })
    alone.set(name, await open(at(name)))
  }
  alone.set('base', await open(at('base')))
  const specialists = Object.fromEntries(Object.keys(wanted).map((name) => [name, at(name)]))
  ;({ server, client } = await startServer({ model: at('base'), specialists, batchTokens: 64 }))
})
afterAll(async () => {
  await server.close()
  setBatchInvariant(false)
  rmSync(folder, { recursive: true, force: true })
})

it('names the labels of models that answer with labels', async () => {
  const { data } = (await (await fetch(`${server.url}/v1/models`)).json()) as {
    data: { id: string; labels: string[] }[]
  }
  const labels = Object.fromEntries(data.map((model) => [model.id, model.labels]))
  expect(labels).toMatchObject({ base: [], spans: [], mood: ['bad', 'fine', 'good'], names: ['O', 'B-X', 'I-X'] })
})

it('names the paths that models answer, scores of pairs among them but for three classes', async () => {
  const { data } = (await (await fetch(`${server.url}/v1/models`)).json()) as {
    data: { id: string; endpoints: string[] }[]
  }
  const paths = Object.fromEntries(data.map((model) => [model.id, model.endpoints]))
  expect(paths).toMatchObject({
    stars: ['/v1/classify', '/v1/embeddings', '/v1/score', '/v1/rerank'],
    mood: ['/v1/classify', '/v1/embeddings'],
    base: ['/v1/fill', '/v1/embeddings', '/v1/score', '/v1/rerank'],
  })
})

const post = async (
  path: string,
  body: object,
): Promise<{ data: never[]; results: never[] } & Record<string, never>> => {
  const response = await fetch(`${server.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  const value = (await response.json()) as never as { error?: unknown }
  if (!response.ok) throw Object.assign(new Error(JSON.stringify(value)), { status: response.status })
  return value as never
}

const of = (name: string) => alone.get(name) as TextModel

/** Numbers are compared as they are, but to four digits on other devices, whose products depend on the rows beside. */
const comparable = <T>(value: T): T => {
  const digits = (_: string, part: unknown) => (typeof part === 'number' ? Number(part.toPrecision(4)) : part)
  return away ? (JSON.parse(JSON.stringify(value, digits)) as T) : value
}

describe('specialists on one base', () => {
  it('are models with their heads', async () => {
    const { data } = await client.models.list()
    const heads = Object.fromEntries(data.map((model) => [model.id, (model as never as { head: string }).head]))
    expect(heads).toEqual({
      base: 'masked-lm',
      ...Object.fromEntries(Object.entries(wanted).map(([name, { head }]) => [name, head])),
    })
  })

  it('answer as they do alone, all at once and in one batch', async () => {
    const questions = texts.map((context) => ({ question: 'The ship?', context }))
    const classes = async (model: string) => (await post('/v1/classify', { model, input: texts })).data
    const single = async (model: string) =>
      (await Promise.all(texts.map((input) => post('/v1/classify', { model, input })))).map(({ data }) => data[0])
    const [mood, stars, bits, names, spans, separate, filled] = await Promise.all([
      classes('mood'),
      classes('stars'),
      classes('bits'),
      post('/v1/tokens', { model: 'names', input: texts }),
      post('/v1/answer', { model: 'spans', input: questions }),
      single('mood'),
      post('/v1/fill', { model: 'base', input: 'The [MASK] was old.', top_k: 3 }),
    ])
    expect(comparable(mood)).toMatchObject(comparable(await of('mood').classify(texts)))
    expect(comparable(stars)).toMatchObject(comparable(await of('stars').classify(texts)))
    expect(comparable(bits)).toMatchObject(comparable(await of('bits').classify(texts)))
    expect(comparable(separate.map((one) => ({ ...(one as object), index: 0 })))).toEqual(
      comparable(mood.map((one) => ({ ...(one as object), index: 0 }))),
    )
    expect(names.data.map(({ entities }) => entities)).toEqual(await of('names').extract(texts))
    expect(spans.data.map(({ answer }) => answer)).toEqual(
      (await of('spans').answerAll(questions)).map(({ answer }) => answer),
    )
    const { filled: text, masks } = of('base').fillMask('The [MASK] was old.', { topK: 3 })
    expect(filled.data[0]).toEqual({ index: 0, filled: text, masks })
  })

  it('refuse what their head cannot do, and an input at fault fails alone', async () => {
    await expect(post('/v1/tokens', { model: 'mood', input: 'x' })).rejects.toThrow(/model_not_supported/)
    await expect(
      client.chat.completions.create({ model: 'mood', messages: [{ role: 'user', content: 'x' }] }),
    ).rejects.toMatchObject({ status: 400, param: 'model' })
    const results = await Promise.allSettled(
      ['The ship', ' ', 'A storm'].map((input) => post('/v1/classify', { model: 'mood', input })),
    )
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect((results[1] as PromiseRejectedResult).reason.status).toBe(400)
  })
})

describe('embeddings', () => {
  it('are the vectors of the model, as numbers and as base64', async () => {
    const wantedVectors = await of('base').embed(texts)
    const numbers = await client.embeddings.create({ model: 'base', input: texts, encoding_format: 'float' })
    expect(numbers.data.map(({ embedding }) => Float32Array.from(embedding))).toEqual(wantedVectors)
    // The client asks for base64 by itself, and decodes it.
    const decoded = await client.embeddings.create({ model: 'base', input: texts[0] })
    expect(Float32Array.from(decoded.data[0].embedding)).toEqual(wantedVectors[0])
    expect(decoded.usage.prompt_tokens).toBeGreaterThan(5)
    const short = await client.embeddings.create({
      model: 'base',
      input: texts,
      dimensions: 4,
      encoding_format: 'float',
    })
    for (const { embedding } of short.data) {
      expect(embedding).toHaveLength(4)
      expect(Math.hypot(...embedding)).toBeCloseTo(1, 6)
    }
    // OpenAI's schema has token ids too, for one text and for several.
    const ids = texts.map((one) => [...of('base').tokenizer.encode(one).ids])
    const given = await client.embeddings.create({ model: 'base', input: ids, encoding_format: 'float' })
    expect(given.data.map(({ embedding }) => embedding)).toEqual(numbers.data.map(({ embedding }) => embedding))
    expect(given.usage).toEqual(numbers.usage)
    const single = await client.embeddings.create({ model: 'base', input: ids[1], encoding_format: 'float' })
    expect(single.data.map(({ embedding }) => Float32Array.from(embedding))).toEqual([wantedVectors[1]])
    for (const input of [[[2, 99_999]], [new Array(300).fill(5)]])
      await expect(client.embeddings.create({ model: 'base', input })).rejects.toMatchObject({ status: 400 })
    await expect(client.embeddings.create({ model: 'base', input: 'x', dimensions: 9999 })).rejects.toMatchObject({
      param: 'dimensions',
    })
  })

  it('are those of whole texts, unless a request asks for truncation', async () => {
    const input = 'the ship and '.repeat(80)
    const create = (more: object) =>
      client.embeddings.create({ model: 'base', input, encoding_format: 'float', ...more } as never)
    const refused = { status: 400, param: 'input', code: 'context_length_exceeded' }
    await expect(create({})).rejects.toMatchObject(refused)
    const { data } = await client.models.list()
    // Less than the positions of the model: the tokenizer's own limit.
    expect(data[0]).toMatchObject({ id: 'base', max_model_len: 160 })
    for (const [given, read] of [
      [-1, 160],
      [9, 9],
    ]) {
      const { data: vectors, usage } = await create({ truncate_prompt_tokens: given })
      expect(usage.prompt_tokens).toBe(read)
      const wantedVector = await of('base').embed(input, { maxTokens: read })
      expect(comparable([...Float32Array.from(vectors[0].embedding)])).toEqual(comparable([...wantedVector]))
    }
    const ids = Array.from({ length: 170 }, (_, i) => 5 + (i % 70))
    await expect(create({ input: ids })).rejects.toMatchObject(refused)
    const { usage } = await create({ input: [ids, ids.slice(0, 3)], truncate_prompt_tokens: 20 })
    expect(usage.prompt_tokens).toBe(23)
    await expect(create({ truncate_prompt_tokens: 161 })).rejects.toMatchObject({ param: 'truncate_prompt_tokens' })
  })

  it('are read whole for classes and scores too, unless a request asks for truncation', async () => {
    const long = 'the ship and '.repeat(200)
    const refused = (body: object, param: string) =>
      expect(post(...(body as [string, object]))).rejects.toThrow(new RegExp(`for .*${param}.*, as .* reads no more`))
    await refused(['/v1/classify', { model: 'mood', input: ['calm', long] }], 'input')
    await refused(['/v1/score', { model: 'stars', text_1: 'calm', text_2: long }], 'text_2')
    await refused(['/v1/score', { model: 'base', text_1: 'calm', text_2: long }], 'text_2')
    await refused(['/v1/rerank', { model: 'base', query: 'calm', documents: [long] }], 'documents')
    const cut = { truncate_prompt_tokens: 12 }
    const mood = await post('/v1/classify', { model: 'mood', input: [long], ...cut })
    expect(mood.usage).toEqual({ prompt_tokens: 12, total_tokens: 12 })
    expect(comparable(mood.data)).toMatchObject(comparable(await of('mood').classify([long], { maxLength: 12 })))
    const stars = await post('/v1/score', { model: 'stars', text_1: 'calm', text_2: [long, long], ...cut })
    expect(stars.usage).toEqual({ prompt_tokens: 24, total_tokens: 24 })
    const [pair] = await of('stars').classify([{ text: 'calm', pair: long }], { maxLength: 12 })
    expect(comparable(stars.data[0])).toMatchObject(comparable({ score: pair.value }))
    // Vectors of each text once: those of the query, and of the document as far as it is read.
    const tokenizer = await loadTokenizer(at('base'))
    const { usage } = await post('/v1/rerank', { model: 'base', query: 'calm', documents: [long, long], ...cut })
    expect(usage).toMatchObject({ total_tokens: 12 + tokenizer.encode('calm').ids.length })
    const whole = await post('/v1/classify', { model: 'mood', input: long, truncate_prompt_tokens: -1 })
    expect(whole.usage).toMatchObject({ total_tokens: await of('mood').maxInputTokens() })
    await expect(post('/v1/classify', { model: 'mood', input: 'x', truncate_prompt_tokens: 9999 })).rejects.toThrow(
      /Expected at most .* for `truncate_prompt_tokens`/,
    )
  })

  it('order documents, as a model that reads pairs does', async () => {
    const { results } = (await post('/v1/rerank', {
      model: 'base',
      query: texts[3],
      documents: texts,
      top_n: 2,
      return_documents: true,
    })) as never as {
      results: { index: number; relevance_score: number; document: { text: string } }[]
    }
    // The query is among the documents.
    expect(results).toHaveLength(2)
    expect(results[0]).toMatchObject({ index: 3, document: { text: texts[3] } })
    expect(results[0].relevance_score).toBeCloseTo(1, 5)
    const score = await post('/v1/score', { model: 'stars', text_1: 'The ship', text_2: texts })
    const pairs = await of('stars').classify(texts.map((pair) => ({ text: 'The ship', pair })))
    expect(score.data.map(({ score: value }) => value)).toEqual(pairs.map(({ value }) => value))
    await expect(post('/v1/score', { model: 'mood', text_1: 'a', text_2: 'b' })).rejects.toThrow(/3 classes/)
  })
})

describe('tokens', () => {
  it('go to text and back', async () => {
    const tokenizer = await loadTokenizer(at('base'))
    const {
      tokens,
      count,
      token_strs: strings,
    } = await post('/tokenize', { model: 'base', prompt: 'The ship', return_token_strs: true })
    expect(tokens).toEqual([...tokenizer.encode('The ship').ids])
    expect([count, (strings as string[]).length]).toEqual([(tokens as number[]).length, count])
    expect((await post('/detokenize', { model: 'base', tokens })).prompt).toBe(tokenizer.decode(tokens))
    await expect(
      post('/apply-template', { model: 'base', messages: [{ role: 'user', content: 'x' }] }),
    ).rejects.toThrow(/chat template/)
  })
})
