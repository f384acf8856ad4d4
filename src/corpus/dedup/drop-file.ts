// Streams the files of drops that deduplicators write, in order.

import { quote } from './database.ts'

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
    const result = await connection.stream(`SELECT ${columns} FROM read_parquet(${quote(path)})`)
    for (;;) {
      const chunk = await result.fetchChunk()
      if (chunk === null || chunk.rowCount === 0) return
      yield chunk.getColumns()
    }
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
}
