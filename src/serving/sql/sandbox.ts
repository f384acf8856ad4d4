// A DuckDB in memory that reaches no file, for SQL that a page or an agent sends: tables from rows, and a limit on time.
// Its library is loaded when the first one is opened: a server of models opens none.
import type { DuckDBConnection, DuckDBType, DuckDBValue } from '@duckdb/node-api'

/** Rows of a chunk, at most DuckDB's own size of 2,048. */
const chunkRows = 1024

/** One column of a table that is made from rows. */
export interface SqlColumn<Row> {
  name: string
  type: DuckDBType
  value(row: Row): DuckDBValue
}

/** Quotes a name for SQL. */
export const quoteName = (name: string): string => `"${name.replaceAll('"', '""')}"`

/** Opens a database without access to files, the network and its own settings. */
export const openSandbox = async ({ memory = '256MB' }: { memory?: string } = {}): Promise<DuckDBConnection> => {
  const { DuckDBInstance } = await import('@duckdb/node-api')
  const instance = await DuckDBInstance.create(':memory:', {
    enable_external_access: 'false',
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
    threads: '1',
    memory_limit: memory,
  })
  const connection = await instance.connect()
  await connection.run("set timezone = 'UTC'")
  await connection.run('set lock_configuration = true')
  return connection
}

/** Makes or replaces a table. Other work of the process gets a turn between its chunks. */
export const writeTable = async <Row>(
  connection: DuckDBConnection,
  table: string,
  columns: readonly SqlColumn<Row>[],
  rows: readonly Row[],
): Promise<void> => {
  const { DuckDBDataChunk } = await import('@duckdb/node-api')
  const fields = columns.map(({ name, type }) => `${quoteName(name)} ${type}`)
  await connection.run(`create or replace table ${quoteName(table)} (${fields.join(', ')})`)
  const appender = await connection.createAppender(table)
  for (let first = 0; first < rows.length; first += chunkRows) {
    const part = rows.slice(first, first + chunkRows)
    const chunk = DuckDBDataChunk.create(
      columns.map(({ type }) => type),
      part.length,
    )
    columns.forEach(({ value }, i) => {
      chunk.setColumnValues(i, part.map(value))
    })
    appender.appendDataChunk(chunk)
    await new Promise((resolve) => setImmediate(resolve))
  }
  appender.closeSync()
}

/** Runs one statement, which is interrupted after some milliseconds. @throws Error of DuckDB, which begins with `INTERRUPT` then */
export const queryWithin = async (connection: DuckDBConnection, sql: string, milliseconds: number) => {
  const timer = setTimeout(() => connection.interrupt(), milliseconds)
  try {
    // Several statements cannot be prepared, so that nothing follows a query.
    return await (await connection.prepare(sql)).runAndReadAll()
  } finally {
    clearTimeout(timer)
  }
}
