import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createRandom, DataError } from '../../core/index.ts'
import {
  createDeduplicator,
  type DedupDocument,
  type DeduplicatorType,
  type DocumentDrop,
  deduplicators,
  type FindReport,
  normalizeUrl,
  readDocumentDrops,
  readLineDrops,
  removeLines,
} from './index.ts'

let folder: string
let runs = 0
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dedup-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const document = (id: string, text: string, metadata = {}): DedupDocument => ({ id, text, metadata })

interface Options {
  config?: object
  threads?: number
  memoryMegabytes?: number
  exclude?: string[]
}

/** Runs a deduplicator over documents grouped by key file. */
const find = async (type: DeduplicatorType, shards: DedupDocument[][], options: Options = {}) => {
  const { config = {}, threads = 2, memoryMegabytes = 256, exclude } = options
  const run = join(folder, String(runs++))
  const tool = createDeduplicator(deduplicators[type], config, type)
  const files: string[] = []
  for (const [i, documents] of shards.entries()) {
    const path = `${run}-it's ${i}.parquet`
    const writer = tool.createWriter(path)
    for (const [row, one] of documents.entries()) writer.add(row, one)
    await writer.close()
    files.push(path)
  }
  const output = `${run}-drops.parquet`
  const report = await tool.find({ files, output, threads, memoryMegabytes, temporaryFolder: `${run}-work`, exclude })
  return { report, output }
}

const documentDrops = async (output: string): Promise<DocumentDrop[]> => {
  const all: DocumentDrop[] = []
  for await (const batch of readDocumentDrops(output)) all.push(...batch)
  return all
}

/** `dropped<kept` for each drop. */
const pairs = async ({ output }: { output: string; report: FindReport }): Promise<string[]> =>
  (await documentDrops(output)).map(({ id, keptId }) => `${id}<${keptId}`)

describe('exact', () => {
  const shards = [
    [document('a', 'One text.'), document('b', 'Another text.'), document('c', 'one  TEXT')],
    [document('d', 'One text.'), document('e', 'Another text.', { qualityScore: 1 }), document('f', 'One text.')],
  ]

  it('keeps the first of equal texts and names it', async () => {
    const result = await find('exact', shards)
    expect(await pairs(result)).toEqual(['d<a', 'e<b', 'f<a'])
    expect(result.report).toEqual({ considered: 6, clusters: 2, dropped: 3 })
    const [first] = await documentDrops(result.output)
    expect(first).toEqual({ shard: 1, row: 0, id: 'd', keptShard: 0, keptRow: 0, keptId: 'a', clusterSize: 3 })
  })

  it('compares by words when told, and keeps the best or the longest', async () => {
    expect(await pairs(await find('exact', shards, { config: { compare: 'words' } }))).toEqual([
      'c<a',
      'd<a',
      'e<b',
      'f<a',
    ])
    expect(await pairs(await find('exact', shards, { config: { keep: 'score' } }))).toEqual(['b<e', 'd<a', 'f<a'])
    const byLength = await find('exact', [[document('x', 'a b'), document('y', 'a   b!!')]], {
      config: { compare: 'words', keep: 'longest' },
    })
    expect(await pairs(byLength)).toEqual(['x<y'])
  })

  it('leaves out what an earlier deduplicator dropped', async () => {
    const first = await find('exact', shards)
    expect((await find('exact', shards, { exclude: [first.output] })).report.dropped).toBe(0)
  })

  it('accepts empty files and empty lists', async () => {
    expect((await find('exact', [[], [document('a', 'x')], []])).report.considered).toBe(1)
    expect(await pairs(await find('near', [[], []]))).toEqual([])
    expect(await pairs(await find('near', []))).toEqual([])
    expect((await find('exact', [])).report).toEqual({ considered: 0, clusters: 0, dropped: 0 })
  })

  it('leaves no file after abort, and names damaged key files', async () => {
    const tool = createDeduplicator(deduplicators.exact, {}, 'exact')
    const path = join(folder, 'given-up.parquet')
    const writer = tool.createWriter(path)
    writer.add(0, document('a', 'x'))
    await writer.abort()
    expect(readdirSync(folder).filter((name) => name.startsWith('given-up'))).toEqual([])
    const options = { output: join(folder, 'none.parquet'), threads: 1, memoryMegabytes: 128 }
    for (const content of ['', 'not Parquet at all, but long enough to look', 'PAR1aaaaaaaaaaaaaaaaaaaaaPAR1']) {
      writeFileSync(path, content)
      const temporaryFolder = join(folder, 'damaged')
      await expect(tool.find({ ...options, files: [path], temporaryFolder })).rejects.toThrow(DataError)
      expect(existsSync(temporaryFolder)).toBe(false)
    }
    await expect(tool.find({ ...options, files: ['/no/such'], temporaryFolder: join(folder, 'd') })).rejects.toThrow(
      DataError,
    )
  })

  it('rejects a misspelt option', () => {
    expect(() => createDeduplicator(deduplicators.exact, { kep: 'first' }, 'dedup.exact')).toThrow(/kep.*keep/s)
  })
})

describe('url', () => {
  it.each([
    ['https://www.Example.com/a/?utm_source=x&id=1#top', '//example.com/a?id=1'],
    ['http://example.com:80/a?id=1', '//example.com/a?id=1'],
    ['example.com/a/', '//example.com/a'],
    ['ftp://example.com/a', 'ftp://example.com/a'],
    ['not an address', 'not an address'],
  ])('normalizes %s', (address, expected) => expect(normalizeUrl(address)).toBe(expected))

  it('keeps one document an address and leaves those without', async () => {
    const documents = [
      document('a', '1', { url: 'http://example.com/x' }),
      document('b', '2', { url: 'https://www.example.com/x/#y' }),
      document('c', '3'),
      document('d', '4'),
    ]
    expect(await pairs(await find('url', [documents]))).toEqual(['b<a'])
    expect(await pairs(await find('url', [documents], { config: { normalize: false } }))).toEqual([])
  })
})

describe('lines', () => {
  it('cuts repeated lines from all but the first document', async () => {
    const texts = [
      'Home | About\nA first story.\n\nAll rights reserved 2019',
      'Home | About\nA second story.\nAll rights reserved 2020\nHome | About',
    ]
    const { output, report } = await find('lines', [[document('a', texts[0])], [document('b', texts[1])]])
    const drops: unknown[] = []
    for await (const drop of readLineDrops(output)) drops.push(drop)
    // Years count as equal; the empty line is never a line to cut.
    expect(drops).toEqual([{ shard: 1, row: 0, lines: [0, 2, 3] }])
    expect(removeLines(texts[1], [0, 2, 3])).toBe('A second story.')
    expect(report).toEqual({ considered: 7, clusters: 2, dropped: 3 })
  })

  it('spares short and rare lines when told', async () => {
    const shards = [
      ['Yes.\nLong enough to count', 'Yes.\nLong enough to count'].map((text, i) => document(`${i}`, text)),
    ]
    expect((await find('lines', shards, { config: { minWords: 2 } })).report.dropped).toBe(1)
    expect((await find('lines', shards, { config: { minCount: 3 } })).report.dropped).toBe(0)
    expect((await find('lines', shards, { config: { keepFirst: false } })).report.dropped).toBe(4)
  })
})

describe('near', () => {
  const random = createRandom(5)
  // Letters only: figures do not count in the comparison.
  const word = (n: number) =>
    String.fromCharCode(97 + (n % 26), 97 + (Math.floor(n / 26) % 26), 97 + Math.floor(n / 676))
  const words = (count: number) => Array.from({ length: count }, () => word(random.integer(5000)))
  const replaced = (text: string[], times: number, mark: string) => {
    const copy = [...text]
    for (let i = 0; i < times; i++) copy[random.integer(copy.length)] = mark + word(i)
    return copy
  }

  it('finds chains transitively and keeps by the rule', async () => {
    const a = words(400)
    const b = replaced(a, 5, 'b')
    const c = replaced(b, 5, 'c')
    const shards = [
      [document('a', a.join(' '), { qualityScore: 0.1 }), document('other', words(400).join(' '))],
      [document('b', b.join(' '), { qualityScore: 0.9 }), document('c', `${c.join(' ')} and a little more`)],
    ]
    expect(await pairs(await find('near', shards))).toEqual(['b<a', 'c<a'])
    expect(await pairs(await find('near', shards, { config: { keep: 'longest' } }))).toEqual(['a<c', 'b<c'])
    expect(await pairs(await find('near', shards, { config: { keep: 'score' } }))).toEqual(['a<b', 'c<b'])
  })

  it('gives the same drops for any number of threads and memory limit', async () => {
    const documents: DedupDocument[] = []
    for (let i = 0; i < 300; i++) {
      const text = words(100)
      documents.push(document(`${i}`, text.join(' ')))
      for (let copy = random.integer(4); copy > 0; copy--) {
        documents.push(document(`${i}-${copy}`, replaced(text, copy, 'r').join(' ')))
      }
    }
    random.shuffle(documents)
    const shards = [documents.slice(0, 100), documents.slice(100, 101), documents.slice(101)]
    const one = await find('near', shards, { threads: 1, memoryMegabytes: 128 })
    const two = await find('near', shards, { threads: 4, memoryMegabytes: 1024 })
    expect(one.report.dropped).toBeGreaterThan(200)
    expect(two.report).toEqual(one.report)
    // No stranger is taken for a duplicate: what stays is of the family of what goes.
    const family = (id: string) => id.split('-')[0]
    for (const { id, keptId } of await documentDrops(one.output)) expect(family(id)).toBe(family(keptId))
    expect(await documentDrops(two.output)).toEqual(await documentDrops(one.output))
  })

  it('leaves texts without words alone', async () => {
    expect((await find('near', [[document('a', ''), document('b', '—'), document('c', '')]])).report.considered).toBe(0)
  })
})
