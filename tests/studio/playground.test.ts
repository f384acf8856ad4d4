// The playground: models of runs in processes of their own, asked through the ordinary endpoints, and its page in a real Chromium.
import { cp, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadTokenizer, saveModel } from '../../src/checkpoint/index.ts'
import { buildModel, type HeadOptions, type HeadType, type ModelDefinition, models } from '../../src/models/index.ts'
import type { LoadedModel, PlaygroundState, RunModels } from '../../src/serving/studio/types/api-types.ts'
import { Generator } from '../../src/tensor/index.ts'
import { trainTokenizer, writeTokenizerFolder } from '../../src/tokenizers/index.ts'
import { nearest, principalComponents } from '../../web/pages/playground/projection.ts'
import { type ModelFolders, makeFolders, seaTexts } from '../serving/fixture.ts'
import { browserPath, hasFocus, runsFolder, StudioUnderTest, stepEvent, tabTo, writeEvents } from './studio-fixture.ts'

const runs = runsFolder()
let folders: ModelFolders

/** A run with a finished model of a head, without training. */
const writeSpecialist = async (name: string, head: HeadType, labels: string[]): Promise<void> => {
  const tokenizer = join(runs, '.tokenizer')
  const definition = models.bert as unknown as ModelDefinition
  const { maxId } = await loadTokenizer(tokenizer)
  const config = definition.adjust(definition.presets.test, { vocabSize: maxId + 1, maxPositions: 512 })
  const options: Partial<HeadOptions> = {
    ...(labels.length === 0 ? {} : { labels }),
    ...(head === 'sequence-classification' ? { problemType: 'single-label' } : {}),
  }
  const model = buildModel(definition, config, head, options).initialize({ std: 0.3, generator: new Generator(5) })
  await writeEvents(join(runs, name), [stepEvent(1)])
  await saveModel(model, join(runs, name, 'model'), { tokenizer })
}

const studio = new StudioUnderTest()
studio.use({ roots: [runs], maxModels: 2, models: ['no-such-model'] })

beforeAll(async () => {
  folders = await makeFolders()
  const text = join(runs, 'text')
  await writeEvents(text, [stepEvent(1), stepEvent(2)])
  await cp(folders.base, join(text, 'model'), { recursive: true })
  // Checkpoints: one of a whole model, and a damaged one.
  await mkdir(join(text, 'checkpoints/step-00000001'), { recursive: true })
  await cp(folders.base, join(text, 'checkpoints/step-00000001/model'), { recursive: true })
  await mkdir(join(text, 'checkpoints/step-00000002/model'), { recursive: true })
  const { files } = await trainTokenizer(seaTexts, { type: 'wordpiece', vocabSize: 200 })
  await writeTokenizerFolder(join(runs, '.tokenizer'), files)
  await writeSpecialist('classes', 'sequence-classification', ['calm', '<b>storm</b>'])
  await writeSpecialist('masks', 'masked-lm', [])
  await writeSpecialist('spans', 'question-answering', [])
  await writeSpecialist('names', 'token-classification', ['O', 'B-SHIP', 'I-SHIP'])
  await writeFile(join(runs, 'classes/model/README.md'), '')
})
afterAll(() => folders?.remove())

const post = (path: string, body: object) => studio.post<Record<string, unknown>>(path, body)

const load = (model: string) => studio.post<LoadedModel>('/api/playground/load', { model })

// Each model is loaded once: its process takes seconds of CPU to start, so tests that ask one model follow each other.

describe('models with heads', () => {
  it('are those of a run that open as a model', async () => {
    const { models: found } = await studio.json<RunModels>('/api/runs/text/models')
    expect(found.map(({ id }) => id)).toEqual(['text@model', 'text@1'])
  })

  it('offer what their head can answer', async () => {
    expect(await load('classes@model')).toMatchObject({
      head: 'sequence-classification',
      labels: ['calm', '<b>storm</b>'],
      paths: ['/v1/classify', '/v1/embeddings'],
    })
  })

  it.skipIf(browserPath === undefined)('shows classes as bars, fills masks, and marks answers', async () => {
    const watched = await studio.open('#/playground?a=classes%40model')
    const { page } = watched
    const askFor = async (label: string, text: string) => {
      await page.getByLabel(label, { exact: true }).fill(text)
      await page.getByRole('button', { name: 'Ask', exact: true }).click()
    }
    await askFor('Text', 'the waves were high')
    const bars = page.getByRole('table', { name: 'Probability of each class' })
    await bars.getByText('<b>storm</b>').waitFor()
    expect(await bars.getByText('%').count()).toBe(2)

    await page.goto(`${studio.url}/#/playground?a=masks%40model`)
    await page.getByRole('button', { name: 'Insert [MASK]' }).click()
    await page.getByRole('button', { name: 'Ask', exact: true }).click()
    const tokens = page.getByRole('table', { name: 'Tokens for mask 1' })
    await tokens.waitFor()
    expect(await tokens.getByRole('row').count()).toBe(8)

    await page.goto(`${studio.url}/#/playground?a=spans%40model`)
    await page.getByLabel('Context, which holds the answer').fill(seaTexts[0])
    await askFor('Question', 'Who looked at the stars?')
    await page.locator('.marked').waitFor()
    expect(await page.locator('.marked').textContent()).toContain('The captain')

    await page.goto(`${studio.url}/#/playground?a=names%40model`)
    await askFor('Text', seaTexts[0])
    await page.locator('.marked').waitFor()
    await page.getByRole('tab', { name: 'Embeddings' }).click()
    await page.getByRole('button', { name: 'Ask', exact: true }).click()
    await page.getByLabel('Neighbours of').waitFor()
    await page.getByLabel('Neighbours of').selectOption({ index: 2 })
    expect(
      await page
        .getByRole('list', { name: /^Nearest texts to/ })
        .getByRole('listitem')
        .count(),
    ).toBe(4)
    await studio.checkAndClose(watched)
  })
})

describe('models that write', () => {
  it('offer completions, and take the place of the model that was not used for the longest time', async () => {
    expect((await load('text@model')).paths).toEqual(['/v1/chat/completions', '/v1/completions', '/v1/embeddings'])
    await load('text@1')
    const { loaded, limit } = await studio.json<PlaygroundState>('/api/playground/models')
    expect(limit).toBe(2)
    expect(loaded.map(({ id, state }) => [id, state])).toEqual([
      ['text@1', 'loaded'],
      ['text@model', 'loaded'],
    ])
    for (const { memoryBytes } of loaded) expect(memoryBytes).toBeGreaterThan(2 ** 24)
  })

  it.skipIf(browserPath === undefined)(
    'completes a text by two versions side by side, with alternatives by keyboard',
    async () => {
      const watched = await studio.open('#/playground?a=text%40model&b=text%401')
      const { page } = watched
      await page.getByRole('tab', { name: 'Completion' }).click()
      await page.getByLabel('Prompt').fill('The ship')
      await page.getByRole('button', { name: 'Ask', exact: true }).click()
      const panes = page.getByRole('region', { name: /^Answer of/ })
      await page.getByRole('button', { name: 'Ask again' }).and(page.locator(':enabled')).waitFor()
      expect(await panes.count()).toBe(2)
      // The same weights, prompt and seed give the same text.
      const texts = await Promise.all([0, 1].map((i) => panes.nth(i).getByRole('group').textContent()))
      expect(texts[0]).toBe(texts[1])
      expect(texts[0]?.length).toBeGreaterThan(5)
      await panes.nth(0).getByRole('button').first().focus()
      await page.keyboard.press('ArrowRight')
      const alternatives = panes.nth(0).getByRole('table', { name: /^Likeliest tokens/ })
      expect(await alternatives.getByRole('row').count()).toBeGreaterThanOrEqual(5)
      await studio.checkAndClose(watched)
    },
  )

  it.skipIf(browserPath === undefined)('chats by keyboard alone, and keeps the earlier turns', async () => {
    const watched = await studio.open('#/playground', { width: 380 })
    const { page } = watched
    const { keyboard } = page
    // Runs arrive after the page.
    await page.getByRole('option', { name: 'text' }).first().waitFor({ state: 'attached' })
    await tabTo(page.getByRole('combobox', { name: 'Model', exact: true }))
    await keyboard.type('text')
    await page.getByRole('combobox', { name: 'Version' }).waitFor()
    await page.getByLabel('Message', { exact: true }).waitFor()
    await tabTo(page.getByText('Settings', { exact: true }))
    await keyboard.press('Enter')
    await tabTo(page.getByLabel(/^Maximum new tokens/))
    await keyboard.press('Control+A')
    await keyboard.type('8')
    const message = page.getByLabel('Message', { exact: true })
    await tabTo(message)
    const again = page.getByRole('button', { name: 'Ask again' })
    for (const text of ['Hello <i>there</i>', 'And then?']) {
      await keyboard.press('Control+A')
      await keyboard.type(text)
      await keyboard.press('Enter')
      await page.getByText(text).waitFor()
      await again.and(page.locator(':enabled')).waitFor()
      // The next message can be typed at once.
      expect([await message.inputValue(), await hasFocus(message)]).toEqual(['', true])
    }
    const answers = page.getByRole('region', { name: /^Answer of/ })
    expect(await answers.count()).toBe(2)
    await tabTo(
      answers.last().getByRole('group', { name: 'Tokens of the answer' }).getByRole('button').first(),
      'Shift+Tab',
    )
    await keyboard.press('ArrowRight')
    await answers
      .last()
      .getByRole('table', { name: /^Likeliest tokens in place of/ })
      .waitFor()
    await tabTo(again)
    await keyboard.press('Enter')
    await again.and(page.locator(':enabled')).waitFor()
    expect(await page.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true)
    await studio.checkAndClose(watched)
  })

  it.skipIf(browserPath === undefined)(
    'shows reasoning apart from the answer, also where there is no answer',
    async () => {
      const watched = await studio.open('#/playground?a=text%40model')
      const { page } = watched
      const message = page.getByLabel('Message', { exact: true })
      await message.waitFor()
      const ask = async (deltas: object[]): Promise<string | null> => {
        const logprobs = { content: [{ token: 'x', logprob: -1, top_logprobs: [] }] }
        const events = deltas.map((delta) => JSON.stringify({ choices: [{ delta, logprobs }] })).concat('[DONE]')
        await page.route('**/api/playground/ask', (route) =>
          route.fulfill({ contentType: 'text/event-stream', body: events.map((data) => `data: ${data}\n\n`).join('') }),
        )
        await message.fill('Hello')
        await message.press('Enter')
        await page.getByRole('button', { name: 'Ask again' }).and(page.locator(':enabled')).waitFor()
        return page
          .getByRole('region', { name: /^Answer of/ })
          .last()
          .textContent()
      }
      const alone = await ask([{ reasoning_content: 'They greet ' }, { reasoning_content: 'me.' }])
      expect(alone).toMatch(/ReasoningThey greet me\.\(no answer after the reasoning\)$/)
      const both = await ask([{ reasoning_content: 'Once more.' }, { content: 'Hello.' }])
      expect(both).toMatch(/ReasoningOnce more\.xUnder/)
      expect(await ask([{ content: '' }])).not.toContain('Reasoning')
      await studio.checkAndClose(watched)
    },
  )

  it('give errors in words for models that are not there, cannot be loaded, or are asked the wrong thing', async () => {
    for (const model of ['text@7', 'text@../../x', 'none@model', 'given/other', 'x'])
      expect(await load(model)).toMatchObject({ error: { code: expect.stringMatching(/not_found/) } })
    expect(await load('given/no-such-model')).toMatchObject({
      error: { code: 'model_not_loaded', message: expect.stringContaining('no-such-model') },
    })
    const wrong = { model: 'text@model', path: '/v1/classify', request: { input: 'x' } }
    expect(await post('/api/playground/ask', wrong)).toMatchObject({ error: { code: 'model_not_supported' } })
    expect(await post('/api/playground/ask', { ...wrong, path: '/v1/load_lora_adapter' })).toHaveProperty('error')
    expect(await load('text@live')).toMatchObject({ error: { code: 'training_ended' } })
    const inMemory = async () =>
      (await studio.json<PlaygroundState>('/api/playground/models')).loaded.map(({ id }) => id)
    expect(await inMemory()).toContain('text@model')
    await post('/api/playground/unload', { model: 'text@model' })
    expect(await inMemory()).not.toContain('text@model')
  })
})

describe('the map of embeddings', () => {
  it('has the principal components of points on a plane', () => {
    // Twice as wide as high, turned into three dimensions.
    const [a, b] = [
      [0.6, 0.8, 0],
      [-0.8, 0.6, 0],
    ]
    const plane = [
      [2, 1],
      [-2, 1],
      [2, -1],
      [-2, -1],
    ]
    const { points, shares } = principalComponents(plane.map(([x, y]) => a.map((value, i) => 5 + x * value + y * b[i])))
    expect(points.map(([x]) => Math.abs(x)).every((x) => Math.abs(x - 2) < 1e-6)).toBe(true)
    expect(points.map(([, y]) => Math.abs(y)).every((y) => Math.abs(y - 1) < 1e-6)).toBe(true)
    expect(shares[0]).toBeCloseTo(0.8, 6)
    expect(shares[1]).toBeCloseTo(0.2, 6)
  })

  it('keeps equal texts in one place, and lists neighbours by their angle', () => {
    const { points } = principalComponents([
      [1, 2],
      [1, 2],
    ])
    expect(points).toEqual([
      [0, 0],
      [0, 0],
    ])
    const near = nearest(
      [
        [1, 0],
        [0, 1],
        [3, 0.1],
      ],
      0,
    )
    expect(near.map(({ index }) => index)).toEqual([2, 1])
  })
})
