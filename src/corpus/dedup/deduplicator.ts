// The contract of a deduplicator: workers write keys for each document, then one process finds duplicates in the key
// files.

import type { z } from 'zod'
import { parseConfig } from '../../core/index.ts'
import { copySql, Database, type DatabaseLimits, entriesSql, quote } from './database.ts'
import type { WrittenKeyFile } from './key-file.ts'
import { noDropsSql } from './queries.ts'

/** A document as the input of a deduplicator. */
export interface DedupDocument {
  readonly id: string
  readonly text: string
  readonly metadata: Readonly<Record<string, unknown>>
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
export type DedupUnit = 'document' | 'line'

export interface DeduplicatorDefinition<Schema extends z.ZodType = z.ZodType> {
  readonly type: string
  readonly config: Schema
  readonly source: string
  readonly summary: string
  readonly unit: DedupUnit
  /** Reason of its drops. */
  readonly reason: string
  createWriter(path: string, config: z.output<Schema>): KeyWriter
  find(options: FindOptions, config: z.output<Schema>): Promise<FindReport>
}

export const defineDeduplicator = <Schema extends z.ZodType>(
  definition: DeduplicatorDefinition<Schema>,
): DeduplicatorDefinition<Schema> => definition

/** A deduplicator with its options checked. @throws ConfigError that names `where` */
export const createDeduplicator = (
  definition: DeduplicatorDefinition,
  value: unknown,
  where: string,
): { createWriter(path: string): KeyWriter; find(options: FindOptions): Promise<FindReport> } => {
  const config = parseConfig(definition.config, value ?? {}, where)
  return {
    createWriter: (path) => definition.createWriter(path, config),
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

/** The first columns of every file of document keys. */
export const documentColumns = { row: 'INT32', id: 'STRING', length: 'INT32', score: 'DOUBLE' } as const

/** The values of those columns; `score` comes from the metadata, or is 0. */
export const documentValues = (row: number, { id, text, metadata }: DedupDocument, scoreField: string) => {
  const score = metadata[scoreField]
  return [row, id, text.length, typeof score === 'number' && Number.isFinite(score) ? score : 0]
}
