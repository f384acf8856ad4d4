// The page of an exported specialist in Chromium, from a server of static files: its labels, entities, answers, similarities and
// texts are those of our own predictions, and nothing is loaded from anywhere else.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { AxeBuilder } from '@axe-core/playwright'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { saveModel } from '../../src/checkpoint/index.ts'
import { type ExportInput, exportModel } from '../../src/export/index.ts'
import { open } from '../../src/inference/index.ts'
import type { SingleLabel } from '../../src/inference/open.ts'
import { buildModel, type HeadType, models } from '../../src/models/index.ts'
import { Generator } from '../../src/tensor/index.ts'
import { trainTokenizer } from '../../src/tokenizers/index.ts'
import { loadScript } from '../setup/load-script.ts'
import { oddModel } from './onnx-fixture.ts'

const { findBrowser } = await loadScript<{ findBrowser(): string | undefined }>('browser.mjs')
const { buildWeb } = await loadScript<{ buildWeb(root: string): Promise<void> }>('web.mjs')
const browserPath = findBrowser()

const scratch = mkdtempSync(join(tmpdir(), 'web-export-'))
const at = (name: string) => join(scratch, name)
const types: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.css': 'text/css',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
}
let server: Server
let browser: Browser | undefined

beforeAll(async () => {
  await buildWeb(fileURLToPath(new URL('../..', import.meta.url)))
  const corpus = Array(50).fill('The cat sat on the mat, and the dog ran after the cat. It is 1999.')
  for (const [name, input] of [
    ['wordpiece', { type: 'wordpiece', vocabSize: 90, lowercase: true }],
    ['bpe', { type: 'bpe', vocabSize: 290, minFrequency: 1 }],
  ] as const) {
    const { files } = await trainTokenizer(corpus, input, { workers: 1 })
    mkdirSync(at(name))
    for (const [file, content] of Object.entries(files)) writeFileSync(join(at(name), file), content)
  }
  server = createServer((request, response) => {
    const path = join(scratch, new URL(request.url ?? '/', 'http://x').pathname)
    try {
      const content = readFileSync(path)
      response.writeHead(200, { 'content-type': types[extname(path)] ?? 'application/octet-stream' }).end(content)
    } catch {
      response.writeHead(404).end()
    }
  }).listen(0, '127.0.0.1')
  if (browserPath !== undefined)
    browser = await chromium.launch({ executablePath: browserPath, args: ['--no-sandbox'] })
})
afterAll(async () => {
  await browser?.close()
  server.close()
  rmSync(scratch, { recursive: true, force: true })
})

/** A model with random weights; a decoder for texts, else an encoder. */
const make = async (head: HeadType, task?: { task: string; settings: object }): Promise<string> => {
  const causal = head === 'causal-lm'
  const [definition, labels] = [causal ? models.llama : models.bert, ['O', 'B-place', 'I-place', 'B-name']]
  const config = definition.adjust(definition.presets.test as never, { vocabSize: 300 } as never)
  const model = buildModel(definition as never, config as never, head, { labels })
  model.initialize({ std: 0.3, generator: new Generator(11) })
  await saveModel(model.eval(), at(head), { tokenizer: at(causal ? 'bpe' : 'wordpiece') })
  if (task !== undefined) writeFileSync(join(at(head), 'task.json'), JSON.stringify(task))
  return at(head)
}

/** Exports a model and opens its page, which is ready. */
const openPage = async (
  name: string,
  options: Partial<ExportInput> = {},
): Promise<{ page: Page; faults: string[] }> => {
  await exportModel({ model: at(name), to: 'web:fp32', out: at(`${name}-out`), replace: true, ...options })
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const context = await browser!.newContext()
  context.setDefaultTimeout(300_000)
  const page = await context.newPage()
  const faults: string[] = []
  page.on('console', (message) => message.type() === 'error' && faults.push(message.text()))
  page.on('pageerror', (error) => faults.push(error.message))
  page.on(
    'request',
    (request) => /^(blob|data):/.test(request.url()) || request.url().startsWith(origin) || faults.push(request.url()),
  )
  await page.goto(`${origin}/${name}-out/web/index.html`)
  await page.getByText('The model runs in this browser').waitFor()
  return { page, faults }
}

const result = (page: Page) => page.getByRole('region', { name: 'Result' })

/** Fills the form and sends it, and waits for the result. */
const ask = async (page: Page, fields: Record<string, string>, button: string): Promise<void> => {
  for (const [label, text] of Object.entries(fields)) await page.getByLabel(label, { exact: true }).fill(text)
  await page.getByRole('button', { name: button }).click()
  await page.locator('section[aria-busy=false] > *').first().waitFor()
}

describe.skipIf(browserPath === undefined)('the page of a specialist in Chromium', () => {
  it('classifies pairs of texts as we do', async () => {
    const folder = await make('sequence-classification', {
      task: 'sequence-classification',
      settings: { pair: 'other' },
    })
    const { page, faults } = await openPage('sequence-classification')
    const model = await open(folder)
    for (const text of ['the cat sat on the mat', 'the dog ran after it 1999']) {
      const pair = 'it is 1999'
      const { label, probabilities } = (await model.classify({ text, pair })) as SingleLabel
      await ask(page, { Text: text, 'Second text': pair }, 'Classify')
      const row = result(page).getByRole('row').first()
      expect(await row.getByRole('rowheader').textContent()).toBe(label)
      expect(await row.getByRole('cell').first().textContent()).toBe(`${(100 * probabilities[label]).toFixed(1)} %`)
    }
    const { violations } = await new AxeBuilder({ page }).analyze()
    expect(violations.map(({ id, nodes }) => `${id}: ${nodes[0].html}`)).toEqual([])
    expect(faults).toEqual([])
  })

  it('finds the entities that we find', async () => {
    const folder = await make('token-classification', { task: 'token-classification', settings: {} })
    const { page, faults } = await openPage('token-classification')
    const text = 'The cat sat, on the mat; and dogs ran after it in 1999!'
    const entities = await (await open(folder)).extract(text)
    await ask(page, { Text: text }, 'Find entities')
    const marks = await result(page).locator('mark').allTextContents()
    expect(marks).toEqual(entities.map((entity) => `${entity.text} ${entity.type}`))
    expect(marks.length).toBeGreaterThan(2)
    expect(await result(page).textContent()).toContain('1999')
    expect(faults).toEqual([])
  })

  it('answers as we do, in a text of several windows and to a long question too', async () => {
    const folder = await make('question-answering', {
      task: 'extractive-qa',
      settings: { stride: 16, maxQuestionTokens: 12 },
      maxLength: 48,
    } as never)
    const { page, faults } = await openPage('question-answering')
    const model = await open(folder)
    const short = 'The cat sat on the mat.'
    const long = 'The dog ran after cats. It is 1999, and the mat sat. '.repeat(4)
    const question = 'Who sat on the mat?'
    // The last question is longer than the model takes.
    for (const [asked, context] of [
      [question, short],
      [question, long],
      [question.repeat(20), long],
    ]) {
      const found = await model.answer(asked, { context })
      await ask(page, { Question: asked, Text: context }, 'Answer')
      expect(await result(page).textContent()).toBe(found.answer)
    }
    expect(faults).toEqual([])
  })

  it('compares texts by our vectors', async () => {
    const folder = await make('embedding')
    const { page, faults } = await openPage('embedding')
    const others = ['the dog ran', 'it is 1999', 'on the mat the cat sat']
    const [own, ...vectors] = await (await open(folder)).embed(['the cat sat on the mat', ...others])
    const cosine = (a: Float32Array, b: Float32Array) => {
      const product = (x: Float32Array, y: Float32Array) => x.reduce((sum, value, i) => sum + value * y[i], 0)
      return product(a, b) / Math.sqrt(product(a, a) * product(b, b))
    }
    const expected = others
      .map((text, i) => ({ text, score: cosine(own, vectors[i]) }))
      .sort((a, b) => b.score - a.score)
    await ask(
      page,
      { Text: 'the cat sat on the mat', 'Texts to compare with, one per line': others.join('\n') },
      'Compare',
    )
    expect(await result(page).getByRole('rowheader').allTextContents()).toEqual(expected.map(({ text }) => text))
    const scores = await result(page).locator('td:nth-child(2)').allTextContents()
    for (const [i, score] of scores.entries()) expect(Number(score)).toBeCloseTo(expected[i].score, 2)
    expect(faults).toEqual([])
  })

  it.each([false, true])(
    'writes the text that we write, with GroupQueryAttention: %s',
    async (groupedQueryAttention) => {
      const folder = await make('causal-lm')
      writeFileSync(join(folder, 'generation_config.json'), '{"max_new_tokens": 12}')
      const { page, faults } = await openPage('causal-lm', { groupedQueryAttention })
      const text = await (await open(folder)).generate('The cat', { maxNewTokens: 12 })
      await ask(page, { Prompt: 'The cat' }, 'Write')
      expect(await result(page).textContent()).toBe(text)
      expect(faults).toEqual([])
    },
  )
})

it('is refused for heads without a page and for decoders that classify', async () => {
  const refused = async (model: string, words: RegExp) =>
    expect(exportModel({ model, to: 'web', out: at('refused') })).rejects.toThrow(words)
  await refused(await make('masked-lm'), /got masked-lm/)
  const decoder = oddModel('gpt2', 'sequence-classification', { vocabSize: 300 })
  await saveModel(decoder, at('decoder'), { tokenizer: at('bpe') })
  await refused(at('decoder'), /needs an encoder for text-classification/)
})
