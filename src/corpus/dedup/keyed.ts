// Documents with equal 128-bit keys are duplicates: shared by the exact and the URL deduplicator.

import { createHash } from 'node:crypto'
import {
  type DedupDocument,
  documentColumns,
  documentValues,
  type FindOptions,
  type FindReport,
  type KeyWriter,
  withEntries,
} from './deduplicator.ts'
import { KeyFileWriter } from './key-file.ts'
import * as sql from './queries.ts'

/** Writes the key of each document; documents without a key are not compared. */
export const createKeyedWriter = (
  path: string,
  scoreField: string,
  keyOf: (document: DedupDocument) => string | undefined,
): KeyWriter => {
  const file = new KeyFileWriter(path, { ...documentColumns, key_high: 'INT64', key_low: 'INT64' })
  return {
    add(row, document) {
      const key = keyOf(document)
      if (key === undefined) return
      // 128 bits of SHA-256 make accidental collisions practically impossible.
      const digest = createHash('sha256').update(key).digest()
      file.add([...documentValues(row, document, scoreField), digest.readBigInt64LE(0), digest.readBigInt64LE(8)])
    },
    close: () => file.close(),
    abort: () => file.abort(),
  }
}

/** Finds documents with equal keys and writes the drops. */
export const findEqualKeys = async (options: FindOptions, rule: sql.KeepRule): Promise<FindReport> => {
  const keys = ['key_high', 'key_low']
  return await withEntries(options, async (database, write) => {
    await database.run(sql.documentsSql(keys))
    const considered = await database.count('SELECT count(*) FROM documents')
    await database.run(sql.equalKeysSql(keys))
    const members = await database.count('SELECT count(*) FROM clustered')
    const clusters = await database.count('SELECT count(DISTINCT cluster) FROM clustered')
    await write(sql.dropsSql(rule))
    return { considered, clusters, dropped: members - clusters }
  })
}
