// Extracted texts against ones that were read by eye beside their source, and counts over the shared data.
// The wikitext is from an English Wikipedia dump (CC BY-SA 3.0); the HTML is of iana.org and example.com.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { extractHtml } from '../../src/corpus/extract/html/index.ts'
import { extractWikitext } from '../../src/corpus/extract/wikitext/index.ts'
import { expandPaths, isReject, type SourceType, sources } from '../../src/corpus/sources/index.ts'
import type { SourceDefinition, SourceDocument } from '../../src/corpus/sources/source.ts'

const golden = join(import.meta.dirname, 'golden')
const data = join(import.meta.dirname, '../../../shared/data')
const hasData = existsSync(data)

const namesOf = (folder: string, extension: string): string[] =>
  readdirSync(join(golden, folder))
    .filter((file) => file.endsWith(extension))
    .map((file) => file.slice(0, -extension.length))

describe('golden pages of wikitext', () => {
  const names = namesOf('wikitext', '.wiki')
  it('are at least 12', () => expect(names.length).toBeGreaterThanOrEqual(12))
  it.each(names.flatMap((name) => (['fast', 'faithful'] as const).map((mode) => [name, mode] as const)))(
    '%s, %s',
    (name, mode) => {
      // A page without tables and quotations reads the same in both modes.
      const own = join(golden, 'wikitext', `${name}.${mode}.txt`)
      const expected = readFileSync(existsSync(own) ? own : join(golden, 'wikitext', `${name}.faithful.txt`), 'utf8')
      const source = readFileSync(join(golden, 'wikitext', `${name}.wiki`), 'utf8')
      expect(extractWikitext(source, { mode })).toBe(expected)
    },
  )
})

describe('golden HTML documents', () => {
  const names = namesOf('html', '.html')
  it('are at least 6', () => expect(names.length).toBeGreaterThanOrEqual(6))
  it.each(names.flatMap((name) => (['fast', 'faithful'] as const).map((mode) => [name, mode] as const)))(
    '%s, %s',
    (name, mode) => {
      const source = readFileSync(join(golden, 'html', `${name}.html`), 'utf8')
      expect(extractHtml(source, { mode }).text).toBe(readFileSync(join(golden, 'html', `${name}.${mode}.txt`), 'utf8'))
    },
  )
})

interface Counts {
  documents: SourceDocument[]
  rejects: Record<string, number>
}

const known = new Map<string, Promise<Counts>>()

const readAll = (type: SourceType, path: string, options: Record<string, unknown> = {}): Promise<Counts> => {
  const key = JSON.stringify([type, path, options])
  if (!known.has(key)) known.set(key, readAnew(type, path, options))
  return known.get(key)!
}

const readAnew = async (type: SourceType, path: string, options: Record<string, unknown>): Promise<Counts> => {
  const source = sources[type] as unknown as SourceDefinition<unknown>
  const config = source.config.parse(options)
  const documents: SourceDocument[] = []
  const rejects: Record<string, number> = {}
  for (const file of await expandPaths(source, join(data, path), config)) {
    for await (const record of source.open(file, config, {})) {
      if (isReject(record)) rejects[record.reason] = (rejects[record.reason] ?? 0) + 1
      else documents.push(record)
    }
  }
  return { documents, rejects }
}

const dump = 'wikipedia-dump/enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2'

// Numbers are from the README of the data, or counted there with grep or warcio, as said.
describe.skipIf(!hasData)('the shared data (skipped where ../shared/data is absent)', () => {
  it.each(['fast', 'faithful'])('English dump, %s: 206 pages, of them 100 redirects', async (mode) => {
    const { documents, rejects } = await readAll('wikipedia', dump, { mode })
    // README: 206 pages, 100 redirects. By hand: 8 disambiguation pages among the others.
    expect(rejects).toEqual({ redirect: 100, disambiguation: 8 })
    expect(documents).toHaveLength(98)
    expect(documents[0].metadata).toMatchObject({ title: 'Anarchism', pageId: 12, namespace: 0, language: 'en' })
  })

  it('hand-made dump with a redirect, a disambiguation page and duplicate titles', async () => {
    const { documents, rejects } = await readAll('wikipedia', 'wikipedia-dump/tinywiki-latest-pages-articles.xml')
    expect(rejects).toEqual({ redirect: 1, disambiguation: 1 })
    expect(documents.map((document) => document.metadata.title)).toEqual([
      ...['Hello', 'Toronto', 'Duplicate title', 'Duplicate title', 'Big Page', 'Bodmin'],
    ])
  })

  it('books: 54', async () => {
    const { documents, rejects } = await readAll('books', 'books')
    expect(documents).toHaveLength(54)
    expect(rejects).toEqual({})
    const index = readFileSync(join(data, 'books/INDEX.tsv'), 'utf8').trim().split('\n').slice(1)
    const byTitle = (a: string, b: string) => (a < b ? -1 : 1)
    expect(documents.map(({ metadata }) => `${metadata.title}|${metadata.author}`).sort(byTitle)).toEqual(
      index.map((line) => line.split('\t').slice(1, 3).join('|')).sort(byTitle),
    )
    // 45,992,969 bytes unpacked (README); headers, # marks and the like are about 0.3 % of it.
    const bytes = documents.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0)
    expect(bytes).toBeGreaterThan(45_992_969 * 0.985)
    expect(bytes).toBeLessThan(45_992_969)
    for (const { text } of documents) expect(text).not.toMatch(/^#{1,6} |^-{3,}$|^## (?:Author|Year)/m)
  })

  it('WARC captures: 18 HTML pages', async () => {
    // By warcio in Python: iana 16 HTML responses with status 200, 4 with 302; example 1; whirlwind 1.
    const { documents, rejects } = await readAll('warc', '{warc,commoncrawl}/*.warc.gz')
    expect(documents).toHaveLength(18)
    expect(rejects).toEqual({
      'record-warcinfo': 4,
      'record-request': 174,
      'record-revisit': 124,
      'record-metadata': 1,
      'not-html': 28,
      'http-status': 4,
    })
    const escopete = documents.find(({ metadata }) => metadata.url === 'https://an.wikipedia.org/wiki/Escopete')
    expect(escopete?.text).toContain("Escopete ye un municipio d'a provincia de Guadalachara")
    expect(escopete?.metadata).toMatchObject({ language: 'an', charset: 'utf-8' })
    expect(escopete?.text).not.toContain('Menú principal')
  })

  it('WET and WAT', async () => {
    const wet = await readAll('wet', 'commoncrawl/whirlwind.warc.wet.gz')
    expect(wet.documents.map(({ metadata }) => metadata.url)).toEqual(['https://an.wikipedia.org/wiki/Escopete'])
    expect(wet.rejects).toEqual({ 'record-warcinfo': 1 })
    const wat = await readAll('wat', 'commoncrawl/whirlwind.warc.wat.gz')
    expect(wat.rejects).toEqual({ 'record-warcinfo': 1, 'not-a-response': 1 }) // its one record is of a request
  })

  it.each([
    ['jsonl', 'c4-sample', {}, 300],
    ['text', 'wikitext-2/valid.txt.gz', { document: 'wikitext' }, 60],
    ['text', 'wikipedia-plain', { document: 'line' }, 30],
    ['csv', 'sst2', { textField: 'sentence' }, 67_349 + 872],
    ['csv', 'rte/train.tsv.gz', { textField: 'sentence1' }, 2490],
    ['csv', 'mts-dialog', { textField: 'dialogue', idField: 'ID' }, 1201 + 100],
    ['jsonl', 'dialogsum', { textField: 'dialogue' }, 500],
    ['jsonl', 'gsm8k', { textField: 'question' }, 7473],
  ] as const)('%s %s', async (type, path, options, count) => {
    const { documents, rejects } = await readAll(type, path, options)
    expect(documents).toHaveLength(count)
    expect(rejects).toEqual({})
    expect(new Set(documents.map(({ source, id }) => `${source.path} ${id}`)).size).toBe(count)
  })

  const markup = [
    ...[
      '{{',
      '}}',
      '[[',
      ']]',
      '<ref',
      '</ref',
      '{|',
      '|}',
      '|-',
      '&nbsp;',
      '&lt;',
      '&amp;',
      "'''",
      "''",
      '<div',
      '<br',
      '<span',
    ],
    ...['</', '__TOC__', '__NOTOC__', '<!--', '-->', 'http-equiv', '&#', '\u0001', '\u0002', '\u0003', '\u0004'],
  ]
  it.each(['fast', 'faithful'])('no markup in 200 outputs drawn at random, %s', async (mode) => {
    const wiki = (await readAll('wikipedia', dump, { mode })).documents
    const html = (await readAll('warc', '{warc,commoncrawl}/*.warc.gz', { mode })).documents
    const books = (await readAll('books', 'books/*{crane,irving,melville}*', { document: 'chapter' })).documents
    let state = 20_240_601
    const random = () => (state = (state * 1_103_515_245 + 12_345) % 2 ** 31) / 2 ** 31
    const all = [...wiki, ...html]
    const drawn = [...all, ...Array.from({ length: 200 }, () => books[Math.floor(random() * books.length)])].slice(
      0,
      200,
    )
    expect(drawn).toHaveLength(200)
    const left = drawn.flatMap(({ text, id }) =>
      markup.filter((mark) => text.includes(mark)).map((mark) => `${id}: ${mark}`),
    )
    expect(left).toEqual([])
  })
})
