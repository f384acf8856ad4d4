// Masks e-mail addresses, IP addresses and phone numbers, but not names. Every search is bounded, so that no text can
// make it slow.

import { isIPv6 } from 'node:net'
import { z } from 'zod'
import { defineFilter, keep } from './filter.ts'

const replacements = (values: string[]) => z.array(z.string()).min(1).default(values)

const config = z.strictObject({
  emails: z.boolean().default(true).describe('masking of e-mail addresses'),
  ips: z.boolean().default(true).describe('masking of IPv4 and IPv6 addresses'),
  phones: z.boolean().default(true).describe('masking of phone numbers of ten digits or with a country code'),
  publicIpsOnly: z.boolean().default(true).describe('exception for private, local and reserved IP addresses'),
  emailReplacements: replacements(['email@example.com', 'firstname.lastname@example.org']).describe(
    'replacements of e-mail addresses, used in turn within a document',
  ),
  // Addresses of the ranges that RFC 5737 and RFC 3849 reserve for documentation.
  ipv4Replacements: replacements(['192.0.2.1', '198.51.100.1', '203.0.113.1']).describe(
    'replacements of IPv4 addresses, used in turn within a document',
  ),
  ipv6Replacements: replacements(['2001:db8::1']).describe(
    'replacements of IPv6 addresses, used in turn within a document',
  ),
  phoneReplacements: replacements(['(555) 555-0100']).describe(
    'replacements of phone numbers, used in turn within a document',
  ),
})

export const personalData = defineFilter({
  type: 'personal-data',
  config,
  source:
    'e-mail and IPv4: PIIFormatter of huggingface/datatrove (FineWeb arXiv:2406.17557); phones: Dolma arXiv:2402.00159',
  summary: 'Masks e-mail addresses, IP addresses and phone numbers.',
  reasons: [],
  create(options) {
    return {
      apply({ text }) {
        let masked = text
        const counts: Record<string, number> = {}
        const mask = (kind: string, find: (text: string) => Iterable<Span>, values: readonly string[]) => {
          const { text: result, count } = replaceSpans(masked, find(masked), values)
          masked = result
          if (count > 0) counts[kind] = count
        }
        if (options.emails) mask('emails', findEmails, options.emailReplacements)
        if (options.ips) {
          mask('ipv4', (value) => findIpv4(value, options.publicIpsOnly), options.ipv4Replacements)
          mask('ipv6', (value) => findIpv6(value, options.publicIpsOnly), options.ipv6Replacements)
        }
        if (options.phones) mask('phones', findPhones, options.phoneReplacements)
        return masked === text ? keep : { keep: true, text: masked, metadata: { maskedPersonalData: counts } }
      },
    }
  },
})

/** Start and end in UTF-16 units. */
type Span = readonly [start: number, end: number]

const replaceSpans = (
  text: string,
  spans: Iterable<Span>,
  values: readonly string[],
): { text: string; count: number } => {
  const parts: string[] = []
  let count = 0
  let done = 0
  for (const [start, end] of spans) {
    parts.push(text.slice(done, start), values[count++ % values.length])
    done = end
  }
  if (count === 0) return { text, count }
  parts.push(text.slice(done))
  return { text: parts.join(''), count }
}

const localAtom = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]"
const boundary = '(?:(?<![\\p{L}\\p{N}_])(?=[\\p{L}\\p{N}_])|(?<=[\\p{L}\\p{N}_])(?![\\p{L}\\p{N}_]))'
const localPart = new RegExp(`${boundary}${localAtom}+(?:\\.${localAtom}+)*$`, 'u')
const localCharacter = /[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]/
const byte = '(?:25[0-5]|2[0-4][0-9]|[01]?[0-9][0-9]?)'
const label = '[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?'
const domainPart = new RegExp(`^(?:(?:${label}\\.)+${label}|\\[${byte}(?:\\.${byte}){3}\\])`)
/** Maximum lengths of the local part (doubled) and of the domain of an address. */
const longestLocal = 128
const longestDomain = 255

function* findEmails(text: string): Generator<Span> {
  let done = 0
  for (let at = text.indexOf('@'); at !== -1; at = text.indexOf('@', at + 1)) {
    if (at < done) continue
    let from = at
    while (from > done && at - from < longestLocal && localCharacter.test(text[from - 1])) from--
    if (from === at) continue
    // One more character on the left, for the boundary.
    const left = Math.max(done, from - 1)
    const local = localPart.exec(text.slice(left, at))
    if (local === null) continue
    const domain = domainPart.exec(text.slice(at + 1, at + 1 + longestDomain))
    if (domain === null) continue
    done = at + 1 + domain[0].length
    yield [left + local.index, done]
  }
}

const ipv4 = new RegExp(`${byte}(?:\\.${byte}){3}`, 'g')

function* findIpv4(text: string, publicOnly: boolean): Generator<Span> {
  for (const match of text.matchAll(ipv4)) {
    const bytes = match[0].split('.')
    if (bytes.some((part) => part.length > 1 && part.startsWith('0'))) continue
    if (publicOnly && !isPublicIpv4(bytes.map(Number))) continue
    yield [match.index, match.index + match[0].length]
  }
}

/** @source IANA IPv4 Special-Purpose Address Registry */
const isPublicIpv4 = ([a, b, c, d]: readonly number[]): boolean => {
  if (a === 0 || a === 10 || a === 127 || a >= 240) return false
  if (a === 100 && b >= 64 && b < 128) return false
  if (a === 169 && b === 254) return false
  if (a === 172 && b >= 16 && b < 32) return false
  if (a === 192 && b === 168) return false
  if (a === 192 && b === 0 && c === 0) return d === 9 || d === 10
  if (a === 192 && b === 0 && c === 2) return false
  if (a === 198 && (b === 18 || b === 19)) return false
  if (a === 198 && b === 51 && c === 100) return false
  return !(a === 203 && b === 0 && c === 113)
}

const ipv6Candidate = /(?<![\p{L}\p{N}_:.])[0-9A-Fa-f:]{4,39}(?![\p{L}\p{N}_:])/gu

function* findIpv6(text: string, publicOnly: boolean): Generator<Span> {
  if (!text.includes(':')) return
  for (const match of text.matchAll(ipv6Candidate)) {
    if (!isIPv6(match[0])) continue
    // Global unicast is 2000::/3, less the range for documentation.
    if (publicOnly && !(/^[23][0-9a-f]{3}:/i.test(match[0]) && !/^2001:0?db8:/i.test(match[0]))) continue
    yield [match.index, match.index + match[0].length]
  }
}

// North American numbers as Dolma finds them, and international ones that open with + and a country code.
const phone =
  /(?<=^|[\s(])(?:\(?\d{3}\)?[-. ]{0,3}\d{3}[-. ]?\d{4}|\+\d{1,3}[-. ]?(?:\(\d{1,4}\)[-. ]?)?\d{2,4}(?:[-. ]?\d{2,4}){1,4})(?![\d.]\d|\d)/g

function* findPhones(text: string): Generator<Span> {
  for (const match of text.matchAll(phone)) {
    const digits = match[0].replace(/\D/g, '').length
    if (digits < 10 && !match[0].startsWith('+')) continue
    if (digits < 8 || digits > 15) continue
    yield [match.index, match.index + match[0].length]
  }
}
