// Text out of a wiki dump and out of HTML captures, beside the Python tools in one run: pages or MB a second, processor
// seconds, and how far the texts agree, word by word.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodeHtmlBytes } from '../src/corpus/extract/charset.ts'
import { extractHtml } from '../src/corpus/extract/html/index.ts'
import { extractWikitext } from '../src/corpus/extract/wikitext/index.ts'
import { isReject, sources } from '../src/corpus/sources/index.ts'
import { parseHttpResponse, readWarc } from '../src/corpus/sources/warc-records.ts'
import { ByteReader, openBytes } from '../src/files/index.ts'
import type { BenchOptions } from './main.ts'
import { dataFolder, median, peersPython, printTable, runJson } from './side-by-side.ts'

type Texts = Record<string, string>

interface Measured {
  name: string
  seconds: number[]
  cpuSeconds: number[]
  texts: Texts
}

const dumpName = 'enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2'

async function measure(
  name: string,
  rounds: number,
  warmUps: number,
  work: () => Texts | Promise<Texts>,
): Promise<Measured> {
  const measured: Measured = { name, seconds: [], cpuSeconds: [], texts: {} }
  for (let round = -warmUps; round < rounds; round++) {
    const cpu = process.cpuUsage()
    const started = performance.now()
    measured.texts = await work()
    if (round < 0) continue
    measured.seconds.push((performance.now() - started) / 1000)
    const { user, system } = process.cpuUsage(cpu)
    measured.cpuSeconds.push((user + system) / 1e6)
  }
  return measured
}

async function measurePeer(
  python: string | undefined,
  job: string,
  input: string,
  rounds: number,
): Promise<Measured | undefined> {
  if (python === undefined) return undefined
  const folder = mkdtempSync(join(tmpdir(), 'extract-'))
  try {
    const out = join(folder, 'texts.json')
    const script = join(import.meta.dirname, 'peers', 'corpus_extract.py')
    const arguments_ = [script, '--job', job, '--input', input, '--out', out, '--rounds', String(rounds)]
    const row = await runJson<{ version: string; seconds: number[]; cpuSeconds: number[] }>(python, arguments_)
    const texts = JSON.parse(readFileSync(out, 'utf8')) as Texts
    return { name: `${job} ${row.version}`, seconds: row.seconds, cpuSeconds: row.cpuSeconds, texts }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** Texts of the dump's articles by page id, through the whole source: file, bzip2, XML, wikitext. */
async function readDump(path: string, mode: 'fast' | 'faithful'): Promise<Texts> {
  const texts: Texts = {}
  const config = sources.wikipedia.config.parse({ mode, title: false, disambiguation: 'keep', namespaces: [0, 4] })
  for await (const record of sources.wikipedia.open(path, config, {})) {
    if (!isReject(record)) texts[record.id] = record.text
  }
  return texts
}

interface DumpSize {
  pages: number
  bytes: number
  /** Wikitext of the pages that are no redirects, by id. */
  articles: [string, string][]
}

async function sizeOfDump(path: string): Promise<DumpSize> {
  const reader = new ByteReader(openBytes({ path }))
  while (await reader.fill());
  const xml = reader.peek().toString('utf8')
  const names: Record<string, string> = { lt: '<', gt: '>', amp: '&', quot: '"' }
  const articles: [string, string][] = []
  for (const match of xml.matchAll(/<page>.*?<id>(\d+)<\/id>.*?<text[^>]*>(.*?)<\/text>/gs)) {
    const text = match[2].replace(/&(lt|gt|amp|quot);/g, (_, name) => names[name])
    if (!text.toLowerCase().startsWith('#redirect')) articles.push([match[1], text])
  }
  return { pages: xml.split('<page>').length - 1, bytes: reader.available, articles }
}

interface HtmlPage {
  url: string
  body: Uint8Array
  contentType: string
}

async function readPages(path: string): Promise<HtmlPage[]> {
  const pages: HtmlPage[] = []
  for await (const record of readWarc(path, 1 << 26, {})) {
    if (!('headers' in record) || record.headers.get('warc-type') !== 'response') continue
    const response = parseHttpResponse(record.payload, 1 << 26)
    const contentType = response?.headers.get('content-type') ?? ''
    if (response?.status !== 200 || !contentType.includes('html') || response.body.length === 0) continue
    pages.push({ url: record.headers.get('warc-target-uri') ?? '', body: Uint8Array.from(response.body), contentType })
  }
  return pages
}

function words(text: string): Map<string, number> {
  const counts = new Map<string, number>()
  for (const word of text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []) counts.set(word, (counts.get(word) ?? 0) + 1)
  return counts
}

/** Share of the words of `ours` that are in `theirs`, and the other way round, as multisets; means over documents. */
function overlap(ours: Texts, theirs: Texts): { documents: number; precision: number; recall: number; f1: number } {
  const rows = Object.keys(theirs)
    .filter((key) => key in ours)
    .map((key) => {
      const [a, b] = [words(ours[key]), words(theirs[key])]
      let common = 0
      for (const [word, count] of a) common += Math.min(count, b.get(word) ?? 0)
      const size = (counts: Map<string, number>) => [...counts.values()].reduce((sum, count) => sum + count, 0)
      const precision = size(a) === 0 ? 0 : common / size(a)
      const recall = size(b) === 0 ? 0 : common / size(b)
      return { precision, recall, f1: precision + recall === 0 ? 0 : (2 * precision * recall) / (precision + recall) }
    })
  const mean = (pick: (row: (typeof rows)[0]) => number) =>
    rows.reduce((sum, row) => sum + pick(row), 0) / Math.max(1, rows.length)
  return {
    documents: rows.length,
    precision: mean((row) => row.precision),
    recall: mean((row) => row.recall),
    f1: mean((row) => row.f1),
  }
}

function printSpeed(
  title: string,
  unit: string,
  amount: number,
  runs: readonly (Measured | undefined)[],
  of: string,
): void {
  console.log(`\n${title}`)
  const known = runs.filter((run) => run !== undefined)
  const base = known.find((run) => run.name.startsWith(of))
  printTable([
    ['', `${unit}/s`, 'seconds', 'processor s', base === undefined ? '' : `times ${base.name}`, ''],
    ...known.map((run) => {
      const seconds = median(run.seconds)
      const cpu = median(run.cpuSeconds)
      return [
        run.name,
        (amount / seconds).toFixed(1),
        seconds.toFixed(3),
        cpu.toFixed(3),
        base === undefined ? '' : `${(median(base.seconds) / seconds).toFixed(1)} wall`,
        base === undefined ? '' : `${(median(base.cpuSeconds) / cpu).toFixed(1)} processor`,
      ]
    }),
  ])
}

function printOverlap(title: string, pairs: readonly (readonly [Measured | undefined, Measured | undefined])[]): void {
  console.log(`\n${title}`)
  printTable([
    ['A', 'B', 'documents', 'words of A in B', 'words of B in A', 'F1'],
    ...pairs.flatMap(([a, b]) => {
      if (a === undefined || b === undefined) return []
      const { documents, precision, recall, f1 } = overlap(a.texts, b.texts)
      return [[a.name, b.name, documents, precision.toFixed(3), recall.toFixed(3), f1.toFixed(3)]]
    }),
  ])
}

export async function run({ smoke = false }: Partial<BenchOptions> = {}): Promise<void> {
  const rounds = smoke ? 1 : 5
  const warmUps = smoke ? 0 : 3
  const python = peersPython()
  if (python === undefined) {
    console.warn(
      'The Python peers were NOT run: no TUNESMITH_PEERS_PYTHON and no environment of bench/peers/setup.mjs.',
    )
  }
  const dump = join(dataFolder(), 'wikipedia-dump', dumpName)
  const capture = join(dataFolder(), 'warc', 'iana.warc.gz')
  const peerRounds = smoke ? 1 : 3

  const { pages, bytes, articles } = await sizeOfDump(dump)
  const extractor = await measurePeer(python, 'wikiextractor', dump, peerRounds)
  const cold = await measure('ours, fast, first run', 1, 0, () => readDump(dump, 'fast'))
  const fast = await measure('ours, fast', rounds, warmUps, () => readDump(dump, 'fast'))
  const faithful = await measure('ours, faithful', rounds, warmUps, () => readDump(dump, 'faithful'))
  const megabytes = (bytes / 1e6).toFixed(1)
  printSpeed(
    `Dump of ${pages} pages, ${megabytes} MB of XML: pages (processor time of ours leaves out the bzip2 process)`,
    'pages',
    pages,
    [extractor, cold, fast, faithful],
    'wikiextractor',
  )

  const parser = await measurePeer(python, 'mwparserfromhell', dump, peerRounds)
  const ofTexts = (mode: 'fast' | 'faithful') => () =>
    Object.fromEntries(articles.map(([id, text]) => [id, extractWikitext(text, { mode })]))
  const textFast = await measure('ours, fast', rounds, warmUps, ofTexts('fast'))
  const textFaithful = await measure('ours, faithful', rounds, warmUps, ofTexts('faithful'))
  printSpeed(
    `Wikitext of ${articles.length} articles, in memory, one thread: articles`,
    'articles',
    articles.length,
    [parser, textFast, textFaithful],
    'mwparserfromhell',
  )

  const html = await readPages(capture)
  const htmlMegabytes = html.reduce((sum, page) => sum + page.body.length, 0) / 1e6
  const trafilatura = await measurePeer(python, 'trafilatura', capture, peerRounds)
  const resiliparse = await measurePeer(python, 'resiliparse', capture, peerRounds)
  const ofHtml = (mode: 'fast' | 'faithful') => () =>
    Object.fromEntries(
      html.map(({ url, body, contentType }) => [
        url,
        extractHtml(decodeHtmlBytes(body, contentType).text, { mode }).text,
      ]),
    )
  const htmlFast = await measure('ours, fast', rounds, warmUps, ofHtml('fast'))
  const htmlFaithful = await measure('ours, faithful', smoke ? 1 : 3, smoke ? 0 : 1, ofHtml('faithful'))
  const heading = `${html.length} HTML pages, ${htmlMegabytes.toFixed(2)} MB, in memory, one thread: MB`
  printSpeed(heading, 'MB', htmlMegabytes, [trafilatura, htmlFast, htmlFaithful], 'trafilatura')
  printSpeed(heading, 'MB', htmlMegabytes, [resiliparse, htmlFast, htmlFaithful], 'resiliparse')

  printOverlap('Words of wiki pages', [
    [textFast, extractor],
    [textFaithful, extractor],
    [textFast, parser],
    [textFaithful, parser],
    [extractor, parser],
  ])
  printOverlap('Words of HTML pages', [
    [htmlFast, resiliparse],
    [htmlFaithful, resiliparse],
    [htmlFast, trafilatura],
    [htmlFaithful, trafilatura],
    [resiliparse, trafilatura],
    [htmlFast, htmlFaithful],
  ])
}
