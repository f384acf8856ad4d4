// The SQL of deduplication in the common language of DuckDB and Spark, without file access
// (tests/e2e/corpus-spark.test.ts compares both). A node identifies a document by shard · 2^40 + row, in the order of the
// input.

/** Which document of a cluster is kept: the first, the longest, or the one with the highest score; ties: the first. */
export const keepRules = ['first', 'longest', 'score'] as const
export type KeepRule = (typeof keepRules)[number]

const preference: Record<KeepRule, string> = {
  first: 'node',
  longest: 'length DESC, node',
  score: 'score DESC, node',
}

const nodeOf = 'CAST(shard AS BIGINT) * 1099511627776 + CAST(row AS BIGINT)'

/** `documents`: entries not dropped by earlier deduplicators, with their node. */
export const documentsSql = (columns: readonly string[]): string => `CREATE TABLE documents AS
    SELECT ${nodeOf} AS node, shard, row, id, length, score, ${columns.join(', ')} FROM entries
    WHERE NOT EXISTS (SELECT 1 FROM excluded WHERE excluded.shard = entries.shard AND excluded.row = entries.row)`

/** `clustered`: documents that share their key with another; the cluster is the first node. */
export const equalKeysSql = (keys: readonly string[]): string => {
  const same = keys.map((key) => `documents.${key} = shared.${key}`).join(' AND ')
  return `CREATE TABLE clustered AS
    SELECT documents.node, shared.cluster, shared.size
    FROM documents JOIN (
      SELECT ${keys.join(', ')}, min(node) AS cluster, count(*) AS size FROM documents
      GROUP BY ${keys.join(', ')} HAVING count(*) > 1
    ) AS shared ON ${same}`
}

export const edgesTableSql = 'CREATE TABLE edges (node BIGINT, first BIGINT)'

/** Inserts into `edges` a link from each document to the first one with the same key in this band. */
export const bandEdgesSql = (key: string): string => `INSERT INTO edges
    SELECT documents.node, shared.first
    FROM documents JOIN (
      SELECT ${key}, min(node) AS first FROM documents WHERE ${key} IS NOT NULL GROUP BY ${key} HAVING count(*) > 1
    ) AS shared ON documents.${key} = shared.${key}
    WHERE documents.node <> shared.first`

/** `members`: the linked documents, numbered from 0 in order. */
export const membersSql = `CREATE TABLE members AS
  SELECT node, CAST(row_number() OVER (ORDER BY node) - 1 AS INTEGER) AS member
  FROM (SELECT node FROM edges UNION SELECT first FROM edges) AS linked`

/** Distinct links between member numbers. */
export const memberEdgesSql = `SELECT DISTINCT a.member AS first, b.member AS second FROM edges
  JOIN members AS a ON a.node = edges.node JOIN members AS b ON b.node = edges.first`

export const rootsTableSql = 'CREATE TABLE roots (member INTEGER, root INTEGER)'

/** `clustered` from the roots of union-find. */
export const clusteredSql = `CREATE TABLE clustered AS
  SELECT members.node, roots.root AS cluster, sizes.size
  FROM members JOIN roots ON roots.member = members.member
  JOIN (SELECT root, count(*) AS size FROM roots GROUP BY root) AS sizes ON sizes.root = roots.root`

/** All documents of a cluster except the one to keep, in order. */
export const dropsSql = (rule: KeepRule): string => `WITH ranked AS (
      SELECT clustered.cluster, clustered.size, documents.node, shard, row, id,
        row_number() OVER (PARTITION BY clustered.cluster ORDER BY ${preference[rule].replaceAll('node', 'documents.node')}) AS place
      FROM clustered JOIN documents ON documents.node = clustered.node
    )
    SELECT dropped.shard, dropped.row, dropped.id, kept.shard AS kept_shard, kept.row AS kept_row, kept.id AS kept_id,
      CAST(dropped.size AS INTEGER) AS cluster_size
    FROM ranked AS dropped JOIN ranked AS kept ON kept.cluster = dropped.cluster AND kept.place = 1
    WHERE dropped.place > 1 ORDER BY dropped.node`

/** `lines`: all lines of documents that are not dropped, with their node. */
export const linesSql = `CREATE TABLE lines AS
  SELECT ${nodeOf} AS node, shard, row, line, key FROM entries
  WHERE NOT EXISTS (SELECT 1 FROM excluded WHERE excluded.shard = entries.shard AND excluded.row = entries.row)`

/** Every copy of a line that occurs at least `minCount` times, except the first if `keepFirst`. */
export const lineDropsSql = ({
  minCount,
  keepFirst,
}: {
  minCount: number
  keepFirst: boolean
}): string => `WITH ranked AS (
      SELECT lines.node, shard, row, line, shared.times,
        row_number() OVER (PARTITION BY lines.key ORDER BY lines.node, line) AS place
      FROM lines JOIN (SELECT key, count(*) AS times FROM lines GROUP BY key HAVING count(*) >= ${minCount}) AS shared
        ON lines.key = shared.key
    )
    SELECT shard, row, line, CAST(times AS INTEGER) AS times FROM ranked
    WHERE place > ${keepFirst ? 1 : 0} ORDER BY node, line`

const columnsOf = (columns: Record<string, string>) =>
  Object.entries(columns)
    .map(([name, type]) => `CAST(NULL AS ${type}) AS ${name}`)
    .join(', ')

const place = { shard: 'INTEGER', row: 'INTEGER' }

/** An empty result of drops, by unit. */
export const noDropsSql = {
  document: `SELECT ${columnsOf({ ...place, id: 'VARCHAR', kept_shard: 'INTEGER', kept_row: 'INTEGER', kept_id: 'VARCHAR', cluster_size: 'INTEGER' })} LIMIT 0`,
  line: `SELECT ${columnsOf({ ...place, line: 'INTEGER', times: 'INTEGER' })} LIMIT 0`,
}
