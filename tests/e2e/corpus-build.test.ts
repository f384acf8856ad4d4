// `corpus build` on real text: expected counts, damaged inputs named with nothing else lost, a planted test item found
// and removed; then `corpus inspect` and `corpus worker` on the result. All through the command line.

import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type CorpusDocument, type CorpusManifest, type Inspection, readCorpus } from '../../src/corpus/index.ts'
import { type CliResult, runCli, temporaryFolder } from './corpus-fixture.ts'

const data = join(import.meta.dirname, '../../../shared/data')
const dump = join(data, 'wikipedia-dump/enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2')
const bookNames = [
  'herman-melville_bartleby-the-scrivener',
  'lewis-carroll_through-the-looking-glass',
  'stephen-crane_the-blue-hotel',
]

interface DropLine {
  id: string | null
  source: { kind: string; path: string; offset: number }
  stage: string
  reason: string
  detail?: string
}

describe.skipIf(!existsSync(data))('corpus build on real text (skipped where ../shared/data is absent)', () => {
  const folder = temporaryFolder('corpus')
  const out = join(folder.path, 'corpus')
  const damaged = join(folder.path, 'damaged')
  const testSet = join(folder.path, 'questions.jsonl')
  const lost = {
    dump: join(damaged, 'cut.xml.bz2'),
    lines: join(damaged, 'cut.jsonl.gz'),
    empty: join(damaged, 'empty.jsonl'),
  }
  const lines = Array.from(
    { length: 400 },
    (_, index) => `Line ${index}: ${'some words of a sentence that goes on. '.repeat(8)}${index}`,
  )
  const planted =
    'he was the scribe who answered every reasonable request of his employer with the same five mild words'
  let result: CliResult
  let built: { manifest: CorpusManifest; report: Inspection['report'] }
  let documents: CorpusDocument[]
  let drops: DropLine[]

  beforeAll(async () => {
    mkdirSync(damaged)
    const whole = readFileSync(dump)
    writeFileSync(lost.dump, whole.subarray(0, 900_000))
    const json = gzipSync(lines.map((text) => JSON.stringify({ text })).join('\n'))
    writeFileSync(lost.lines, json.subarray(0, json.length - 200))
    writeFileSync(lost.empty, '')
    const bytes = Buffer.from(
      `{"text":"good: ${'a sentence of some length stands here. '.repeat(8)}"}\n{"text":"bad \xff"}\n`,
      'latin1',
    )
    writeFileSync(join(damaged, 'invalid.jsonl'), bytes)
    const books = join(folder.path, 'books')
    mkdirSync(books)
    for (const name of bookNames) copyFileSync(join(data, 'books', `${name}.md.gz`), join(books, `${name}.md.gz`))
    const bartleby = join(books, `${bookNames[0]}.md.gz`)
    const text = gunzipSync(readFileSync(bartleby)).toString()
    const middle = text.indexOf('\n', text.length / 2)
    writeFileSync(bartleby, gzipSync(`${text.slice(0, middle)}\n\nI may say that ${planted}.\n\n${text.slice(middle)}`))
    writeFileSync(testSet, `${JSON.stringify({ question: planted, answer: 'Bartleby' })}\n`)
    result = await runCli([
      ...['corpus', 'build', '--json', '--out', out, '--workers', '2', '--filter', 'length', 'language:languages='],
      ...['--source', `wikipedia:${dump}`, `books:${books}`, `warc:${join(data, 'warc')}`],
      ...[
        `wet:${join(data, 'commoncrawl/whirlwind.warc.wet.gz')}`,
        `jsonl:${join(data, 'c4-sample/c4_demo.jsonl.gz')}`,
      ],
      ...[`jsonl:${damaged}`, `wikipedia:${lost.dump}`, '--decontaminate', testSet],
    ])
    expect(result.stderr).not.toMatch(/error/i)
    expect(result.code).toBe(0)
    built = JSON.parse(result.stdout) as typeof built
    documents = []
    for await (const document of readCorpus(out, { verify: true })) documents.push(document)
    drops = built.manifest.dropped.flatMap(({ path }) =>
      gunzipSync(readFileSync(join(out, path)))
        .toString()
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as DropLine),
    )
  })
  afterAll(() => folder.dispose())

  /** Documents that a path gave, kept or dropped later, and its rejects by reason. */
  function readFrom(path: string) {
    const kept = new Set(documents.filter(({ source }) => source.path === path).map(({ source }) => source.offset))
    const mine = drops.filter(({ source }) => source.path.startsWith(path))
    const rejects: Record<string, number> = {}
    for (const { id, reason } of mine) if (id === null) rejects[reason] = (rejects[reason] ?? 0) + 1
    return { documents: kept.size + mine.filter(({ id }) => id !== null).length, rejects }
  }

  it('reads the dump: 206 pages, 100 redirects, 8 disambiguation pages', () => {
    expect(readFrom(dump)).toEqual({ documents: 98, rejects: { redirect: 100, disambiguation: 8 } })
  })

  it('reads the books, the captures and the C4 sample', () => {
    for (const name of bookNames) {
      expect(readFrom(join(folder.path, 'books', `${name}.md.gz`))).toEqual({ documents: 1, rejects: {} })
    }
    expect(readFrom(join(data, 'c4-sample/c4_demo.jsonl.gz'))).toEqual({ documents: 300, rejects: {} })
    expect(readFrom(join(data, 'commoncrawl/whirlwind.warc.wet.gz')).documents).toBe(1)
    const iana = readFrom(join(data, 'warc/iana.warc.gz'))
    expect(iana.documents).toBeGreaterThanOrEqual(15)
    expect(iana.rejects).toMatchObject({ 'not-html': 28, 'record-revisit': 123 })
  })

  it('accounts for every document and every byte from stage to stage', () => {
    const { stages } = built.manifest
    for (const [index, { documentsIn, documentsOut, added, dropped, bytesIn }] of stages.entries()) {
      const drop = Object.values(dropped).reduce((sum, count) => sum + count, 0)
      expect(documentsIn + added - drop).toBe(documentsOut)
      if (index === 0) continue
      expect(documentsIn).toBe(stages[index - 1]!.documentsOut)
      expect(bytesIn).toBe(stages[index - 1]!.bytesOut)
    }
    expect(stages.at(-1)!.documentsOut).toBe(documents.length)
    expect(stages.at(-1)!.bytesOut).toBe(documents.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0))
    expect(stages[0]!.bytesIn).toBe(built.manifest.inputs.reduce((sum, { bytes }) => sum + bytes, 0))
    expect(drops).toHaveLength(
      stages.flatMap(({ dropped }) => Object.values(dropped)).reduce((sum, count) => sum + count, 0),
    )
  })

  it('names damaged inputs, and loses nothing before the damage or beside it', () => {
    const { damaged: found } = built.report
    expect(found.map(({ path }) => path).sort()).toEqual([lost.dump, lost.empty, lost.lines].sort())
    const records = Object.fromEntries(found.map(({ path, recordsBefore }) => [path, recordsBefore]))
    // bzip2 has blocks of 900 kB of text, of which the cut file holds some; gzip gives all but its last bytes.
    expect(records[lost.dump]).toBeGreaterThan(20)
    expect(records[lost.lines]).toBeGreaterThan(350)
    expect(records[lost.empty]).toBe(0)
    const invalid = readFrom(join(damaged, 'invalid.jsonl'))
    expect(invalid).toEqual({ documents: 1, rejects: { 'invalid-utf8': 1 } })
  })

  it('drops the pages of the cut dump that are in the whole one', () => {
    const again = drops.filter(({ source, stage }) => source.path === lost.dump && stage === 'dedup-exact')
    expect(again.length).toBeGreaterThan(10)
    expect(documents.filter(({ source }) => source.path === lost.dump)).toEqual([])
    expect(again[0]!.detail).toContain(`kept ${dump}#`)
  })

  it('finds the planted test item and cuts it out, and nothing else of the book', () => {
    expect(documents.some(({ text }) => text.includes('answered every reasonable request'))).toBe(false)
    const pieces = documents.filter(({ source }) => source.path.includes('bartleby'))
    expect(pieces.map(({ id }) => id.slice(-2))).toEqual(['/0', '/1'])
    expect(pieces[0]!.text).toContain('I am a rather elderly man')
    expect(pieces[1]!.text).toContain('Ah Bartleby! Ah humanity!')
    const { contamination } = built.report
    expect(contamination!.testSets).toMatchObject([{ name: 'questions.jsonl', itemsFound: 1, documents: 1 }])
    expect(contamination!.overlaps).toMatchObject([{ action: 'cut', item: '1', field: 'question' }])
  })

  it('labels languages and keeps samples of what it dropped', () => {
    expect(built.report.statistics.languages.en).toBeGreaterThan(350)
    const short = built.report.samples.filter(
      ({ stage, reason }) => stage === 'length' && reason === 'too-few-characters',
    )
    expect(short).toHaveLength(3)
    for (const { excerpt, id, source } of short) {
      expect(excerpt.length).toBeLessThan(200)
      expect(id).toContain(source.path)
    }
  })

  it('is shown by corpus inspect, as text and as JSON', async () => {
    const [text, json] = await Promise.all([
      runCli(['corpus', 'inspect', out]),
      runCli(['corpus', 'inspect', out, '--json', '--verify']),
    ])
    for (const word of [
      'Stages',
      'Lengths in characters',
      'Languages',
      'Damaged inputs: 3',
      'questions.jsonl',
      'redirect',
      '█',
    ]) {
      expect(text.stdout).toContain(word)
    }
    const inspection = JSON.parse(json.stdout) as Inspection
    expect(json.code).toBe(0)
    expect(inspection.damagedFiles).toEqual([])
    expect(inspection.documents).toHaveLength(3)
    const part = join(out, readdirSync(out).find((name) => name.startsWith('data-'))!, 'part-00000.jsonl.gz')
    const bytes = readFileSync(part)
    bytes[bytes.length >> 1]! ^= 1
    writeFileSync(part, bytes)
    const broken = await runCli(['corpus', 'inspect', out, '--verify'])
    expect(broken.code).toBe(1)
    expect(broken.stdout).toMatch(/missing or damaged\s+data-\w+\/part-00000/)
  })

  it('feeds corpus worker, which answers line by line and reports faults by its exit code', async () => {
    const input = documents.slice(0, 50).map((document) => JSON.stringify(document))
    const args = ['corpus', 'worker', '--stage', 'filter', '--filter', 'length:minCharacters=2000']
    const clean = await runCli(args, { input: input.join('\n') })
    expect(clean.code).toBe(0)
    const answers = clean.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { id: string; dropped?: object })
    expect(answers.map(({ id }) => id)).toEqual(documents.slice(0, 50).map(({ id }) => id))
    const long = documents.slice(0, 50).filter(({ text }) => [...text].length >= 2000)
    expect(answers.filter(({ dropped }) => dropped === undefined)).toHaveLength(long.length)
    const faulty = await runCli(args, { input: `${input[0]}\nnot json\n${input[1]}\n` })
    expect(faulty.code).toBe(1)
    expect(JSON.parse(faulty.stdout.split('\n')[1]!)).toMatchObject({ error: { line: 2 } })
  })
})
