// An embedded DuckDB for one deduplication, in bounded memory with larger tables on disk in a temporary folder. This
// file has the DuckDB dialect for loading and writing tables, and reads the files of drops in order; the queries in queries.ts are plain SQL that Spark also
// runs.

import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { DataError } from '../../core/index.ts'

export interface DatabaseLimits {
  /** Folder for temporary files, which is removed at the end. */
  readonly temporaryFolder: string
  /** Memory limit of DuckDB in MB, at least 128; the process needs more. */
  readonly memoryMegabytes: number
  readonly threads: number
}

export class Database {
  readonly #instance: DuckDBInstance
  readonly #folder: string

  private constructor(
    readonly connection: DuckDBConnection,
    instance: DuckDBInstance,
    folder: string,
  ) {
    this.#instance = instance
    this.#folder = folder
  }

  static async open({ temporaryFolder, memoryMegabytes, threads }: DatabaseLimits): Promise<Database> {
    await rm(temporaryFolder, { recursive: true, force: true })
    await mkdir(temporaryFolder, { recursive: true })
    // Loaded when needed: it takes a third of a second, which every command would pay.
    const { DuckDBInstance } = await import('@duckdb/node-api')
    const instance = await DuckDBInstance.create(join(temporaryFolder, 'tables.duckdb'), {
      memory_limit: `${memoryMegabytes}MB`,
      threads: String(threads),
      temp_directory: join(temporaryFolder, 'spill'),
      preserve_insertion_order: 'false',
      // No extension is downloaded or loaded.
      autoinstall_known_extensions: 'false',
      autoload_known_extensions: 'false',
    })
    return new Database(await instance.connect(), instance, temporaryFolder)
  }

  async run(sql: string): Promise<void> {
    await this.connection.run(sql).catch(reword)
  }

  /** Streams the columns of each chunk of the result. */
  chunks(sql: string): AsyncGenerator<unknown[][]> {
    return chunksOf(this.connection, sql, reword)
  }

  /** The first value of the first row, as a number. */
  async count(sql: string): Promise<number> {
    for await (const columns of this.chunks(sql)) return Number(columns[0][0])
    return 0
  }

  /** Fills a table of two INTEGER columns with (i, values[i]). */
  async appendIndexed(table: string, values: Uint32Array): Promise<void> {
    const { DuckDBDataChunk, INTEGER } = await import('@duckdb/node-api')
    const appender = await this.connection.createAppender(table)
    const step = 2048
    for (let start = 0; start < values.length; start += step) {
      const part = [...values.subarray(start, start + step)]
      const chunk = DuckDBDataChunk.create([INTEGER, INTEGER], part.length)
      chunk.setColumns([part.map((_, i) => start + i), part])
      appender.appendDataChunk(chunk)
    }
    appender.closeSync()
  }

  async close(): Promise<void> {
    this.connection.closeSync()
    this.#instance.closeSync()
    await rm(this.#folder, { recursive: true, force: true })
  }
}

/** Streams the columns of each chunk of a result; `onError` may reword an error. */
async function* chunksOf(
  connection: DuckDBConnection,
  sql: string,
  onError = (error: Error): never => {
    throw error
  },
): AsyncGenerator<unknown[][]> {
  const result = await connection.stream(sql).catch(onError)
  for (;;) {
    const chunk = await result.fetchChunk().catch(onError)
    if (chunk === null || chunk.rowCount === 0) return
    yield chunk.getColumns()
  }
}

/** The view `entries`: every row of the key files with `shard`, the position of its file in the list. */
export const entriesSql = (files: readonly string[]): string => `
    CREATE TABLE files AS SELECT unnest(${list(files)}) AS path, unnest(range(${files.length}))::INTEGER AS shard;
    CREATE VIEW entries AS
      SELECT files.shard, source.* FROM read_parquet(${list(files)}, filename = 'source_path') AS source
      JOIN files ON files.path = source.source_path;`

export const copySql = (query: string, path: string): string =>
  `SET preserve_insertion_order = true; COPY (${query}) TO ${quote(path)} (FORMAT parquet, COMPRESSION zstd)`

export const quote = (text: string): string => `'${text.replaceAll("'", "''")}'`

const list = (values: readonly string[]): string => `[${values.map(quote).join(', ')}]`

const reword = (error: Error): never => {
  const reason = error.message.split('\n')[0]
  if (/out of memory/i.test(reason)) {
    throw new DataError(`Deduplication ran out of memory: ${reason}. Raise \`memoryMegabytes\`, or free disk space.`)
  }
  if (/^(?:IO|Invalid Input|Invalid) Error|parquet/i.test(reason)) {
    throw new DataError(
      `Expected intact key files and free disk space, got: ${reason}. Free space, or build again with --rebuild.`,
    )
  }
  throw error
}

/** A document to drop, and the one that is kept instead. `shard` is the index of its key file. */
export interface DocumentDrop {
  readonly shard: number
  readonly row: number
  readonly id: string
  readonly keptShard: number
  readonly keptRow: number
  readonly keptId: string
  /** Documents in the cluster, including the kept one. */
  readonly clusterSize: number
}

/** Lines to remove from one document, numbered from 0, ascending. */
export interface LineDrop {
  readonly shard: number
  readonly row: number
  readonly lines: readonly number[]
}

/** The document drops of a file by shard and row, in batches. */
export async function* readDocumentDrops(path: string): AsyncGenerator<DocumentDrop[]> {
  for await (const columns of readChunks(path, 'shard, row, id, kept_shard, kept_row, kept_id, cluster_size')) {
    const [shards, rows, ids, keptShards, keptRows, keptIds, sizes] = columns
    yield shards.map((shard, i) => ({
      shard: Number(shard),
      row: Number(rows[i]),
      id: String(ids[i]),
      keptShard: Number(keptShards[i]),
      keptRow: Number(keptRows[i]),
      keptId: String(keptIds[i]),
      clusterSize: Number(sizes[i]),
    }))
  }
}

/** The line drops of a file by shard and row, one per document. */
export async function* readLineDrops(path: string): AsyncGenerator<LineDrop> {
  let current: { shard: number; row: number; lines: number[] } | undefined
  for await (const [shards, rows, lines] of readChunks(path, 'shard, row, line')) {
    for (let i = 0; i < shards.length; i++) {
      const shard = Number(shards[i])
      const row = Number(rows[i])
      if (current === undefined || current.shard !== shard || current.row !== row) {
        if (current !== undefined) yield current
        current = { shard, row, lines: [] }
      }
      current.lines.push(Number(lines[i]))
    }
  }
  if (current !== undefined) yield current
}

async function* readChunks(path: string, columns: string): AsyncGenerator<unknown[][]> {
  const { DuckDBInstance } = await import('@duckdb/node-api')
  const instance = await DuckDBInstance.create(':memory:', { threads: '1', autoload_known_extensions: 'false' })
  const connection = await instance.connect()
  try {
    // The files are written in this order and read by one thread, so no sort is needed; see copySql.
    yield* chunksOf(connection, `SELECT ${columns} FROM read_parquet(${quote(path)})`)
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
}
