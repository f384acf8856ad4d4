// The Hub source against a server of our own on the loopback address.
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import { parquetWriteBuffer } from 'hyparquet-writer'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { DataError } from '../../core/index.ts'
import { expandPaths, isReject, sources } from './index.ts'

const rows = Array.from({ length: 500 }, (_, index) => `row ${index}`)
const contents: Record<string, Buffer> = {
  'me/lines/data/train-0.jsonl.gz': gzipSync('{"text":"a"}\n{"text":"b"}\n'),
  'me/lines/data/train-1.jsonl': Buffer.from('{"text":"c"}\n'),
  'me/lines/data/test.jsonl': Buffer.from('{"text":"t"}\n'),
  'me/lines/README.md': Buffer.from('# lines'),
  'me/mixed/x.csv': Buffer.from('text\nfrom csv\n'),
  'me/mixed/default/train.parquet': Buffer.from(
    parquetWriteBuffer({ columnData: [{ name: 'text', data: rows, type: 'STRING' }], rowGroupSize: 200 }),
  ),
  'me/code/script.py': Buffer.from('print()'),
}
const seen: string[] = []
let server: Server
let endpoint = ''

beforeAll(async () => {
  server = createServer((request, response) => {
    const url = new URL(request.url ?? '', 'http://x')
    seen.push(`${request.headers.authorization ?? 'anonymous'} ${url.pathname}`)
    const tree = /^\/api\/datasets\/([^/]+\/[^/]+)\/tree\/([^/]+)(?:\/(.*))?$/.exec(url.pathname)
    const file = /^\/datasets\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.*)$/.exec(url.pathname)
    const names = Object.keys(contents)
    if (tree !== null) {
      const found = names.filter((name) => name.startsWith(`${tree[1]}/${tree[3] ?? ''}`))
      response.writeHead(found.length > 0 ? 200 : 404, { 'Content-Type': 'application/json' })
      const entries = found.map((name) => ({
        type: 'file',
        oid: 'o',
        size: contents[name].length,
        path: name.split('/').slice(2).join('/'),
      }))
      response.end(JSON.stringify(found.length > 0 ? entries : { error: 'Repository not found' }))
      return
    }
    const bytes = file === null ? undefined : contents[`${file[1]}/${file[3]}`]
    if (bytes === undefined) {
      response.writeHead(404, { 'X-Error-Code': 'EntryNotFound' }).end()
      return
    }
    const range = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? '')
    const start = Number(range?.[1] ?? 0)
    const end = Math.min(bytes.length - 1, range?.[2] ? Number(range[2]) : bytes.length - 1)
    response.writeHead(range === null ? 200 : 206, {
      ETag: '"e"',
      'Content-Length': end - start + 1,
      ...(range === null ? {} : { 'Content-Range': `bytes ${start}-${end}/${bytes.length}` }),
    })
    response.end(bytes.subarray(start, end + 1))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(() => server.close())

const textsOf = async (path: string, options: Record<string, unknown> = {}) => {
  const config = sources.hub.config.parse({ endpoint, ...options })
  const texts: string[] = []
  const paths = await expandPaths(sources.hub, path, config)
  for (const file of paths) {
    for await (const record of sources.hub.open(file, config, {})) if (!isReject(record)) texts.push(record.text)
  }
  return { texts, paths }
}

it('lists a data set and streams its files in order', async () => {
  const { texts, paths } = await textsOf('me/lines')
  expect(paths).toEqual(
    ['data/test.jsonl', 'data/train-0.jsonl.gz', 'data/train-1.jsonl'].map((file) => `hub://me/lines@main/${file}`),
  )
  expect(texts).toEqual(['t', 'a', 'b', 'c'])
})
it('selects files by name, folder and revision', async () => {
  expect((await textsOf('me/lines', { files: 'train' })).texts).toEqual(['a', 'b', 'c'])
  const { texts, paths } = await textsOf('me/lines@v2/data/train-1.jsonl')
  expect(paths).toEqual(['hub://me/lines@v2/data/train-1.jsonl'])
  expect(texts).toEqual(['c'])
  expect(seen.at(-1)).toContain('/resolve/v2/data/train-1.jsonl')
})
it('prefers Parquet, read by ranges', async () => {
  expect((await textsOf('me/mixed')).texts).toEqual(rows)
})
it('sends the token of the named variable', async () => {
  process.env.TUNESMITH_TEST_TOKEN = 'hf_secret'
  await textsOf('me/mixed', { tokenVariable: 'TUNESMITH_TEST_TOKEN' })
  delete process.env.TUNESMITH_TEST_TOKEN
  expect(seen.at(-1)).toMatch(/^Bearer hf_secret/)
})
it.each(['me/none', 'me/code', 'not an id', '../../etc', 'me/lines@main/none.jsonl'])(
  'throws DataError for %s',
  async (path) => {
    await expect(textsOf(path)).rejects.toThrow(DataError)
  },
)
