// The SQL of a build on Spark: the phases of the embedded engine as tables. Worker stages are script transforms;
// deduplication runs the queries that DuckDB runs.

import { type DedupPlan, unionFind } from '../dedup/index.ts'
import * as queries from '../dedup/queries.ts'
import { splitAddress } from './hadoop-shell.ts'
import { clusterColumns, documentColumns, itemColumns, overlapColumns, partColumns, type RowColumns } from './rows.ts'
import type { BuildStageName } from './stages.ts'

/** A deduplicator as the script needs it. */
export interface ScriptDedup {
  /** Stage name in reports. */
  stage: string
  unit: 'document' | 'line'
  columns: Readonly<Record<string, 'INT32' | 'INT64' | 'DOUBLE' | 'STRING'>>
  plan: DedupPlan
}

export interface ScriptOptions {
  /** Shell words that start the worker; the name of the stage follows. */
  worker: string
  /** URIs: files of tasks, one JSON per line, the tables that a stopped build leaves, and the lines of the corpus. */
  places: { reads: string; groups: string; tables: string; lines: string }
  /** Number of tasks of each kind. */
  tasks: { reads: number; groups: number }
  /** Tasks with inputs at addresses, whose bytes Spark reads and passes on. */
  fetched?: FetchedInputs
  dedup: readonly ScriptDedup[]
  /** An n-gram in more documents is a common phrase; undefined without test sets. */
  maxDocuments?: number
  /** Tables that an earlier run has finished. */
  finished: ReadonlySet<string>
}

/** Inputs that Spark reads. */
export interface FetchedInputs {
  /** Addresses of all inputs. */
  paths: readonly string[]
  /** URIs: files of tasks with such inputs, and of the places of these: a `FetchedPlace` per line. */
  places: { reads: string; groups: string; inputs: string }
  /** Number of tasks of each kind. */
  tasks: { reads: number; groups: number }
}

/** Where an input belongs. */
export interface FetchedPlace {
  kind: 'reads' | 'groups'
  piece: number
  /** Number of the input in its piece. */
  input: number
  /** Scheme and host of its address, and the path on it. */
  prefix: string
  path: string
}

/** The words that mark lines of the output, which are divided by tabs. */
export const outputMarks = { phase: 'phase', summary: 'summary', file: 'file', input: 'input' } as const

const maxTasks = 10_000

/** A text in the SQL of Spark. */
export const quoteSql = (text: string): string => `'${text.replace(/[\\']/g, '\\$&')}'`

/** The format of `rows.ts`; Spark's default depends on its catalogue. */
const rowFormat = String.raw`ROW FORMAT DELIMITED FIELDS TERMINATED BY '\t' NULL DEFINED AS '\\N'`

/** Bytes of a row of an input; its base64 has no padding but in the last one. */
const chunkBytes = 786_432

/** A glob of Hadoop that names these absolute paths and nothing else. */
const literalGlob = (paths: readonly string[]): string => {
  const escaped = (text: string) => text.replace(/[\\{}[\],*?]/g, '\\$&')
  const names = paths.map((path) => escaped(path.slice(1)))
  if (names.length === 1) return `/${names[0]}`
  // Braces around a slash are expanded to paths, without the escapes in them, before these are taken as globs themselves.
  return `/{${(names.some((name) => name.includes('/')) ? names.map(escaped) : names).join(',')}}`
}

/** Views of files, one for each scheme and host; `path` there is as Hadoop writes it. */
export const inputViews = (
  addresses: readonly string[],
): { views: { name: string; prefix: string }[]; statements: string[] } => {
  const byPrefix = new Map<string, string[]>()
  for (const address of addresses) {
    const { prefix, path } = splitAddress(address)
    byPrefix.set(prefix, [...(byPrefix.get(prefix) ?? []), path])
  }
  const views = [...byPrefix.keys()].map((prefix, i) => ({ name: `inputs${i}`, prefix }))
  const statements = [...byPrefix.values()].map(
    (paths, i) =>
      `CREATE TEMPORARY VIEW inputs${i} USING binaryFile OPTIONS (path ${quoteSql(views[i]!.prefix + literalGlob(paths))})`,
  )
  return { views, statements }
}

const columnsSql = (columns: RowColumns): string =>
  Object.entries(columns)
    .map(([name, type]) => `${name} ${type}`)
    .join(', ')

const sparkTypes = { INT32: 'INT', INT64: 'BIGINT', DOUBLE: 'DOUBLE', STRING: 'STRING' } as const

/** The script, and how many phases it announces. */
export const sparkScript = (options: ScriptOptions): { sql: string; phases: number } => {
  const statements: string[] = []
  let phases = 0
  const add = (...sql: string[]) => statements.push(...sql)
  const phase = (name: string) => {
    phases += 1
    add(`SELECT ${quoteSql(outputMarks.phase)}, ${quoteSql(name)}`)
  }
  const transform = (stage: BuildStageName, inputs: string, columns: RowColumns, from: string) =>
    `SELECT TRANSFORM(${inputs}) ${rowFormat}
USING ${quoteSql(`${options.worker} ${stage}`)} AS (${columnsSql(columns)}) ${rowFormat}
FROM (${from})`
  const context = { ...options, add, phase, transform }
  documentTables(context)
  for (const [index, dedup] of options.dedup.entries()) dedupTables(index, dedup, context)
  decisionTable(context)
  contaminationTables(context)
  writeTables(context)
  return { sql: `${statements.join(';\n\n')};\n`, phases }
}

interface ScriptContext extends ScriptOptions {
  add(...sql: string[]): void
  phase(name: string): void
  transform(stage: BuildStageName, inputs: string, columns: RowColumns, from: string): string
}

const tasksSql = (tasks: number, view: string) =>
  `SELECT /*+ REPARTITION(${Math.max(1, Math.min(tasks, maxTasks))}) */ value FROM ${view}`

/** Columns of the bytes of inputs: the first row of a piece has its task. */
const fetchedInputs = "'fetched', piece, input, chunk, data"

/** The rows of tasks with inputs that Spark reads, a piece in one process and in order. */
const fetchedSql = (kind: 'reads' | 'groups', views: ReturnType<typeof inputViews>['views']): string => {
  const pieceOf = (value: string) => `CAST(get_json_object(${value}, '$.piece') AS INT)`
  const chunks = views.map(
    ({ name, prefix }) => `SELECT /*+ BROADCAST(places) */ places.piece, places.input, chunk,
      translate(base64(substring(content, CAST(1 + chunk * ${chunkBytes} AS INT), ${chunkBytes})), '\\r\\n', '') AS data
    FROM ${name} JOIN places ON places.prefix = ${quoteSql(prefix)} AND places.kind = '${kind}'
      AND places.path = regexp_replace(${name}.path, '^[A-Za-z][A-Za-z0-9+.-]*:(//[^/]*)?', '')
    LATERAL VIEW explode(sequence(0, (length - 1) div ${chunkBytes})) numbered AS chunk`,
  )
  const tasks = `SELECT ${pieceOf('value')} AS piece, -1 AS input, 0 AS chunk, value AS data FROM fetched_${kind}`
  return `SELECT * FROM (
${[tasks, ...chunks].join('\n    UNION ALL\n    ')}
  ) DISTRIBUTE BY piece SORT BY piece, input, chunk`
}

/** The views of inputs that Spark reads. */
const fetchedViews = (
  { places, paths }: FetchedInputs,
  { add }: Pick<ScriptContext, 'add'>,
): ReturnType<typeof inputViews>['views'] => {
  const { views, statements } = inputViews(paths)
  add(...statements)
  for (const kind of ['reads', 'groups'] as const)
    add(`CREATE TEMPORARY VIEW fetched_${kind} (value STRING) USING text OPTIONS (path ${quoteSql(places[kind])})`)
  add(
    `CREATE TEMPORARY VIEW place_lines (value STRING) USING text OPTIONS (path ${quoteSql(places.inputs)})`,
    `CREATE TEMPORARY VIEW places AS SELECT place.* FROM (
  SELECT from_json(value, 'kind STRING, piece INT, input INT, prefix STRING, path STRING') AS place FROM place_lines)`,
  )
  return views
}

/** `read`: documents of large files; `documents`: all filtered documents, drops, keys and items. */
const documentTables = ({ places, tasks, fetched, finished, add, phase, transform }: ScriptContext): void => {
  const views = fetched === undefined ? [] : fetchedViews(fetched, { add })
  const fetchedRows = (stage: 'read' | 'documents', kind: 'reads' | 'groups') =>
    fetched === undefined || fetched.tasks[kind] === 0
      ? []
      : [transform(stage, fetchedInputs, documentColumns, fetchedSql(kind, views))]
  const largeFiles = tasks.reads + (fetched?.tasks.reads ?? 0)
  const view = (name: string, uri: string) =>
    add(`CREATE TEMPORARY VIEW ${name} (value STRING) USING text OPTIONS (path ${quoteSql(uri)})`)
  view('reads', places.reads)
  view('groups', places.groups)
  // These two take most of the time, so their places outlive a stopped build.
  const table = (name: string, query: string) => {
    const place = `CREATE TABLE ${name} USING parquet LOCATION ${quoteSql(`${places.tables}/${name}`)}`
    add(finished.has(name) ? place : `${place} AS\n${query}`)
  }
  if (largeFiles > 0) phase('Reading large files')
  table(
    'read',
    [transform('read', 'value', documentColumns, tasksSql(tasks.reads, 'reads')), ...fetchedRows('read', 'reads')].join(
      '\nUNION ALL\n',
    ),
  )
  phase('Filtering')
  // A segment is filtered by one process, in order, as its documents are numbered by file.
  const raw = `SELECT piece, segment, row, line FROM read WHERE kind = 'raw'
  DISTRIBUTE BY piece, segment SORT BY piece, segment, row`
  table(
    'documents',
    [
      ...(tasks.groups > 0 ? [transform('documents', 'value', documentColumns, tasksSql(tasks.groups, 'groups'))] : []),
      ...fetchedRows('documents', 'groups'),
      ...(largeFiles > 0 ? [transform('documents', 'piece, segment, row, line', documentColumns, raw)] : []),
      `SELECT * FROM read WHERE kind IN ('drop', 'item')`,
    ].join('\nUNION ALL\n'),
  )
}

const databaseOf = (index: number): string => `stage${index}`

/** The tables of one deduplicator, in a database of their own; the result is `drops`. */
const dedupTables = (
  index: number,
  { stage, columns, plan }: ScriptDedup,
  { dedup, add, phase, transform }: ScriptContext,
): void => {
  phase(`Deduplicating: ${stage}`)
  const values = Object.entries(columns).map(
    ([name, type], column) => `CAST(found[${column}] AS ${sparkTypes[type]}) AS ${name}`,
  )
  const earlier = dedup.flatMap(({ unit }, other) =>
    other < index && unit === 'document' ? [`SELECT shard, row FROM ${databaseOf(other)}.drops`] : [],
  )
  add(
    `CREATE DATABASE ${databaseOf(index)}`,
    `USE ${databaseOf(index)}`,
    `CREATE OR REPLACE TEMPORARY VIEW entries AS
SELECT piece AS shard, ${values.join(', ')}
FROM (SELECT piece, from_json(keys, 'array<string>') AS found FROM default.documents WHERE kind = 'key' AND stage = ${index})`,
    `CREATE TABLE excluded${earlier.length === 0 ? ' (shard INT, row INT)' : ` AS\n${earlier.join('\nUNION\n')}`}`,
  )
  for (const step of plan.tables) {
    // One process has all links: it needs a few bytes for each near duplicate.
    const links = `SELECT /*+ REPARTITION(1) */ first, second FROM (${queries.memberEdgesSql})`
    if (step === unionFind) add(`INSERT INTO roots\n${transform('clusters', 'first, second', clusterColumns, links)}`)
    else add(step as string)
  }
  add(`CREATE TABLE drops AS ${plan.drops}`, 'USE default')
}

/** `decisions`: what deduplication decided about a document, as JSON. */
const decisionTable = ({ dedup, add }: ScriptContext): void => {
  const found = dedup.map(({ unit }, index) => {
    const fields = (keptId: string, size: string, lines: string) =>
      `named_struct('stage', ${index}, 'keptId', ${keptId}, 'clusterSize', ${size}, 'lines', ${lines})`
    const from = `FROM ${databaseOf(index)}.drops`
    return unit === 'document'
      ? `SELECT shard, row, ${fields('kept_id', 'cluster_size', 'CAST(NULL AS ARRAY<INT>)')} AS decision ${from}`
      : `SELECT shard, row, ${fields('CAST(NULL AS STRING)', 'CAST(NULL AS INT)', 'sort_array(collect_list(line))')} AS decision ${from} GROUP BY shard, row`
  })
  add(
    found.length === 0
      ? 'CREATE TABLE decisions (piece INT, row INT, decisions STRING)'
      : `CREATE TABLE decisions AS
SELECT shard AS piece, row, to_json(sort_array(collect_list(decision))) AS decisions
FROM (${found.join('\nUNION ALL\n')}) GROUP BY shard, row`,
  )
}

const onDocument = (table: string) => `${table}.piece = documents.piece AND ${table}.row = documents.row`

/** `matches`: documents with n-grams of test sets, and which of these are too common to be leaks. */
const contaminationTables = ({ maxDocuments, add, phase, transform }: ScriptContext): void => {
  if (maxDocuments === undefined) {
    add('CREATE TABLE matches (piece INT, row BIGINT, common STRING)')
    return
  }
  phase('Finding test items')
  const documents = `SELECT documents.piece, documents.row, documents.line, decisions.decisions
  FROM documents LEFT JOIN decisions ON ${onDocument('decisions')} WHERE documents.kind = 'document'`
  add(
    `CREATE TABLE overlaps AS\n${transform('overlaps', 'piece, row, line, decisions', overlapColumns, documents)}`,
    `CREATE TABLE common AS SELECT gram FROM overlaps GROUP BY gram HAVING count(*) > ${maxDocuments}`,
    `CREATE TABLE matches AS
SELECT /*+ BROADCAST(common) */ overlaps.piece, overlaps.row, to_json(collect_list(common.gram)) AS common
FROM overlaps LEFT JOIN common ON common.gram = overlaps.gram GROUP BY overlaps.piece, overlaps.row`,
  )
}

/** The parts and drop lists as gzipped lines, then what is counted and how large each file is. */
const writeTables = ({ places, add, phase, transform }: ScriptContext): void => {
  phase('Writing')
  const items = `SELECT * FROM (SELECT /*+ REPARTITION(1) */ piece, segment, item, bytes FROM documents WHERE kind = 'item')
  SORT BY piece, segment, item`
  const lines = `SELECT parts.part, documents.kind, documents.line, decisions.decisions, matches.common,
    documents.piece, documents.segment, documents.item, documents.row
  FROM documents
  JOIN parts ON parts.piece = documents.piece AND parts.segment = documents.segment AND parts.item = documents.item
  LEFT JOIN decisions ON ${onDocument('decisions')}
  LEFT JOIN matches ON ${onDocument('matches')}
  WHERE documents.kind IN ('document', 'drop')
  DISTRIBUTE BY part SORT BY part, piece, segment, item, row`
  const written = transform('write', 'part, kind, line, decisions, common', partColumns, lines)
  add(
    `CREATE TABLE parts AS\n${transform('parts', 'piece, segment, item, bytes', itemColumns, items)}`,
    `CREATE TABLE written USING text OPTIONS (compression 'gzip') PARTITIONED BY (kind, part) LOCATION ${quoteSql(places.lines)} AS
SELECT line, kind, part FROM (
${written}
) SORT BY kind, part, place`,
  )
  const { summary, file } = outputMarks
  phase('Checking')
  add(
    `SELECT '${summary}', 'piece', 0, line FROM read WHERE kind = 'summary'`,
    `SELECT '${summary}', 'piece', 0, line FROM documents WHERE kind = 'summary'`,
    `SELECT '${summary}', 'part', part, line FROM written WHERE kind = 'summary' ORDER BY part`,
    `CREATE TEMPORARY VIEW files USING binaryFile OPTIONS (path ${quoteSql(places.lines)}, recursiveFileLookup 'true', pathGlobFilter '*.gz')`,
    `SELECT '${file}', kind, part, length, hash, path FROM (
  SELECT path, length, sha2(content, 256) AS hash, regexp_extract(path, '/kind=([a-z]+)/part=[0-9]+/[^/]+$', 1) AS kind,
    CAST(regexp_extract(path, '/part=([0-9]+)/[^/]+$', 1) AS INT) AS part FROM files
) WHERE kind <> 'summary' ORDER BY part`,
  )
}
