// Counts of the documents into and out of each stage, samples of its drops, and statistics of the documents of a corpus
// (lengths, languages, kinds of source); summed over shards in any order.

import { createHash } from 'node:crypto'
import type { CorpusDocument, DocumentSource } from '../document.ts'

/** Counts of one stage. */
export interface StageCounts {
  stage: string
  documentsIn: number
  documentsOut: number
  /** UTF-8 bytes of text; for the first stage, bytes of the input files. */
  bytesIn: number
  bytesOut: number
  /** Documents whose text the stage changed. */
  changed: number
  /** Additional documents from splitting one into several. */
  added: number
  /** Dropped documents by reason; declared reasons that did not occur have 0. */
  dropped: Record<string, number>
}

/**
 * A sampled drop. Documents with the lowest hashes of their ids are sampled, so that the choice depends only on ids.
 */
export interface DropSample {
  stage: string
  reason: string
  rank: string
  id: string
  source: DocumentSource
  detail?: string
  excerpt: string
}

/** An input that could not be read to its end. */
export interface DamagedInput {
  path: string
  kind: string
  message: string
  /** Records read before the fault. */
  recordsBefore: number
}

export const maxSamplesPerReason = 3
const excerptLength = 300

export const emptyCounts = (stage: string, reasons: readonly string[] = []): StageCounts => ({
  stage,
  documentsIn: 0,
  documentsOut: 0,
  bytesIn: 0,
  bytesOut: 0,
  changed: 0,
  added: 0,
  dropped: Object.fromEntries([...reasons].sort().map((reason) => [reason, 0])),
})

export const countDrop = (counts: StageCounts, reason: string): void => {
  counts.dropped[reason] = (Object.hasOwn(counts.dropped, reason) ? counts.dropped[reason]! : 0) + 1
}

/** Sums counts of equal stages; the order of stages is that of their first appearance, of reasons alphabetical. */
export const mergeCounts = (lists: Iterable<readonly StageCounts[]>): StageCounts[] => {
  const merged = new Map<string, StageCounts>()
  for (const list of lists) {
    for (const counts of list) {
      let sum = merged.get(counts.stage)
      if (sum === undefined) merged.set(counts.stage, (sum = emptyCounts(counts.stage)))
      sum.documentsIn += counts.documentsIn
      sum.documentsOut += counts.documentsOut
      sum.bytesIn += counts.bytesIn
      sum.bytesOut += counts.bytesOut
      sum.changed += counts.changed
      sum.added += counts.added
      for (const [reason, count] of Object.entries(counts.dropped)) {
        sum.dropped[reason] = (sum.dropped[reason] ?? 0) + count
      }
    }
  }
  return [...merged.values()].map((counts) => ({ ...counts, dropped: sortKeys(counts.dropped) }))
}

const sortKeys = <Value>(record: Record<string, Value>): Record<string, Value> =>
  Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)))

/** Samples of drops: the lowest-ranked ones of each stage and reason, in bounded memory. */
export class DropSampler {
  readonly #kept = new Map<string, DropSample[]>()

  offer(stage: string, reason: string, document: CorpusDocument, detail: string | undefined): void {
    const rank = createHash('sha256').update(document.id).digest('hex').slice(0, 16)
    const list = this.#list(stage, reason)
    if (list.length >= maxSamplesPerReason && rank >= list.at(-1)!.rank) return
    const sample: DropSample = {
      stage,
      reason,
      rank,
      id: document.id,
      source: document.source,
      ...(detail === undefined ? {} : { detail }),
      excerpt: excerpt(document.text),
    }
    this.#insert(list, sample)
  }

  merge(samples: readonly DropSample[]): void {
    for (const sample of samples) this.#insert(this.#list(sample.stage, sample.reason), sample)
  }

  /** All samples, by stage and reason, lowest rank first. */
  samples(): DropSample[] {
    return [...this.#kept.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([, list]) => list)
  }

  #list(stage: string, reason: string): DropSample[] {
    const key = `${stage}\u0000${reason}`
    let list = this.#kept.get(key)
    if (list === undefined) this.#kept.set(key, (list = []))
    return list
  }

  #insert(list: DropSample[], sample: DropSample): void {
    list.push(sample)
    list.sort((a, b) => (a.rank < b.rank ? -1 : a.rank > b.rank ? 1 : a.id < b.id ? -1 : 1))
    if (list.length > maxSamplesPerReason) list.length = maxSamplesPerReason
  }
}

/** The start of a text, truncated between code points. */
export const excerpt = (text: string): string => {
  if (text.length <= excerptLength) return text
  const end = excerptLength
  const code = text.charCodeAt(end - 1)
  return `${text.slice(0, code >= 0xd800 && code < 0xdc00 ? end - 1 : end)}…`
}

export interface PartStatistics {
  documents: number
  characters: number
  /** Documents by floor(log2(characters)); key 0 includes empty documents. */
  lengths: Record<string, number>
  /** Documents by the language that a filter detected, or `unknown`. */
  languages: Record<string, number>
  /** Documents and characters by kind of source. */
  kinds: Record<string, { documents: number; characters: number }>
}

export const emptyStatistics = (): PartStatistics => ({
  documents: 0,
  characters: 0,
  lengths: {},
  languages: {},
  kinds: {},
})

export const addDocument = (statistics: PartStatistics, { text, source, metadata }: CorpusDocument): void => {
  const bucket = String(text.length < 2 ? 0 : Math.floor(Math.log2(text.length)))
  const language = typeof metadata.language === 'string' ? metadata.language : 'unknown'
  statistics.documents += 1
  statistics.characters += text.length
  increase(statistics.lengths, bucket, 1)
  increase(statistics.languages, language, 1)
  addKind(statistics, source.kind, 1, text.length)
}

export const mergeStatistics = (list: Iterable<PartStatistics>): PartStatistics => {
  const sum = emptyStatistics()
  for (const { documents, characters, lengths, languages, kinds } of list) {
    sum.documents += documents
    sum.characters += characters
    for (const [bucket, count] of Object.entries(lengths)) increase(sum.lengths, bucket, count)
    for (const [language, count] of Object.entries(languages)) increase(sum.languages, language, count)
    for (const [kind, value] of Object.entries(kinds)) addKind(sum, kind, value.documents, value.characters)
  }
  return { ...sum, languages: sortKeys(sum.languages), kinds: sortKeys(sum.kinds) }
}

const increase = (record: Record<string, number>, key: string, by: number): void => {
  record[key] = (Object.hasOwn(record, key) ? record[key]! : 0) + by
}

const addKind = (statistics: PartStatistics, kind: string, documents: number, characters: number): void => {
  const entry = (statistics.kinds[kind] ??= { documents: 0, characters: 0 })
  entry.documents += documents
  entry.characters += characters
}
