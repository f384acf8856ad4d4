// Drops documents by their address: listed domains, listed addresses, banned words and parts of words.
// The lists are the user's; none is built in. Documents without an address are kept unless the options say otherwise.

import { z } from 'zod'
import { readWordList } from '../text/index.ts'
import { defineFilter, drop, keep } from './filter.ts'

const list = z.array(z.string().min(1)).default([])

const config = z.strictObject({
  field: z.string().default('url').describe('the metadata field that holds the address'),
  missing: z.enum(['keep', 'drop']).default('keep').describe('what happens to documents without an address'),
  domains: list.describe('domains whose documents are dropped, with all their subdomains'),
  domainsFile: z.string().optional().describe('the same from a file, one a line, plain or gzip'),
  urls: list.describe('addresses to drop'),
  urlsFile: z.string().optional().describe('the same from a file'),
  words: list.describe('words of an address that drop it alone'),
  wordsFile: z.string().optional().describe('the same from a file'),
  softWords: list.describe('words that drop an address together'),
  softWordsFile: z.string().optional().describe('the same from a file'),
  softWordThreshold: z.number().int().min(1).default(2).describe('how many different soft words drop an address'),
  subwords: list.describe('strings that drop an address wherever they stand in its letters and digits'),
  subwordsFile: z.string().optional().describe('the same from a file'),
})

export const url = defineFilter({
  type: 'url',
  config,
  source: 'RefinedWeb arXiv:2306.01116 appendix G.1; code URLFilter of huggingface/datatrove',
  summary: 'Drops documents whose domain, address or words of the address are on block lists.',
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

/** The host of an address, with or without scheme, user and port; '' when there is none. */
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
