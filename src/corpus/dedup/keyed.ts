// Deduplicators for which documents with equal 128-bit keys are duplicates: by the text, and by the URL.

import { createHash } from 'node:crypto'
import { z } from 'zod'
import {
  type DedupDocument,
  defineDeduplicator,
  documentColumns,
  documentValues,
  type FindOptions,
  type KeyMaker,
  runTables,
  withEntries,
} from './deduplicator.ts'
import * as sql from './queries.ts'

const keys = ['key_high', 'key_low']

/** What the deduplicators share; `keyOf` gives the key of a document, undefined for one that is not compared. */
const byKey = <Options extends { keep: sql.KeepRule; scoreField: string }>(
  keyOf: (document: DedupDocument, options: Options) => string | undefined,
) => {
  const plan = ({ keep }: Options) => ({
    tables: [sql.documentsSql(keys), sql.equalKeysSql(keys)],
    drops: sql.dropsSql(keep),
  })
  return {
    keyColumns: () => ({ ...documentColumns, key_high: 'INT64', key_low: 'INT64' }) as const,
    createKeys:
      (options: Options): KeyMaker =>
      (row, document, add) => {
        const key = keyOf(document, options)
        if (key === undefined) return
        // 128 bits of SHA-256 make accidental collisions practically impossible.
        const digest = createHash('sha256').update(key).digest()
        add([...documentValues(row, document, options.scoreField), digest.readBigInt64LE(0), digest.readBigInt64LE(8)])
      },
    plan,
    find: (options: FindOptions, config: Options) =>
      withEntries(options, async (database, write) => {
        const steps = plan(config)
        await runTables(database, steps)
        const considered = await database.count('SELECT count(*) FROM documents')
        const members = await database.count('SELECT count(*) FROM clustered')
        const clusters = await database.count('SELECT count(DISTINCT cluster) FROM clustered')
        await write(steps.drops)
        return { considered, clusters, dropped: members - clusters }
      }),
  }
}

const scoreField = z.string().default('qualityScore').describe('metadata field for `keep: score`')

const exactConfig = z.strictObject({
  compare: z
    .enum(['text', 'words'])
    .default('text')
    .describe('what to compare; text: every character; words: letters and digits in lower case'),
  keep: z.enum(sql.keepRules).default('first').describe('document to keep among equal ones'),
  scoreField,
})

export const exact = defineDeduplicator({
  type: 'exact',
  config: exactConfig,
  source: 'document hashes as in huggingface/datatrove ExactDedup',
  summary: 'Drops documents whose text equals that of a kept one.',
  unit: 'document',
  reason: 'exact-duplicate',
  ...byKey(({ text }, { compare }: z.output<typeof exactConfig>) => (compare === 'text' ? text : wordsOf(text))),
})

const wordsOf = (text: string): string =>
  text
    .toLowerCase()
    .split(/[^\p{L}\p{M}\p{N}]+/u)
    .filter((word) => word !== '')
    .join(' ')

const urlConfig = z.strictObject({
  field: z.string().default('url').describe('metadata field with the URL; documents without one are kept'),
  normalize: z
    .boolean()
    .default(true)
    .describe('comparison without scheme, www., default port, fragment, trailing slash and tracking parameters'),
  keep: z.enum(sql.keepRules).default('first').describe('document to keep among those with one URL'),
  scoreField,
})

export const urlDuplicates = defineDeduplicator({
  type: 'url',
  config: urlConfig,
  source: 'RefinedWeb arXiv:2306.01116 section 3.3 (URL deduplication)',
  summary: 'Drops documents with the URL of a kept one.',
  unit: 'document',
  reason: 'url-duplicate',
  ...byKey(({ metadata }, { field, normalize }: z.output<typeof urlConfig>) => {
    const address = metadata[field]
    if (typeof address !== 'string' || address === '') return undefined
    return normalize ? normalizeUrl(address) : address
  }),
})

const tracking = /^(?:utm_\w+|gclid|fbclid|msclkid|mc_cid|mc_eid)$/i

/** One spelling for URLs of the same page; other text is returned unchanged. */
export const normalizeUrl = (address: string): string => {
  let url: URL
  try {
    url = new URL(/^[a-z][a-z0-9+.-]*:/i.test(address) ? address : `http://${address}`)
  } catch {
    return address.trim()
  }
  for (const name of [...url.searchParams.keys()]) if (tracking.test(name)) url.searchParams.delete(name)
  const scheme = url.protocol === 'http:' || url.protocol === 'https:' ? '' : url.protocol
  return `${scheme}//${url.host.replace(/^www\./, '')}${url.pathname.replace(/\/+$/, '')}${url.search}`
}
