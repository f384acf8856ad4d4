// The data of the runs: which sources there are, what their pages show, and what happens with damaged, hostile and very large files.
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildCorpus } from '../../src/corpus/index.ts'
import { openTokens, packedRows } from '../../src/data/index.ts'
import type {
  CorpusOverview,
  DataKind,
  DataSource,
  DataSourceList,
  DocumentPage,
  InspectionMessage,
  PackedRows,
  RowDetails,
  RowPage,
  SearchMessage,
  ShardOverview,
} from '../../src/serving/studio/types/data-types.ts'
import { diffWords } from '../../web/pages/data/word-diff.ts'
import { makeSmallData, type SmallData, smallRecipe } from '../training/small-run.ts'
import { browserPath, runsFolder, StudioUnderTest, stepEvent, writeEvents, writeJson } from './studio-fixture.ts'

const folder = runsFolder()
const studio = new StudioUnderTest()
studio.use({ roots: [folder] })

let small: SmallData
const many = 100_000
const million = 1_000_000
const at = (name: string) => join(folder, name)
const lines = (rows: readonly unknown[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('')

const writeRun = async (name: string, recipe: object) => {
  await writeEvents(at(name), [stepEvent(1)])
  await writeJson(join(at(name), 'run.json'), recipe)
}

const classification = (data: string, validation?: string) => ({
  ...{ command: 'finetune', task: 'sequence-classification', base: 'x/base', settings: {} },
  ...{ data: at(data), ...(validation === undefined ? {} : { validation: at(validation) }) },
})

const hostile = '<img src=x onerror=alert(1)>\u0007\u202eevil'

beforeAll(async () => {
  small = await makeSmallData()
  await writeRun('base', smallRecipe(small, at('base')))
  await writeFile(
    at('train.jsonl'),
    `${lines([
      { text: hostile, label: 'good', note: 'n' },
      { text: 'x'.repeat(1_000_000), label: 'good', note: 'n' },
      { text: 'the same text', label: 'good', note: 'n' },
      { text: 'the same text', label: 'bad', note: 'n' },
      { text: 'it is in both files', label: 'bad', note: 'n' },
    ])}{"text": broken\n`,
  )
  await writeFile(at('dev.jsonl'), lines([{ text: 'it is in both files', label: 'bad' }]))
  await writeRun('tuned', classification('train.jsonl', 'dev.jsonl'))
  const numbered = (count: number) =>
    lines(Array.from({ length: count }, (_, i) => ({ text: `row ${i}`, label: 'good' })))
  await writeFile(at('many.jsonl'), numbered(many))
  await writeFile(at('million.jsonl'), numbered(million))
  await writeRun('large', classification('million.jsonl', 'many.jsonl'))
  await writeRun('lost', classification('lost.jsonl'))
  const pair = (prompt: string, chosen: string, rejected: string) => ({ prompt, chosen, rejected })
  await writeFile(
    at('pairs.jsonl'),
    lines([
      pair('What is it?', 'It is a red house.', 'It is a blue house.'),
      pair('Who?', 'the same', 'the same'),
      pair('Where?', 'here', 'there'),
      pair('Where?', 'there', 'here'),
    ]),
  )
  await writeRun('dpo', { command: 'align', objective: 'dpo', base: 'x/base', data: at('pairs.jsonl'), columns: {} })
  await writeFile(
    at('texts.jsonl'),
    lines([{ text: 'a text about a lighthouse' }, { text: 'twice' }, { text: 'twice' }, { text: 'one more' }]),
  )
  await buildCorpus({
    out: at('corpus'),
    source: [`jsonl:${at('texts.jsonl')}`],
    filter: ['none'],
    dedup: ['exact'],
    workers: 1,
  })
})
afterAll(() => small.dispose())

const sources = async () => (await studio.json<DataSourceList>('/api/data')).sources

const sourceOf = async (kind: DataKind, name: string): Promise<DataSource> => {
  const found = (await sources()).find((one) => one.kind === kind && one.path.endsWith(name))
  expect(found).toBeDefined()
  return found!
}

const stream = async <T>(path: string): Promise<T[]> => {
  const text = await (await fetch(`${studio.url}${path}`)).text()
  return text
    .split('\n')
    .filter((line) => line.startsWith('data: {'))
    .map((line) => JSON.parse(line.slice('data: '.length)) as T)
}

describe('the data of a studio', () => {
  it('are those of the recipes and the folders, and nothing else can be read', async () => {
    const list = await sources()
    expect(list.map(({ kind, path }) => `${kind} ${path.split('/').at(-1)}`).sort()).toEqual([
      ...['corpus corpus', 'pairs pairs.jsonl', 'records dev.jsonl', 'records lost.jsonl', 'records many.jsonl'],
      'records million.jsonl',
      ...['records train.jsonl', 'shards shards'],
    ])
    const train = await sourceOf('records', 'train.jsonl')
    expect(train.uses).toEqual([{ run: 'tuned', role: 'training' }])
    expect(train.validation).toBe((await sourceOf('records', 'dev.jsonl')).id)
    expect((await sourceOf('records', 'lost.jsonl')).state).toBe('missing')
    for (const id of ['..%2F..%2Fetc%2Fpasswd', encodeURIComponent(at('texts.jsonl')), 'none'])
      expect(await studio.json(`/api/data/${id}/rows`)).toMatchObject({ error: { code: 'data_not_found' } })
    expect(await studio.json(`/api/data/${train.id}/rows?path=/etc/passwd`)).toMatchObject({
      error: { code: 'unknown_parameter' },
    })
  })

  it('show rows with long texts cut and damaged lines in their place', async () => {
    const { id } = await sourceOf('records', 'train.jsonl')
    const page = await studio.json<RowPage>(`/api/data/${id}/rows`)
    expect(page).toMatchObject({ total: 6, complete: true, columns: ['text', 'label', 'note'] })
    expect(page.rows[0].cells?.text).toEqual({ text: hostile })
    expect(page.rows[1].cells?.text).toEqual({ text: 'x'.repeat(300), length: 1_000_000 })
    expect(page.rows[5]).toMatchObject({ place: 'train.jsonl:6', damage: { text: { text: '{"text": broken' } } })
    const { row } = await studio.json<RowDetails>(`/api/data/${id}/rows/1`)
    expect(row.cells?.text.text).toHaveLength(65_536)
    expect(await studio.json(`/api/data/${id}/rows/6`)).toMatchObject({ error: { code: 'no_row' } })
  })

  it('find doubtful records, overlap and columns that nothing reads', async () => {
    const { id } = await sourceOf('records', 'train.jsonl')
    const messages = await stream<InspectionMessage>(`/api/data/${id}/inspection`)
    const last = messages.at(-1)!
    expect('inspection' in last && last.inspection).toMatchObject({
      train: {
        report: { records: 5, skipped: { 'broken-json': { count: 1 } }, unreadColumns: ['note'] },
        labels: [
          { label: 'good', count: 3 },
          { label: 'bad', count: 2 },
        ],
        contradictions: { count: 1, examples: [{ answers: ['good', 'bad'], text: 'the same text' }] },
      },
      overlap: { texts: { count: 1 }, onlyInTraining: ['good'] },
    })
  })

  it('count ties and contradictions of pairs', async () => {
    const { id } = await sourceOf('pairs', 'pairs.jsonl')
    const [report] = (await stream<InspectionMessage>(`/api/data/${id}/inspection`)).slice(-1)
    expect(report).toMatchObject({
      report: { records: 1, skipped: { 'identical-answers': { count: 1 }, 'contradicting-pair': { count: 2 } } },
    })
    const { rows } = await studio.json<RowPage>(`/api/data/${id}/rows`)
    expect(rows.map(({ cells }) => cells?.chosen.text)).toEqual(['It is a red house.'])
  })

  it('read any row of a large file', async () => {
    const { id } = await sourceOf('records', 'million.jsonl')
    const { row } = await studio.json<RowDetails>(`/api/data/${id}/rows/${million - 1}`)
    expect(row).toMatchObject({
      index: million - 1,
      place: `million.jsonl:${million}`,
      cells: { text: { text: `row ${million - 1}` } },
    })
    const page = await studio.json<RowPage>(`/api/data/${id}/rows?offset=712345&limit=3`)
    expect(page.rows.map(({ cells }) => cells?.text.text)).toEqual(['row 712345', 'row 712346', 'row 712347'])
  })

  it('are searched in any case, to a limit of matches', async () => {
    const { id } = await sourceOf('records', 'many.jsonl')
    const found = await stream<SearchMessage>(`/api/data/${id}/search?q=ROW%2099999`)
    expect(found.flatMap((one) => ('hits' in one ? one.hits : []))).toMatchObject([
      { number: 99_999, match: 'row 99999' },
    ])
    expect(found.at(-1)).toMatchObject({ end: 'all', searched: many, found: 1 })
    expect((await stream<SearchMessage>(`/api/data/${id}/search?q=row`)).at(-1)).toMatchObject({
      end: 'matches',
      found: 500,
    })
  })

  it('describe a corpus with its drop reasons, and give its documents by number', async () => {
    const { id } = await sourceOf('corpus', 'corpus')
    const overview = await studio.json<CorpusOverview>(`/api/data/${id}/corpus`)
    expect(overview).toMatchObject({ documents: 3, kinds: [{ kind: 'jsonl', documents: 3 }] })
    expect(overview.drops).toMatchObject([
      { reason: 'exact-duplicate', count: 1, examples: [{ excerpt: { text: 'twice' } }] },
    ])
    const page = await studio.json<DocumentPage>(`/api/data/${id}/documents?offset=2&limit=5`)
    expect(page).toMatchObject({ total: 3, documents: [{ number: 2, text: { text: 'one more' } }] })
  })

  it('show rows of shards as the run sees them, with its masks', async () => {
    const { id } = await sourceOf('shards', 'shards')
    const { runs, tokenizerFault } = await studio.json<ShardOverview>(`/api/data/${id}/shards`)
    expect({ runs, tokenizerFault }).toMatchObject({
      runs: [{ run: 'base', objective: 'masked-lm' }],
      tokenizerFault: null,
    })
    const rows = (seed: number) =>
      studio.json<PackedRows>(`/api/data/${id}/packed?run=base&position=7&count=1&seed=${seed}`)
    const [row] = (await rows(0)).rows
    // The row of the sampler, which the masks of the objective leave as it is under their labels. It has two tokens for [CLS] and [SEP].
    const source = await openTokens(small.shards, 'train')
    const expected = packedRows(source, { seed: 0, length: 30, shuffle: 'rows' }).row(0, 7)
    source.close()
    const tokens = row.sequences!.flatMap((sequence) => sequence.tokens)
    const masked = tokens.filter(({ label }) => label !== undefined)
    expect(masked.length).toBe(row.trained)
    expect(masked.length).toBeGreaterThan(0)
    const own = tokens.filter(({ special, label }) => label !== undefined || !special)
    expect(own.length).toBeLessThanOrEqual(expected.ids.length)
    expect(own.filter(({ label }) => label === undefined).every(({ id: token }) => expected.ids.includes(token))).toBe(
      true,
    )
    expect((await rows(1)).rows[0].sequences).not.toEqual(row.sequences)
    expect((await rows(0)).rows[0]).toEqual(row)
  })

  it('say that a file is gone', async () => {
    await writeFile(at('short.jsonl'), lines([{ text: 'a', label: 'b' }]))
    await writeRun('short', classification('short.jsonl'))
    const { id } = await sourceOf('records', 'short.jsonl')
    expect((await studio.json<RowPage>(`/api/data/${id}/rows`)).total).toBe(1)
    await rm(at('short.jsonl'))
    expect(await studio.json(`/api/data/${id}/rows`)).toMatchObject({ error: { code: 'file_gone' } })
  })
})

describe('the differences of two texts', () => {
  it('are marked word by word', () => {
    const [a, b] = diffWords('It is a red house.', 'It is a blue house.')
    expect(a).toEqual([
      { text: 'It is a ', differs: false },
      { text: 'red', differs: true },
      { text: ' house.', differs: false },
    ])
    expect(b[1]).toEqual({ text: 'blue', differs: true })
    expect(diffWords('', 'new')).toEqual([[], [{ text: 'new', differs: true }]])
  })
})

describe.skipIf(browserPath === undefined)('the page in Chromium', () => {
  it('shows hostile rows as text, and jumps in a large table', async () => {
    const train = await sourceOf('records', 'train.jsonl')
    const first = await studio.open(`#/data/${train.id}`, { width: 380 })
    await first.page.getByText('<img src=x onerror=alert(1)>').waitFor()
    await first.page.getByText('U+202E').waitFor()
    await first.page.getByText('Expected JSON').waitFor()
    await studio.checkAndClose(first)
    const large = await sourceOf('records', 'million.jsonl')
    const second = await studio.open(`#/data/${large.id}`)
    await second.page.getByText(`${million.toLocaleString('en')} rows`).waitFor()
    await second.page.getByRole('spinbutton').fill('950000')
    await second.page.getByRole('button', { name: 'Go', exact: true }).click()
    await second.page.getByText('row 949999', { exact: true }).waitFor()
    await studio.checkAndClose(second)
  })

  it('shows pairs side by side, and rows of shards', async () => {
    const pairs = await sourceOf('pairs', 'pairs.jsonl')
    const first = await studio.open(`#/data/${pairs.id}?row=1`)
    await first.page.locator('.chosen mark', { hasText: 'red' }).waitFor()
    await first.page.locator('.rejected mark', { hasText: 'blue' }).waitFor()
    await studio.checkAndClose(first)
    const shards = await sourceOf('shards', 'shards')
    const second = await studio.open(`#/data/${shards.id}?position=7`)
    await second.page.getByRole('article', { name: 'Row at position 7' }).locator('.masked').first().waitFor()
    await studio.checkAndClose(second)
  })

  it('finds a text in a corpus, and lists all data', async () => {
    const corpus = await sourceOf('corpus', 'corpus')
    const first = await studio.open(`#/data/${corpus.id}?tab=documents`)
    await first.page.getByRole('searchbox').fill('LIGHT')
    await first.page.getByRole('searchbox').press('Enter')
    await first.page.locator('.hit mark', { hasText: 'light' }).waitFor()
    await studio.checkAndClose(first)
    const second = await studio.open('#/data')
    await second.page.getByRole('row').filter({ hasText: 'lost.jsonl' }).getByText('missing').waitFor()
    await studio.checkAndClose(second)
  })
})
