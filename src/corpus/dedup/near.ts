// Near duplicates: MinHash keys by band, transitive clusters, one document kept per cluster.

import { z } from 'zod'
import type { Database } from './database.ts'
import {
  type DedupPlan,
  defineDeduplicator,
  documentColumns,
  documentValues,
  runTables,
  unionFind,
  withEntries,
} from './deduplicator.ts'
import { createMinhasher, minhashOptions } from './minhash.ts'
import * as sql from './queries.ts'

const config = z.strictObject({
  ...minhashOptions.shape,
  keep: z.enum(sql.keepRules).default('first').describe('document to keep in a cluster'),
  scoreField: z.string().default('qualityScore').describe('metadata field for `keep: score`'),
})

const keyNames = (bands: number): string[] => Array.from({ length: bands }, (_, band) => `key${band}`)

const plan = ({ bands, keep }: { bands: number; keep: sql.KeepRule }): DedupPlan => {
  const keys = keyNames(bands)
  const edges = [sql.documentsSql(keys), sql.edgesTableSql, ...keys.map(sql.bandEdgesSql)]
  return {
    tables: [...edges, sql.membersSql, sql.rootsTableSql, unionFind, sql.clusteredSql],
    drops: sql.dropsSql(keep),
  }
}

export const near = defineDeduplicator({
  type: 'near',
  config,
  source: 'MinHash: Broder 1997; 5-grams, 14 bands of 8 rows: FineWeb arXiv:2406.17557 section 3.4',
  summary: 'Drops documents that share most word n-grams with a kept one.',
  unit: 'document',
  reason: 'near-duplicate',
  keyColumns: ({ bands }) => ({
    ...documentColumns,
    ...Object.fromEntries(keyNames(bands).map((name) => [name, 'INT64' as const])),
  }),
  createKeys(options) {
    const { nGram, bands, rows, seed } = options
    const minhasher = createMinhasher({ nGram, bands, rows, seed })
    return (row, document, add) => {
      const signature = minhasher.signature(document.text)
      // Texts without words have no near duplicates; exact deduplication compares them.
      if (signature.length === 0) return
      add([...documentValues(row, document, options.scoreField), ...new BigInt64Array(signature.buffer)])
    }
  },
  plan,
  async find(options, config) {
    const steps = plan(config)
    return await withEntries(options, async (database, write) => {
      let clusters = { clusters: 0, dropped: 0 }
      await runTables(database, steps, async () => {
        clusters = await clusterMembers(database)
      })
      const considered = await database.count('SELECT count(*) FROM documents')
      await write(steps.drops)
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
  const roots = clusters.roots()
  await database.appendIndexed('roots', roots)
  let count = 0
  for (let i = 0; i < roots.length; i++) if (roots[i] === i) count++
  return { clusters: count, dropped: members - count }
}

/** Clusters of items, 4 bytes per item; the root of an item is the smallest item of its cluster. */
export class Clusters {
  readonly #parents: Uint32Array

  constructor(items: number) {
    this.#parents = new Uint32Array(items)
    for (let i = 0; i < items; i++) this.#parents[i] = i
  }

  link(a: number, b: number): void {
    const rootA = this.root(a)
    const rootB = this.root(b)
    // The smaller item is always the root, in any order of the links.
    if (rootA < rootB) this.#parents[rootB] = rootA
    else if (rootB < rootA) this.#parents[rootA] = rootB
  }

  root(item: number): number {
    const parents = this.#parents
    let at = item
    while (parents[at] !== at) {
      parents[at] = parents[parents[at]]
      at = parents[at]
    }
    return at
  }

  /** The root of every item. */
  roots(): Uint32Array {
    for (let i = 0; i < this.#parents.length; i++) this.#parents[i] = this.root(i)
    return this.#parents
  }
}
