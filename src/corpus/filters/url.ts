// Drops documents by their URL: blocked domains, URLs, words and substrings, from lists of the user.

import { z } from 'zod'
import { readWordList } from '../text/index.ts'
import { defineFilter, drop, keep } from './filter.ts'

const list = z.array(z.string().min(1)).default([])

const config = z.strictObject({
  field: z.string().default('url').describe('metadata field with the URL'),
  missing: z.enum(['keep', 'drop']).default('keep').describe('handling of documents without a URL'),
  domains: list.describe('blocked domains, with their subdomains'),
  domainsFile: z.string().optional().describe('file of blocked domains, one per line'),
  urls: list.describe('blocked URLs'),
  urlsFile: z.string().optional().describe('file of blocked URLs, one per line'),
  words: list.describe('blocked words; one of them in a URL drops it'),
  wordsFile: z.string().optional().describe('file of blocked words, one per line'),
  softWords: list.describe('suspicious words; several of them in a URL drop it'),
  softWordsFile: z.string().optional().describe('file of suspicious words, one per line'),
  softWordThreshold: z.number().int().min(1).default(2).describe('minimum distinct soft words that drop a URL'),
  subwords: list.describe('blocked substrings of the letters and digits of a URL'),
  subwordsFile: z.string().optional().describe('file of blocked substrings, one per line'),
})

export const url = defineFilter({
  type: 'url',
  config,
  source: 'RefinedWeb arXiv:2306.01116 appendix G.1; code URLFilter of huggingface/datatrove',
  summary: 'Drops documents whose domain, URL or words of the URL are on block lists.',
  reasons: ['missing-url', 'domain', 'url', 'word', 'soft-words', 'subword'],
  async create(options) {
    const domains = new Set((await joined(options.domains, options.domainsFile)).map((domain) => bareHost(domain)))
    const urls = new Set(await joined(options.urls, options.urlsFile))
    const words = new Set((await joined(options.words, options.wordsFile)).map(lettersAndDigits))
    const softWords = new Set((await joined(options.softWords, options.softWordsFile)).map(lettersAndDigits))
    const subwords = (await joined(options.subwords, options.subwordsFile))
      .map(lettersAndDigits)
      .filter((part) => part !== '')
    const subword = subwords.length === 0 ? undefined : new RegExp(subwords.join('|'))
    return {
      apply({ metadata }) {
        const address = metadata[options.field]
        if (typeof address !== 'string' || address === '') {
          return options.missing === 'keep' ? keep : drop('missing-url')
        }
        const domain = listedDomain(hostOf(address), domains)
        if (domain !== undefined) return drop('domain', domain)
        if (urls.has(address)) return drop('url', address)
        if (words.size > 0 || softWords.size > 0) {
          const parts = new Set(address.toLowerCase().split(/[^a-z0-9]+/))
          let soft = 0
          for (const part of parts) {
            if (words.has(part)) return drop('word', part)
            if (softWords.has(part)) soft++
          }
          if (soft >= options.softWordThreshold) return drop('soft-words', soft)
        }
        const part = subword?.exec(lettersAndDigits(address))
        if (part != null) return drop('subword', part[0])
        return keep
      },
    }
  },
})

const joined = async (entries: readonly string[], file: string | undefined): Promise<readonly string[]> =>
  file === undefined ? entries : [...entries, ...(await readWordList(file))]

const lettersAndDigits = (text: string): string => text.toLowerCase().replace(/[^a-z0-9]+/g, '')

const bareHost = (host: string): string =>
  host
    .trim()
    .toLowerCase()
    .replace(/^\.+|\.+$/g, '')

/** The host of a URL, with or without scheme, user and port; '' when there is none. */
const hostOf = (address: string): string => {
  const match = /^(?:[a-z][a-z0-9+.-]*:)?(?:\/\/)?(?:[^/?#@]*@)?(\[[^\]]*\]|[^/?#:]*)/i.exec(address)
  return bareHost(match?.[1] ?? '')
}

/** The host itself or the parent domain that is listed. */
const listedDomain = (host: string, domains: ReadonlySet<string>): string | undefined => {
  if (domains.size === 0) return undefined
  for (let rest = host; rest !== ''; ) {
    if (domains.has(rest)) return rest
    const dot = rest.indexOf('.')
    rest = dot === -1 ? '' : rest.slice(dot + 1)
  }
  return undefined
}
