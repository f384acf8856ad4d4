// Statistics of the documents of a corpus: lengths, languages and kinds of source. Sums over parts in any order.

import type { CorpusDocument } from '../document.ts'
import { sortKeys } from './stage-counts.ts'

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
