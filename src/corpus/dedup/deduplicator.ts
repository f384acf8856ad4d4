// The contract of a deduplicator: workers write keys for each document, then one process finds duplicates in the key
// files.

import type { z } from 'zod'
import { parseConfig } from '../../core/index.ts'
import { copySql, Database, type DatabaseLimits, entriesSql, quote } from './database.ts'
import { type KeyColumns, KeyFileWriter, type KeyRow, type WrittenKeyFile } from './key-file.ts'
import { noDropsSql } from './queries.ts'

/** A document as the input of a deduplicator. */
export interface DedupDocument {
  readonly id: string
  readonly text: string
  readonly metadata: Readonly<Record<string, unknown>>
}

/** Calls `add` for each row of keys of a document, with one value per column; `row` is the document's number. */
export type KeyMaker = (row: number, document: DedupDocument, add: (values: KeyRow) => void) => void

/** Stands in a plan for the step that SQL does not do: `roots` from `memberEdgesSql`, by union-find. */
export const unionFind = Symbol('union-find')

/**
 * The queries of a deduplicator: from the tables `entries` (all key rows, with `shard`) and `excluded` (shard, row) to
 * its drops. Every engine runs them.
 */
export interface DedupPlan {
  /** Statements that create and fill tables, in order. */
  readonly tables: readonly (string | typeof unionFind)[]
  /** The query of the drops, ordered by document. */
  readonly drops: string
}

/** Writes the keys of documents in one worker. */
export interface KeyWriter {
  /** Adds a document; `row` is its number in this file, ascending from 0. */
  add(row: number, document: DedupDocument): void
  /** Finishes the file and returns its size and hash. */
  close(): Promise<WrittenKeyFile>
  /** Removes an unfinished file. */
  abort(): Promise<void>
}

export interface FindOptions extends DatabaseLimits {
  /** Finished key files; a document is identified by (index of its file in this list, row). */
  readonly files: readonly string[]
  /** Drop files of earlier deduplicators; their documents are excluded. */
  readonly exclude?: readonly string[]
  /** Parquet file of drops to write, ordered by file and row. */
  readonly output: string
}

export interface FindReport {
  /** Documents (or lines) compared. */
  readonly considered: number
  readonly clusters: number
  readonly dropped: number
}

/** What a deduplicator drops: whole documents or single lines. */
type DedupUnit = 'document' | 'line'

export interface DeduplicatorDefinition<Schema extends z.ZodType = z.ZodType> {
  readonly type: string
  readonly config: Schema
  readonly source: string
  readonly summary: string
  readonly unit: DedupUnit
  /** Reason of its drops. */
  readonly reason: string
  /** The columns of a row of keys. */
  keyColumns(config: z.output<Schema>): KeyColumns
  createKeys(config: z.output<Schema>): KeyMaker
  plan(config: z.output<Schema>): DedupPlan
  /** Runs the plan in an embedded database. */
  find(options: FindOptions, config: z.output<Schema>): Promise<FindReport>
}

export const defineDeduplicator = <Schema extends z.ZodType>(
  definition: DeduplicatorDefinition<Schema>,
): DeduplicatorDefinition<Schema> => definition

/** A deduplicator with its options. */
export interface OpenDeduplicator {
  readonly keyColumns: KeyColumns
  readonly plan: DedupPlan
  createKeys(): KeyMaker
  createWriter(path: string): KeyWriter
  find(options: FindOptions): Promise<FindReport>
}

/** A deduplicator with its options checked. @throws ConfigError that names `where` */
export const createDeduplicator = (
  definition: DeduplicatorDefinition,
  value: unknown,
  where: string,
): OpenDeduplicator => {
  const config = parseConfig(definition.config, value ?? {}, where)
  return {
    keyColumns: definition.keyColumns(config),
    createKeys: () => definition.createKeys(config),
    plan: definition.plan(config),
    createWriter: (path) => {
      const file = new KeyFileWriter(path, definition.keyColumns(config))
      const keys = definition.createKeys(config)
      return {
        add: (row, document) => keys(row, document, (values) => file.add(values)),
        close: () => file.close(),
        abort: () => file.abort(),
      }
    },
    async find(options) {
      if (options.files.length > 0) return await definition.find(options, config)
      const database = await Database.open(options)
      try {
        await database.run(copySql(noDropsSql[definition.unit], options.output))
      } finally {
        await database.close()
      }
      return { considered: 0, clusters: 0, dropped: 0 }
    },
  }
}

/** Runs `work` on a database with the tables `entries` and `excluded`, and removes it afterwards. */
export const withEntries = async <Result>(
  options: FindOptions,
  work: (database: Database, write: (query: string) => Promise<void>) => Promise<Result>,
): Promise<Result> => {
  const database = await Database.open(options)
  try {
    await database.run(entriesSql(options.files))
    const { exclude = [] } = options
    await database.run(
      exclude.length === 0
        ? 'CREATE TABLE excluded (shard INTEGER, row INTEGER)'
        : `CREATE TABLE excluded AS SELECT DISTINCT shard, row FROM read_parquet([${exclude.map(quote).join(', ')}])`,
    )
    return await work(database, (query) => database.run(copySql(query, options.output)))
  } finally {
    await database.close()
  }
}

/** Runs the statements of a plan; `cluster` fills `roots`. */
export const runTables = async (
  database: Database,
  { tables }: Pick<DedupPlan, 'tables'>,
  cluster: () => Promise<void> = async () => {},
): Promise<void> => {
  for (const step of tables) await (step === unionFind ? cluster() : database.run(step as string))
}

/** The first columns of every file of document keys. */
export const documentColumns = { row: 'INT32', id: 'STRING', length: 'INT32', score: 'DOUBLE' } as const

/** The values of those columns; `score` comes from the metadata, or is 0. */
export const documentValues = (row: number, { id, text, metadata }: DedupDocument, scoreField: string) => {
  const score = metadata[scoreField]
  return [row, id, text.length, typeof score === 'number' && Number.isFinite(score) ? score : 0]
}
