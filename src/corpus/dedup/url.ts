// Duplicates by address: documents fetched from the same URL, whatever their text.

import { z } from 'zod'
import { defineDeduplicator } from './deduplicator.ts'
import { createKeyedWriter, findEqualKeys } from './keyed.ts'
import { keepRules } from './queries.ts'

const config = z.strictObject({
  field: z.string().default('url').describe('the metadata field that holds the address; documents without it stay'),
  normalize: z
    .boolean()
    .default(true)
    .describe('ignore scheme, www., default port, fragment, trailing slash and tracking parameters'),
  keep: z.enum(keepRules).default('first').describe('which of the documents stays'),
  scoreField: z.string().default('qualityScore').describe('the metadata field that `keep: score` compares'),
})

const tracking = /^(?:utm_\w+|gclid|fbclid|msclkid|mc_cid|mc_eid)$/i

export const urlDuplicates = defineDeduplicator({
  type: 'url',
  config,
  source: 'RefinedWeb arXiv:2306.01116 section 3.3 (URL deduplication)',
  summary: 'Drops documents with the same address as one that is kept.',
  unit: 'document',
  reason: 'url-duplicate',
  createWriter: (path, { field, normalize, scoreField }) =>
    createKeyedWriter(path, scoreField, ({ metadata }) => {
      const address = metadata[field]
      if (typeof address !== 'string' || address === '') return undefined
      return normalize ? normalizeUrl(address) : address
    }),
  find: (options, { keep }) => findEqualKeys(options, keep),
})

/** One spelling for addresses that lead to the same page; other text comes back as it is. */
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
