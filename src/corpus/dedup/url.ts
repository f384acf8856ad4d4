// Duplicates by URL: documents fetched from the same URL, with any text.

import { z } from 'zod'
import { defineDeduplicator } from './deduplicator.ts'
import { createKeyedKeys, equalKeysPlan, findEqualKeys, keyedColumns } from './keyed.ts'
import { keepRules } from './queries.ts'

const config = z.strictObject({
  field: z.string().default('url').describe('metadata field with the URL; documents without one are kept'),
  normalize: z
    .boolean()
    .default(true)
    .describe('comparison without scheme, www., default port, fragment, trailing slash and tracking parameters'),
  keep: z.enum(keepRules).default('first').describe('document to keep among those with one URL'),
  scoreField: z.string().default('qualityScore').describe('metadata field for `keep: score`'),
})

const tracking = /^(?:utm_\w+|gclid|fbclid|msclkid|mc_cid|mc_eid)$/i

export const urlDuplicates = defineDeduplicator({
  type: 'url',
  config,
  source: 'RefinedWeb arXiv:2306.01116 section 3.3 (URL deduplication)',
  summary: 'Drops documents with the URL of a kept one.',
  unit: 'document',
  reason: 'url-duplicate',
  keyColumns: () => keyedColumns,
  createKeys: ({ field, normalize, scoreField }) =>
    createKeyedKeys(scoreField, ({ metadata }) => {
      const address = metadata[field]
      if (typeof address !== 'string' || address === '') return undefined
      return normalize ? normalizeUrl(address) : address
    }),
  plan: ({ keep }) => equalKeysPlan(keep),
  find: (options, { keep }) => findEqualKeys(options, keep),
})

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
