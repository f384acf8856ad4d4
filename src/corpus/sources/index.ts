// The registry of corpus sources.
import { books } from './books.ts'
import { csv } from './csv.ts'
import { hub } from './hub.ts'
import { jsonl } from './jsonl.ts'
import { parquet } from './parquet.ts'
import { text } from './text.ts'
import { warc, wat, wet } from './warc.ts'
import { wikipedia } from './wikipedia.ts'

export { expandPaths, isReject } from './source.ts'

export const sources = { wikipedia, books, warc, wet, wat, jsonl, parquet, csv, text, hub }

export type SourceType = keyof typeof sources
