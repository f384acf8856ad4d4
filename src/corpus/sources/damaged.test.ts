// Damaged and hostile input, for every source: a clean DataError or a reject that names it; nothing else is lost.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { parquetWriteBuffer } from 'hyparquet-writer'
import { afterAll, describe, expect, it } from 'vitest'
import { createRandom, DataError } from '../../core/index.ts'
import { isReject, type SourceType, sources } from './index.ts'
import type { SourceDefinition, SourceDocument, SourceReject } from './source.ts'

const folder = mkdtempSync(join(tmpdir(), 'sources-'))
afterAll(() => rmSync(folder, { recursive: true }))
let files = 0

const read = async (type: SourceType, bytes: string | Uint8Array, options: Record<string, unknown> = {}) => {
  const path = join(folder, `input-${files++}`)
  writeFileSync(path, bytes)
  const source = sources[type] as unknown as SourceDefinition<unknown>
  const documents: SourceDocument[] = []
  const rejects: SourceReject[] = []
  let error: unknown
  try {
    for await (const record of source.open(path, source.config.parse(options), {})) {
      if (isReject(record)) rejects.push(record)
      else documents.push(record)
    }
  } catch (thrown) {
    error = thrown
  }
  return { documents, rejects, error, path }
}

const page = (title: string, text: string, extra = '') =>
  `<page>\n<title>${title}</title>\n<ns>0</ns>\n<id>7</id>${extra}\n<revision><id>70</id><text xml:space="preserve">${text}</text></revision>\n</page>\n`
const wiki = (...pages: string[]) => `<mediawiki xml:lang="en"><siteinfo/>\n${pages.join('')}</mediawiki>\n`
const record = (type: string, url: string, payload: string | Buffer, length?: number) => {
  const body = Buffer.from(payload)
  const head = `WARC/1.0\r\nWARC-Type: ${type}\r\nWARC-Record-ID: <urn:uuid:${url}>\r\nWARC-Target-URI: ${url}\r\nContent-Length: ${length ?? body.length}\r\n\r\n`
  return Buffer.concat([Buffer.from(head), body, Buffer.from('\r\n\r\n')])
}
const prose =
  'This is a sentence that is long enough to be taken for content, since it has no link in it and ends as sentences do. '.repeat(
    3,
  )
const response = (html: string | Buffer, headers = 'Content-Type: text/html; charset=utf-8') =>
  Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\n${headers}\r\n\r\n`), Buffer.from(html)])
const html = (text: string) => `<html><head><title>T</title></head><body><p>${text}</p></body></html>`

describe('an empty file', () => {
  it.each(Object.keys(sources).filter((type) => type !== 'hub') as SourceType[])('%s', async (type) => {
    const { documents, rejects, error } = await read(type, '')
    expect([documents, rejects]).toEqual([[], []])
    expect(error).toBeInstanceOf(DataError)
    expect((error as Error).message).toMatch(/empty file/)
  })
  it('packed with gzip, too', async () => {
    expect((await read('jsonl', gzipSync(''))).error).toBeInstanceOf(DataError)
  })
})

describe('a truncated gzip stream gives the documents before the cut', () => {
  it('jsonl', async () => {
    const lines = Array.from({ length: 2000 }, (_, index) =>
      JSON.stringify({ text: `document ${index} ${(index * 7919) % 1009}` }),
    )
    const { documents, error } = await read('jsonl', gzipSync(lines.join('\n')).subarray(0, -500))
    expect(error).toBeInstanceOf(DataError)
    expect(documents.length).toBeGreaterThan(1700)
    expect(documents.every((document, index) => document.text.startsWith(`document ${index} `))).toBe(true)
  })
  it('wikipedia', async () => {
    const pages = Array.from({ length: 800 }, (_, index) => page(`P${index}`, `Text ${index} ${(index * 7919) % 1009}`))
    const { documents, rejects, error } = await read('wikipedia', gzipSync(wiki(...pages)).subarray(0, -500))
    expect(error).toBeInstanceOf(DataError)
    expect(documents.length).toBeGreaterThan(700)
    expect(rejects.map(({ reason }) => reason)).toEqual(['broken-xml'])
  })
  it('warc, with the members before it whole', async () => {
    const packed = Buffer.concat(
      [0, 1, 2].map((index) => gzipSync(record('response', `u${index}`, response(html(prose))))),
    )
    const { documents, error } = await read('warc', packed.subarray(0, -30))
    expect(documents.map(({ metadata }) => metadata.url)).toEqual(['u0', 'u1'])
    expect(error).toBeInstanceOf(DataError)
  })
})

describe('wikipedia', () => {
  it('continues after a page without an end', async () => {
    const broken = '<page>\n<title>Cut</title>\n<id>3</id><revision><text>Some'
    const { documents, rejects, error } = await read('wikipedia', wiki(page('A', 'One.'), broken, page('B', 'Two.')))
    expect(error).toBeUndefined()
    expect(documents.map(({ text }) => text)).toEqual(['A\n\nOne.', 'B\n\nTwo.'])
    expect(rejects).toMatchObject([
      { reason: 'broken-xml', source: { offset: wiki(page('A', 'One.')).indexOf('</mediawiki>') } },
    ])
  })
  it('names the page that the file ends in', async () => {
    const { documents, rejects, error } = await read(
      'wikipedia',
      wiki(page('A', 'One.'), page('B', 'Two.')).slice(0, -40),
    )
    expect(error).toBeUndefined()
    expect(documents).toHaveLength(1)
    expect(rejects).toMatchObject([{ reason: 'broken-xml', detail: 'the file ends inside a page' }])
  })
  it('rejects a page without title or text, of another namespace or model, with invalid UTF-8, too large', async () => {
    const invalid = Buffer.from(page('Bad', 'x\u00ff', ''), 'latin1')
    const bytes = Buffer.concat([
      Buffer.from('<mediawiki>'),
      Buffer.from(page('', 'x').replace('<title></title>', '')),
      Buffer.from(page('NoText', 'x').replace(/<text.*<\/text>/, '<text>x')),
      Buffer.from(page('Talk:A', 'x').replace('<ns>0</ns>', '<ns>1</ns>')),
      Buffer.from(page('Module', 'x').replace('<text', '<model>Scribunto</model><text')),
      invalid,
      Buffer.from(page('Big', 'y'.repeat(5000))),
      Buffer.from(page('Nothing', '{{Infobox}}')),
      Buffer.from(page('Good', 'Fine.')),
    ])
    const { documents, rejects } = await read('wikipedia', bytes, { maxPageBytes: 3000 })
    expect(documents.map(({ metadata }) => metadata.title)).toEqual(['Good'])
    expect(rejects.map(({ reason }) => reason)).toEqual([
      ...['broken-xml', 'broken-xml', 'namespace', 'not-wikitext', 'invalid-utf8', 'too-large', 'no-text'],
    ])
  })
  it('names the fault of a file that is no dump', async () => {
    const { error } = await read('wikipedia', 'hello')
    expect((error as Error).message).toMatch(/Expected a MediaWiki XML dump, got a file without <page>/)
  })
  it('reads the last revision of a history, and recognises redirects of old dumps', async () => {
    const history = page('H', 'Old.').replace(
      '</revision>',
      '</revision><revision><id>71</id><text>New.</text></revision>',
    )
    const { documents, rejects } = await read('wikipedia', wiki(history, page('R', '#WEITERLEITUNG [[H]]')))
    expect(documents).toMatchObject([{ text: 'H\n\nNew.', metadata: { revision: 71 } }])
    expect(rejects).toMatchObject([{ reason: 'redirect' }])
  })
})

describe('warc', () => {
  const good = (url: string) => record('response', url, response(html(prose)))
  it.each([
    ['too short a length', (url: string) => record('response', url, response(html(prose)), 60), 'wrong-length'],
    [
      'too long a length, over the next record',
      (url: string) => record('response', url, response(html(prose)), 1500),
      'wrong-length',
    ],
    [
      'a length past the end of the file',
      (url: string) => record('response', url, response(html(prose)), 10_000_000),
      'wrong-length',
    ],
    ['a length of 9 TB', (url: string) => record('response', url, response(html(prose)), 9e12), 'too-large'],
    [
      'no length',
      (url: string) =>
        Buffer.from(
          good(url)
            .toString()
            .replace(/Content-Length: \d+\r\n/, ''),
        ),
      'wrong-length',
    ],
    [
      'a negative length',
      (url: string) =>
        Buffer.from(
          good(url)
            .toString()
            .replace(/Content-Length: \d+/, 'Content-Length: -5'),
        ),
      'wrong-length',
    ],
  ])('continues at the next record after %s', async (_, bad, reason) => {
    const { documents, rejects, error } = await read('warc', Buffer.concat([good('a'), bad('b'), good('c'), good('d')]))
    expect(error).toBeUndefined()
    expect(documents.map(({ metadata }) => metadata.url)).toEqual(['a', 'c', 'd'])
    expect(rejects).toMatchObject([{ reason, source: { offset: good('a').length } }])
  })
  it('continues after a header without an end, and after garbage', async () => {
    const garbage = Buffer.from(`WARC/1.0\r\n${'x'.repeat(100_000)}\r\n`)
    const { documents, rejects } = await read('warc', Buffer.concat([good('a'), garbage, good('b')]))
    expect(documents.map(({ metadata }) => metadata.url)).toEqual(['a', 'b'])
    expect(rejects.map(({ reason }) => reason)).toEqual(['broken-record'])
  })
  it('undoes chunked coding and compression, also where the header lies', async () => {
    const chunked = 'a\r\n<html><bod\r\ne\r\ny><p>Chunked. \r\n'
    const rest = `${prose}</p>`
    const body = `${chunked}${rest.length.toString(16)};x=1\r\n${rest}\r\n0\r\n\r\n`
    const type = 'Content-Type: text/html\r\n'
    const { documents } = await read(
      'warc',
      Buffer.concat([
        record('response', 'chunked', response(body, `${type}Transfer-Encoding: chunked`)),
        record('response', 'notchunked', response(html(prose), `${type}Transfer-Encoding: chunked`)),
        record('response', 'gzip', response(gzipSync(html(prose)), `${type}Content-Encoding: gzip`)),
        record(
          'response',
          'gzipcut',
          response(gzipSync(html(prose + Math.PI)).subarray(0, -8), `${type}Content-Encoding: gzip`),
        ),
        record('response', 'notgzip', response(html(prose), `${type}Content-Encoding: gzip`)),
      ]),
    )
    expect(documents.map(({ metadata }) => metadata.url)).toEqual([
      'chunked',
      'notchunked',
      'gzip',
      'gzipcut',
      'notgzip',
    ])
    expect(documents[0].text).toMatch(/^Chunked\. This is a sentence/)
  })
  it('counts captures that are not HTTP as not-html', async () => {
    const dns = record('response', 'dns:example.com', '20260101\nexample.com.\t300\tIN\tA\t192.0.2.1\n')
    const typed = Buffer.from(dns.toString().replace('\r\n\r\n', '\r\nContent-Type: text/dns\r\n\r\n'))
    const { documents, rejects } = await read('warc', Buffer.concat([typed, dns, good('a')]))
    expect(documents.map(({ metadata }) => metadata.url)).toEqual(['a'])
    expect(rejects.map(({ reason }) => reason)).toEqual(['not-html', 'broken-http'])
  })
  it('rejects a body that unpacks to too much', async () => {
    const bomb = gzipSync(Buffer.alloc(50_000_000))
    const { documents, rejects } = await read(
      'warc',
      record('response', 'bomb', response(bomb, 'Content-Type: text/html\r\nContent-Encoding: gzip')),
    )
    expect(documents).toEqual([])
    expect(rejects).toMatchObject([{ reason: 'too-large' }])
  })
  it('reads records that end lines with LF alone', async () => {
    const { documents } = await read(
      'warc',
      good('lf')
        .toString()
        .replaceAll('\r\n', '\n')
        .replace(/Content-Length: (\d+)/, (_, length) => `Content-Length: ${length - 3}`),
    )
    expect(documents.map(({ metadata }) => metadata.url)).toEqual(['lf'])
  })
})

describe('jsonl', () => {
  it('rejects what is no document and keeps the rest', async () => {
    const lines = [
      '{"text":"a"}',
      '{"text":',
      '[1]',
      '{"body":"x"}',
      '{"text":" "}',
      '',
      '{"text":"b","id":"x","n":1,"flag":true,"list":[1]}',
    ]
    const bytes = Buffer.concat([
      Buffer.from(`${lines.join('\n')}\n`),
      Buffer.from([0x7b, 0xff, 0x7d, 10]),
      Buffer.from('{"text":"c"}'),
    ])
    const { documents, rejects } = await read('jsonl', bytes)
    expect(documents.map(({ text, id }) => [text, id])).toEqual([
      ['a', '1'],
      ['b', 'x'],
      ['c', '9'],
    ])
    expect(documents[1].metadata).toEqual({ id: 'x', n: 1, flag: 1 })
    expect(rejects.map(({ reason }) => reason)).toEqual([
      'broken-json',
      'not-an-object',
      'no-text-field',
      'empty',
      'invalid-utf8',
    ])
    expect(rejects[0]).toMatchObject({ source: { offset: 13 }, detail: expect.stringContaining('line 2') })
  })
  it('rejects a line of 200 MB in bounded memory and continues', async () => {
    const member = gzipSync(Buffer.alloc(1 << 24, 'a'))
    const bytes = Buffer.concat([
      gzipSync('{"text":"a"}\n'),
      ...Array.from({ length: 12 }, () => member),
      gzipSync('\n{"text":"b"}'),
    ])
    const { documents, rejects } = await read('jsonl', bytes, { maxLineBytes: 1 << 20 })
    expect(documents.map(({ text }) => text)).toEqual(['a', 'b'])
    expect(rejects).toMatchObject([{ reason: 'too-large', detail: `line 2 of ${12 * 2 ** 24} bytes` }])
  })
  it('makes lone surrogates harmless', async () => {
    expect((await read('jsonl', '{"text":"a\\ud800b"}')).documents[0].text).toBe('a\ufffdb')
  })
})

describe('csv', () => {
  it('reads quoted delimiters, quotes and line breaks', async () => {
    const { documents, rejects } = await read('csv', 'id,text,k\r\n1,"a, ""b""\r\nc",x\r\n2,plain,y\r\n')
    expect(rejects).toEqual([])
    expect(documents.map(({ text, id, metadata }) => [text, id, metadata.k])).toEqual([
      ['a, "b"\nc', '1', 'x'],
      ['plain', '2', 'y'],
    ])
  })
  it('loses one line to a quote that is never closed', async () => {
    const lines = ['text,n', 'one,1', '"two,2', ...Array.from({ length: 500 }, (_, index) => `row ${index},${index}`)]
    const { documents, rejects } = await read('csv', lines.join('\n'), { maxRecordBytes: 2000 })
    expect(rejects).toMatchObject([{ reason: 'unclosed-quote', detail: 'line 3' }])
    expect(documents).toHaveLength(501)
  })
  it('loses one line to a quote that the next quoted field closes', async () => {
    const { documents, rejects } = await read('csv', 'text,n\n"one",1\n"two,2\n"three",3\n"four",4\n')
    expect(rejects).toMatchObject([{ reason: 'unclosed-quote', detail: 'line 3' }])
    expect(documents.map(({ text }) => text)).toEqual(['one', 'three', 'four'])
  })
  it('reads quotes literally with tabs, and counts ragged rows', async () => {
    const { documents, rejects } = await read('csv', 'text\tn\n"so\t1\nshort\nit is 5" wide\t2\n')
    expect(documents.map(({ text }) => text)).toEqual(['"so', 'it is 5" wide'])
    expect(rejects).toMatchObject([{ reason: 'wrong-columns' }])
  })
  it('names the columns when the text column is missing', async () => {
    expect(((await read('csv', 'a,b\n1,2\n')).error as Error).message).toMatch(
      /Expected a column "text" for `textField`, got a, b\./,
    )
  })
  it('guesses semicolons, reads files without a header', async () => {
    const { documents } = await read('csv', 'x;1\ny;2\n', { header: false, textField: '0', idField: '1' })
    expect(documents.map(({ text, id }) => [text, id])).toEqual([
      ['x', '1'],
      ['y', '2'],
    ])
  })
})

describe('text', () => {
  it('reads files, lines and blocks, with offsets', async () => {
    const bytes = 'One\ntwo\n\n\nThree\n'
    expect((await read('text', bytes)).documents.map(({ text }) => text)).toEqual(['One\ntwo\n\nThree'])
    expect(
      (await read('text', bytes, { document: 'line' })).documents.map(({ text, source }) => [text, source.offset]),
    ).toEqual([
      ['One', 0],
      ['two', 4],
      ['Three', 10],
    ])
    expect((await read('text', bytes, { document: 'block' })).documents.map(({ text }) => text)).toEqual([
      'One\ntwo',
      'Three',
    ])
  })
  it('cuts a long file at lines and loses none of it', async () => {
    const lines = Array.from({ length: 1000 }, (_, index) => `line ${index}`)
    const { documents } = await read('text', lines.join('\n'), { maxDocumentBytes: 500 })
    expect(documents.length).toBeGreaterThan(15)
    expect(documents.map(({ text }) => text).join('\n')).toBe(lines.join('\n'))
    expect(new Set(documents.map(({ id }) => id)).size).toBe(documents.length)
  })
  it('rejects binary data', async () => {
    const random = createRandom(5)
    const bytes = Uint8Array.from({ length: 20_000 }, () => random.integer(256))
    const { documents, rejects } = await read('text', bytes)
    expect(documents).toEqual([])
    expect(rejects).toMatchObject([{ reason: 'not-text', source: { offset: 0 } }])
    const zeros = await read('text', new Uint8Array(5000))
    expect(zeros.documents).toEqual([])
  })
  it('reads Windows-1252 and UTF-16, and rejects broken UTF-8', async () => {
    expect((await read('text', Buffer.from('caf\u00e9 \u0093x\u0094', 'latin1'))).documents).toMatchObject([
      { text: 'café “x”', metadata: { charset: 'windows-1252' } },
    ])
    expect((await read('text', Buffer.from('\ufeffhé', 'utf16le'))).documents[0].text).toBe('hé')
    const broken = Buffer.concat([Buffer.from('é'.repeat(50)), Buffer.from([0xff]), Buffer.from('é')])
    expect((await read('text', broken)).rejects).toMatchObject([{ reason: 'invalid-utf8' }])
  })
})

describe('parquet', () => {
  const rows = Array.from({ length: 10_000 }, (_, index) => `row ${index}`)
  const packed = new Uint8Array(
    parquetWriteBuffer({
      columnData: [
        { name: 'text', data: rows, type: 'STRING' },
        { name: 'n', data: rows.map((_, index) => index), type: 'INT32' },
      ],
      rowGroupSize: 3000,
    }),
  )
  it('reads rows of several groups, in order', async () => {
    const { documents, error } = await read('parquet', packed)
    expect(error).toBeUndefined()
    expect(documents.map(({ text }) => text)).toEqual(rows)
    expect(documents[7001]).toMatchObject({ id: '7001', metadata: { n: 7001 }, source: { offset: 7001 } })
    expect((await read('parquet', packed, { metadata: false })).documents[5]).toMatchObject({
      text: 'row 5',
      metadata: {},
    })
  })
  it('throws DataError for a cut file, a damaged page, a missing column', async () => {
    expect((await read('parquet', packed.subarray(0, -100))).error).toBeInstanceOf(DataError)
    const bad = Uint8Array.from(packed)
    bad.fill(0x77, 10_000, 10_400)
    const damaged = await read('parquet', bad)
    if (damaged.error !== undefined) expect(damaged.error).toBeInstanceOf(DataError)
    expect(((await read('parquet', packed, { textField: 'body' })).error as Error).message).toMatch(/got text, n\./)
  })
  it('reads everything or throws, for damage at any byte', async () => {
    const whole = readFileSync(join(import.meta.dirname, '../../../tests/tasks/golden/answers.parquet'))
    const { documents } = await read('parquet', whole, { textField: 'question' })
    const counts = { read: 0, refused: 0 }
    for (let i = 0; i < 120; i++) {
      const damaged = i % 4 === 0 ? whole.subarray(0, (whole.length * i) / 120) : Buffer.from(whole)
      if (i % 4 !== 0) damaged[(i * 7919) % whole.length] ^= 1 << (i % 8)
      const result = await read('parquet', damaged, { textField: 'question' })
      if (result.error === undefined) expect(result.documents.length + result.rejects.length).toBe(documents.length)
      else expect(result.error, (result.error as Error).stack).toBeInstanceOf(DataError)
      counts[result.error === undefined ? 'read' : 'refused']++
    }
    expect(counts.refused).toBeGreaterThan(30)
    expect(counts.read).toBeGreaterThan(0)
  })
  it('refuses a column that the schema lacks before it reads another one, whose error nobody would catch', async () => {
    const numbers = Array.from({ length: 100 }, (_, index) => index)
    const damaged = Buffer.from(
      parquetWriteBuffer({
        columnData: [
          { name: 'text', data: numbers.map((n) => `row ${n}`), type: 'STRING' },
          { name: 'number', data: numbers, type: 'INT32' },
        ],
      }),
    )
    damaged.fill(0x77, 4, 60)
    damaged[damaged.lastIndexOf('number') + 5] ^= 1
    const { error } = await read('parquet', damaged)
    expect(error).toBeInstanceOf(DataError)
    expect((error as Error).message).toMatch(/its columns are not those of its schema/)
  })
  it('refuses a row group with a wrong number of rows', async () => {
    const golden = readFileSync(join(import.meta.dirname, '../../../tests/tasks/golden/answers.parquet'))
    // Bits of the footer that were found by trying all.
    for (const [at, bit] of [
      [1089, 7],
      [1091, 0],
      [1091, 1],
      [1091, 6],
    ]) {
      const damaged = Buffer.from(golden)
      damaged[at] ^= 1 << bit
      expect((await read('parquet', damaged, { textField: 'question' })).error).toBeInstanceOf(DataError)
    }
  })
})

describe('books', () => {
  it('rejects what is no text', async () => {
    expect((await read('books', Buffer.from([0x50, 0x4b, 0, 0, 1]))).rejects).toMatchObject([{ reason: 'not-text' }])
    expect((await read('books', 'x'.repeat(5000), { maxBookBytes: 1000 })).rejects).toMatchObject([
      { reason: 'too-large' },
    ])
  })
})
