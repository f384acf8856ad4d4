// Near duplicates: MinHash keys by band, transitive clusters, one document kept per cluster.

import { z } from 'zod'
import { Clusters } from './clusters.ts'
import type { Database } from './database.ts'
import { defineDeduplicator, documentColumns, documentValues, withEntries } from './deduplicator.ts'
import { KeyFileWriter } from './key-file.ts'
import { createMinhasher, minhashOptions } from './minhash.ts'
import * as sql from './queries.ts'

const config = z.strictObject({
  ...minhashOptions.shape,
  keep: z.enum(sql.keepRules).default('first').describe('document to keep in a cluster'),
  scoreField: z.string().default('qualityScore').describe('metadata field for `keep: score`'),
})

const keyName = (band: number) => `key${band}`

export const near = defineDeduplicator({
  type: 'near',
  config,
  source: 'MinHash: Broder 1997; 5-grams, 14 bands of 8 rows: FineWeb arXiv:2406.17557 section 3.4',
  summary: 'Drops documents that share most word n-grams with a kept one.',
  unit: 'document',
  reason: 'near-duplicate',
  createWriter(path, options) {
    const { nGram, bands, rows, seed } = options
    const minhasher = createMinhasher({ nGram, bands, rows, seed })
    const keys = Object.fromEntries(Array.from({ length: bands }, (_, band) => [keyName(band), 'INT64' as const]))
    const file = new KeyFileWriter(path, { ...documentColumns, ...keys })
    return {
      add(row, document) {
        const signature = minhasher.signature(document.text)
        // Texts without words have no near duplicates; exact deduplication compares them.
        if (signature.length === 0) return
        file.add([...documentValues(row, document, options.scoreField), ...new BigInt64Array(signature.buffer)])
      },
      close: () => file.close(),
      abort: () => file.abort(),
    }
  },
  async find(options, { bands, keep }) {
    const keys = Array.from({ length: bands }, (_, band) => keyName(band))
    return await withEntries(options, async (database, write) => {
      await database.run(sql.documentsSql(keys))
      const considered = await database.count('SELECT count(*) FROM documents')
      await database.run(sql.edgesTableSql)
      for (const key of keys) await database.run(sql.bandEdgesSql(key))
      await database.run(sql.membersSql)
      const clusters = await clusterMembers(database)
      await database.run(sql.clusteredSql)
      await write(sql.dropsSql(keep))
      return { considered, ...clusters }
    })
  },
})

/** Union-find over the links, in 4 bytes per document with a near duplicate. */
const clusterMembers = async (database: Database): Promise<{ clusters: number; dropped: number }> => {
  const members = await database.count('SELECT count(*) FROM members')
  const clusters = new Clusters(members)
  for await (const [from, to] of database.chunks(sql.memberEdgesSql)) {
    for (let i = 0; i < from.length; i++) clusters.link(from[i] as number, to[i] as number)
  }
  await database.run(sql.rootsTableSql)
  const roots = clusters.roots()
  await database.appendIndexed('roots', roots)
  let count = 0
  for (let i = 0; i < roots.length; i++) if (roots[i] === i) count++
  return { clusters: count, dropped: members - count }
}
