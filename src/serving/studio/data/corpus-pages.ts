// A corpus for the page: its report, why documents were dropped, and documents by their number.
import {
  type CorpusReport,
  corpusWindow,
  droppedDocuments,
  inspectCorpus,
  readManifest,
} from '../../../corpus/index.ts'
import { cellLength, cutText, valueText, wholeLength } from '../shown-values.ts'
import type {
  CorpusOverview,
  DataDocument,
  DataSource,
  DocumentPage,
  DroppedExample,
  DropReason,
} from '../types/data-types.ts'
import type { SearchedText } from './text-search.ts'

/** Examples of a reason. */
const shownExamples = 3
/** Lines of the drop lists that are read for examples. */
const maxDropLines = 20_000
/** Inputs that are listed. */
const shownInputs = 200
const shownDamaged = 100

const ofReport = ({ samples }: CorpusReport, stage: string, reason: string): DroppedExample[] =>
  samples
    .filter((sample) => sample.stage === stage && sample.reason === reason)
    .slice(0, shownExamples)
    .map(({ id, source, detail, excerpt }) => ({
      id,
      source: source.path,
      detail: detail ?? null,
      excerpt: cutText(excerpt, cellLength),
    }))

/** Examples from the drop lists, for reasons of which the report has none, as records without a text. */
const addListed = async (folder: string, reasons: readonly DropReason[]): Promise<void> => {
  const lacking = new Set(reasons.filter(({ count, examples }) => count > 0 && examples.length === 0))
  if (lacking.size === 0) return
  let lines = 0
  for await (const { stage, reason, id, source, detail } of droppedDocuments(folder, await readManifest(folder))) {
    const found = reasons.find((one) => one.stage === stage && one.reason === reason)
    if (found !== undefined && lacking.has(found)) {
      found.examples.push({ id, source: source.path, detail: detail ?? null, excerpt: { text: '' } })
      if (found.examples.length >= Math.min(shownExamples, found.count)) lacking.delete(found)
    }
    if (lacking.size === 0 || ++lines >= maxDropLines) return
  }
}

const descending = <Row>(rows: Row[], count: (row: Row) => number): Row[] => rows.sort((a, b) => count(b) - count(a))

/** Counts by power of two as ranges, with those between that have none. */
const lengthBuckets = (counts: { [bucket: string]: number }): CorpusOverview['lengths'] => {
  const powers = Object.keys(counts).map(Number)
  if (powers.length === 0) return []
  const first = Math.min(...powers)
  return Array.from({ length: Math.max(...powers) - first + 1 }, (_, i) => ({
    from: first + i === 0 ? 0 : 2 ** (first + i),
    to: 2 ** (first + i + 1),
    count: counts[first + i] ?? 0,
  }))
}

/** What the report of a corpus says. @throws DataError for a damaged corpus */
export const corpusOverview = async (source: DataSource): Promise<CorpusOverview> => {
  const { manifest, report } = await inspectCorpus(source.path, { samples: 0 })
  const { statistics } = report
  const drops = manifest.stages.flatMap(({ stage, dropped }) =>
    Object.entries(dropped)
      .filter(([, count]) => count > 0)
      .map(([reason, count]) => ({ stage, reason, count, examples: ofReport(report, stage, reason) })),
  )
  await addListed(source.path, drops)
  return {
    source,
    documents: manifest.documents,
    textBytes: manifest.textBytes,
    characters: statistics.characters,
    stages: manifest.stages.map(({ stage, documentsIn, documentsOut, changed, added }) => ({
      ...{ stage, documentsIn, documentsOut, changed, added },
    })),
    drops: descending(drops, ({ count }) => count),
    lengths: lengthBuckets(statistics.lengths),
    languages: descending(
      Object.entries(statistics.languages).map(([language, documents]) => ({ language, documents })),
      ({ documents }) => documents,
    ),
    kinds: Object.entries(statistics.kinds).map(([kind, counts]) => ({ kind, ...counts })),
    inputs: manifest.inputs.slice(0, shownInputs).map(({ path, bytes }) => ({ path, bytes })),
    inputCount: manifest.inputs.length,
    damaged: report.damaged.slice(0, shownDamaged).map(({ path, message }) => ({ path, message })),
  }
}

/** Documents from a number on. @param characters of each text that are shown */
export const corpusDocuments = async (
  { path }: DataSource,
  { offset, limit, signal }: { offset: number; limit: number; signal: AbortSignal },
  characters = limit === 1 ? wholeLength : cellLength,
): Promise<DocumentPage> => {
  const manifest = await readManifest(path)
  const documents: DataDocument[] = []
  for await (const { number, document, damage } of corpusWindow(path, manifest, offset)) {
    if (signal.aborted || number >= offset + limit) break
    if (document === undefined) {
      documents.push({ number, damage })
      continue
    }
    const { id, text, source, metadata } = document
    const fields = Object.entries(metadata).slice(0, 50)
    documents.push({
      number,
      text: cutText(text, characters),
      id,
      origin: `${source.kind} · ${source.path}`,
      metadata: Object.fromEntries(fields.map(([name, value]) => [name, cutText(valueText(value), cellLength)])),
    })
    if (documents.length >= limit) break
  }
  return { total: manifest.documents, documents }
}

/** Every text of a corpus, for a search. */
export async function* corpusTexts({ path }: DataSource): AsyncGenerator<SearchedText[]> {
  for await (const { number, document } of corpusWindow(path, await readManifest(path), 0))
    yield document === undefined ? [] : [{ number, where: 'text', text: document.text }]
}
