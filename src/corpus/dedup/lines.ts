// Repeated lines: navigation, notices and other lines shared by many documents are removed from all but the first.

import { z } from 'zod'
import { toBigInt } from '../hash/index.ts'
import { type DedupPlan, defineDeduplicator, runTables, withEntries } from './deduplicator.ts'
import { hashWords, WordHashes } from './normalized-words.ts'
import * as sql from './queries.ts'

const config = z.strictObject({
  minCount: z.number().int().min(2).default(2).describe('minimum copies of a repeated line in the whole corpus'),
  minWords: z.number().int().min(1).default(1).describe('minimum words of a line to remove'),
  keepFirst: z.boolean().default(true).describe('keeping of the first copy'),
})

const plan = (config: { minCount: number; keepFirst: boolean }): DedupPlan => ({
  tables: [sql.linesSql],
  drops: sql.lineDropsSql(config),
})

export const repeatedLines = defineDeduplicator({
  type: 'lines',
  config,
  source: 'CCNet arXiv:1911.00359 section 3.1 (paragraph hashes of letters without case, accents, figures)',
  summary: 'Removes lines that an earlier document has, compared by words.',
  unit: 'line',
  reason: 'repeated-line',
  keyColumns: () => ({ row: 'INT32', line: 'INT32', key: 'INT64' }),
  createKeys({ minWords }) {
    const words = new WordHashes()
    return (row, { text }, add) => {
      let line = 0
      for (let start = 0; start <= text.length; line++) {
        const found = text.indexOf('\n', start)
        const end = found === -1 ? text.length : found
        hashWords(text, words, start, end)
        if (words.count >= minWords) add([row, line, lineKey(words)])
        start = end + 1
      }
    }
  },
  plan,
  async find(options, config) {
    const { minCount, keepFirst } = config
    const { drops, ...rest } = plan(config)
    return await withEntries(options, async (database, write) => {
      await runTables(database, rest)
      const considered = await database.count('SELECT count(*) FROM lines')
      const repeated = `(SELECT count(*) AS times FROM lines GROUP BY key HAVING count(*) >= ${minCount}) AS repeated`
      const clusters = await database.count(`SELECT count(*) FROM ${repeated}`)
      const copies = await database.count(`SELECT coalesce(sum(times), 0) FROM ${repeated}`)
      await write(drops)
      return { considered, clusters, dropped: keepFirst ? copies - clusters : copies }
    })
  },
})

const lineKey = ({ pairs, count }: WordHashes): bigint => {
  let high = count
  let low = ~count
  for (let i = 0; i < count; i++) {
    high = (Math.imul(high, 0x01000193) + pairs[i * 2]) | 0
    low = (Math.imul(low, 0x9e3779b1) + pairs[i * 2 + 1]) | 0
  }
  return BigInt.asIntN(64, toBigInt(high ^ (low >>> 16), low))
}

/** `text` without the lines with these numbers, from 0. */
export const removeLines = (text: string, numbers: readonly number[]): string => {
  const drop = new Set(numbers)
  return text
    .split('\n')
    .filter((_, line) => !drop.has(line))
    .join('\n')
}
