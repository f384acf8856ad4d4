// What a deduplicator is: the contract between the pipeline and each file of this folder that is registered.
// Workers write keys for each document; one process finds the duplicates from the files of keys.

import type { z } from 'zod'
import { parseConfig } from '../../core/index.ts'
import { copySql, Database, type DatabaseLimits, entriesSql, quote } from './database.ts'
import type { WrittenKeyFile } from './key-file.ts'
import { noDropsSql } from './queries.ts'

/** A document as deduplicators see it. */
export interface DedupDocument {
  readonly id: string
  readonly text: string
  readonly metadata: Readonly<Record<string, unknown>>
}

/** Takes the keys of documents in one worker. */
export interface KeyWriter {
  /** `row` is the document's number among those of this file, from 0, ascending. */
  add(row: number, document: DedupDocument): void
  /** Ends the file and says what it is recognised by. */
  close(): Promise<WrittenKeyFile>
  /** Removes an unfinished file. */
  abort(): Promise<void>
}

export interface FindOptions extends DatabaseLimits {
  /** Finished key files; a document's place is (number of its file in this list, its row). */
  readonly files: readonly string[]
  /** Drop files of deduplicators that ran before: what they dropped takes no part. */
  readonly exclude?: readonly string[]
  /** The Parquet file of drops to write, ordered by place. */
  readonly output: string
}

export interface FindReport {
  /** Documents (or lines) that took part. */
  readonly considered: number
  readonly clusters: number
  readonly dropped: number
}

/** What a drop is about: whole documents or single lines. */
export type DedupUnit = 'document' | 'line'

export interface DeduplicatorDefinition<Schema extends z.ZodType = z.ZodType> {
  readonly type: string
  readonly config: Schema
  readonly source: string
  readonly summary: string
  readonly unit: DedupUnit
  /** The one reason of its drops. */
  readonly reason: string
  createWriter(path: string, config: z.output<Schema>): KeyWriter
  find(options: FindOptions, config: z.output<Schema>): Promise<FindReport>
}

export const defineDeduplicator = <Schema extends z.ZodType>(
  definition: DeduplicatorDefinition<Schema>,
): DeduplicatorDefinition<Schema> => definition

/** A deduplicator with its options checked; throws ConfigError naming `where`. */
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

/** Opens a database with `entries` and `excluded`, lets `work` fill and query it, and removes it whatever happens. */
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

/** The columns that every file of document keys opens with. */
export const documentColumns = { row: 'INT32', id: 'STRING', length: 'INT32', score: 'DOUBLE' } as const

/** The values of those columns; `score` is read from the metadata, 0 where there is none. */
export const documentValues = (row: number, { id, text, metadata }: DedupDocument, scoreField: string) => {
  const score = metadata[scoreField]
  return [row, id, text.length, typeof score === 'number' && Number.isFinite(score) ? score : 0]
}
