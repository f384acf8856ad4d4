// What the page "Data" and its server say to each other. Only types, and independent of Node, since the page imports it too.
import type { DataInspection, Finding, InspectedPart } from '../../../runs/index.ts'

/** What a source of data holds. */
export type DataKind = 'corpus' | 'shards' | 'records' | 'pairs' | 'ratings' | 'prompts'

/** A text that may have been cut for the page. */
export interface CutText {
  text: string
  /** Characters of the whole text, where it was cut. */
  length?: number
}

/** A run that uses a source. */
export interface DataUse {
  run: string
  role: 'training' | 'validation'
}

/** Data that the studio shows: named by the recipe of a run, or found under its folders. */
export interface DataSource {
  /** Hash of what it is and where. */
  id: string
  kind: DataKind
  name: string
  path: string
  state: 'present' | 'missing'
  /** Bytes of a single file. */
  bytes: number | null
  /** The task that reads it. */
  task: string | null
  uses: DataUse[]
  /** Id of the validation data that its first run has beside it. */
  validation: string | null
}

/** Answer of `GET /api/data`. */
export interface DataSourceList {
  sources: DataSource[]
  /** Whether there were too many folders to search all of them. */
  cut: boolean
  roots: string[]
}

/** Texts by a length; `to` is the first length of the next range. */
interface LengthBucket {
  from: number
  to: number
  count: number
}

/** A dropped document as an example. */
export interface DroppedExample {
  id: string | null
  source: string
  detail: string | null
  excerpt: CutText
}

/** Why documents were dropped. */
export interface DropReason {
  stage: string
  reason: string
  count: number
  examples: DroppedExample[]
}

/** Answer of `GET /api/data/:source/corpus`. */
export interface CorpusOverview {
  source: DataSource
  documents: number
  textBytes: number
  characters: number
  stages: { stage: string; documentsIn: number; documentsOut: number; changed: number; added: number }[]
  drops: DropReason[]
  lengths: LengthBucket[]
  languages: { language: string; documents: number }[]
  kinds: { kind: string; documents: number; characters: number }[]
  inputs: { path: string; bytes: number }[]
  /** Number of inputs; the list has the first ones. */
  inputCount: number
  damaged: { path: string; message: string }[]
}

/** A document of a corpus or of shards, at its number from 0. */
export interface DataDocument {
  number: number
  /** Undefined where the document is damaged. */
  text?: CutText
  damage?: string
  /** Id and source of a corpus document. */
  id?: string
  origin?: string
  metadata?: { [field: string]: CutText }
  /** Tokens of a document of shards. */
  tokens?: number
}

/** Answer of `GET /api/data/:source/documents?offset=…&limit=…`. */
export interface DocumentPage {
  total: number
  documents: DataDocument[]
}

/** A run that reads shards. */
export interface ShardRun {
  run: string
  objective: string
  seed: number
  maxLength: number | null
}

/** Answer of `GET /api/data/:source/shards`. */
export interface ShardOverview {
  source: DataSource
  dtype: string
  vocabularySize: number
  beginId: number | null
  endId: number | null
  from: string
  splits: { name: 'train' | 'validation'; tokens: number; documents: number; bytes: number; files: number }[]
  runs: ShardRun[]
  /** Why texts cannot be decoded; null if they can. */
  tokenizerFault: string | null
}

/** A token of a row. */
export interface ShownToken {
  id: number
  text: string
  /** A token such as end-of-text or a mask. */
  special?: true
  /** It has a loss. */
  trained?: true
  /** The right token at a masked position. */
  label?: string
}

/** A sequence of a row: it attends to itself only. */
export interface ShownSequence {
  role: 'text' | 'input' | 'target'
  tokens: ShownToken[]
}

/** A row of a run. */
export interface ShownRow {
  position: number
  epoch: number | null
  folder: string
  place: string | null
  documents: number
  cut: number
  trained: number
  tokens: number
  /** Null for an objective whose examples have an unknown form: `text` has them. */
  sequences: ShownSequence[] | null
  text: CutText
}

/** Answer of `GET /api/data/:source/packed?run=…&split=…&position=…`. */
export interface PackedRows {
  perEpoch: number | null
  maxLength: number
  seed: number
  rows: ShownRow[]
}

/** A row of a file of records. */
export interface DataRow {
  /** From 0. */
  index: number
  /** `reviews.jsonl:18` */
  place: string
  bytes: number
  /** By column; undefined for a damaged row. */
  cells?: { [column: string]: CutText }
  /** What is wrong with the row, and its beginning. */
  damage?: { message: string; text: CutText }
}

/** Answer of `GET /api/data/:source/rows?offset=…&limit=…`. */
export interface RowPage {
  /** Rows that are known so far. */
  total: number
  /** Whether the whole file has been looked at. */
  complete: boolean
  /** Share of the file that has been looked at; null where it is not known. */
  share: number | null
  /** Why there are no more rows. */
  problem: string | null
  /** Columns of the rows of this page. */
  columns: string[]
  rows: DataRow[]
}

/** Answer of `GET /api/data/:source/rows/:index`. */
export interface RowDetails {
  row: DataRow
}

/** What was read of records, and what was left out by reason: as `ReadReport` of the tasks. */
export interface ShownReport {
  records: number
  skipped: { [reason: string]: { count: number; first: string } }
  unreadColumns?: string[]
}

export type { Finding as ShownFinding }

/** What one file or folder has. */
export type ShownPart = Pick<
  InspectedPart,
  'report' | 'lengths' | 'labels' | 'copies' | 'contradictions' | 'nearCopies' | 'nearContradictions'
>

/** A look at all records: what the page shows of it. */
type ShownInspection = Pick<DataInspection, 'train' | 'validation' | 'overlap' | 'nearRecords' | 'similarity'>

/** An event of `GET /api/data/:source/inspection`. */
export type InspectionMessage =
  | { progress: number }
  | { inspection: ShownInspection }
  | { report: ShownReport }
  | { waiting: true }

/** Where a text was found. */
export interface SearchHit {
  /** Number of the row or document. */
  number: number
  /** Column, or split of shards. */
  where: string
  before: string
  match: string
  after: string
}

/** An event of `GET /api/data/:source/search?q=…`. */
export type SearchMessage =
  | { hits: SearchHit[]; searched: number }
  | { end: 'all' | 'matches' | 'time'; searched: number; found: number }
