// A DuckDB in memory that reaches no file, for SQL that a page or an agent sends: tables from rows, a limit on time, and conditions that are
// checked before a database sees them. Its library is loaded when the first one is opened: a server of models opens none.
import type { DuckDBConnection, DuckDBType, DuckDBValue } from '@duckdb/node-api'
import { badRequest } from '../http/errors.ts'

/** Rows of a chunk, at most DuckDB's own size of 2,048. */
const chunkRows = 1024

/** One column of a table that is made from rows. */
export interface SqlColumn<Row> {
  name: string
  type: DuckDBType
  value(row: Row): DuckDBValue
}

const quoteName = (name: string): string => `"${name.replaceAll('"', '""')}"`

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

const maxLength = 4000

/** Parts of a condition: quoted text and names, which stay as they are, and what is between them. */
const parts = /'(?:[^']|'')*'|"(?:[^"]|"")*"|[^'"]+|['"]/g

const fault = (message: string) => badRequest(message, 'where', 'invalid_filter')

/**
 * Checks that a text can be nothing but the inside of a pair of parentheses: one condition, however it is nested.
 * @throws ApiError that says what is wrong
 */
export const expectOneCondition = (text: string): void => {
  if (text.length > maxLength)
    throw fault(`Expected a condition of at most ${maxLength} characters, got ${text.length}.`)
  let depth = 0
  let before = ''
  for (const [part] of text.matchAll(parts)) {
    if (part === "'" || part === '"') throw fault(`The quote ${part} is not closed. Write text as 'text'.`)
    if (part[0] === "'" || part[0] === '"') {
      // Such as E'…', in which a backslash may keep the quote from closing.
      if (part[0] === "'" && /[\w$\u0080-\uffff]/.test(before))
        throw fault(`Expected an operator or a space before ${part.slice(0, 20)}. Write text as 'text'.`)
      before = ''
      continue
    }
    before = part.slice(-1)
    if (/;|--|\/\*|\$|\0/.test(part)) throw fault('Expected one condition, without `;`, `$` or comments.')
    for (const [bracket] of part.matchAll(/[()]/g)) {
      depth += bracket === '(' ? 1 : -1
      if (depth < 0) throw fault('A closing parenthesis has no opening one.')
    }
  }
  if (depth > 0) throw fault('A parenthesis is not closed.')
}

/** Quotes the dotted names of settings, such as `batch.sequences`, which SQL would take for a table and its column. */
export const quoteSettings = (text: string, names: ReadonlySet<string>): string =>
  text.replaceAll(parts, (part) =>
    part[0] === "'" || part[0] === '"'
      ? part
      : part.replaceAll(/[a-z_]\w*(?:\.[a-z_]\w*)+/gi, (name) =>
          names.has(name.toLowerCase()) ? quoteName(name) : name,
        ),
  )
