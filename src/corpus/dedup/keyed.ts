// Documents with equal 128-bit keys are duplicates: shared by the exact and the URL deduplicator.

import { createHash } from 'node:crypto'
import {
  type DedupDocument,
  type DedupPlan,
  documentColumns,
  documentValues,
  type FindOptions,
  type FindReport,
  type KeyMaker,
  runTables,
  withEntries,
} from './deduplicator.ts'
import * as sql from './queries.ts'

const keys = ['key_high', 'key_low']

/** The columns of the keys of documents with one key each. */
export const keyedColumns = { ...documentColumns, key_high: 'INT64', key_low: 'INT64' } as const

/** Makes the key of each document; documents without a key are not compared. */
export const createKeyedKeys =
  (scoreField: string, keyOf: (document: DedupDocument) => string | undefined): KeyMaker =>
  (row, document, add) => {
    const key = keyOf(document)
    if (key === undefined) return
    // 128 bits of SHA-256 make accidental collisions practically impossible.
    const digest = createHash('sha256').update(key).digest()
    add([...documentValues(row, document, scoreField), digest.readBigInt64LE(0), digest.readBigInt64LE(8)])
  }

/** Documents with equal keys, except the one to keep. */
export const equalKeysPlan = (rule: sql.KeepRule): DedupPlan => ({
  tables: [sql.documentsSql(keys), sql.equalKeysSql(keys)],
  drops: sql.dropsSql(rule),
})

/** Finds documents with equal keys and writes the drops. */
export const findEqualKeys = async (options: FindOptions, rule: sql.KeepRule): Promise<FindReport> => {
  const plan = equalKeysPlan(rule)
  return await withEntries(options, async (database, write) => {
    await runTables(database, plan)
    const considered = await database.count('SELECT count(*) FROM documents')
    const members = await database.count('SELECT count(*) FROM clustered')
    const clusters = await database.count('SELECT count(DISTINCT cluster) FROM clustered')
    await write(plan.drops)
    return { considered, clusters, dropped: members - clusters }
  })
}
