// Formats of texts as regular expressions: each text of the expression has the format by its standard, so that every validator
// takes it. Where validators differ, the expression has what all of them take.

const year = '(?!0000)\\d{4}'
const leapYear = '(?!0000)(?:\\d\\d[2468][048]|\\d\\d[13579][26]|\\d\\d0[48]|[02468][048]00|[13579][26]00)'
const day = {
  long: '(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])',
  short: '(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)',
  february: '02-(?:0[1-9]|1\\d|2[0-8])',
}
const date = `(?:${year}-(?:${day.long}|${day.short}|${day.february})|${leapYear}-02-29)`
const clock = '(?:[01]\\d|2[0-3]):[0-5]\\d'
const time = `${clock}:[0-5]\\d(?:\\.\\d{1,6})?(?:Z|[+-]${clock})`

/** Some units of a duration, each followed by the next smaller one or by none. */
const units = (letters: string): string =>
  [...letters]
    .map((_, i) => [...letters.slice(i)].reduceRight((after, unit) => `\\d{1,4}${unit}${after && `(?:${after})?`}`, ''))
    .join('|')
const duration = `P(?:\\d{1,4}W|T(?:${units('HMS')})|(?:${units('YMD')})(?:T(?:${units('HMS')}))?)`

const alphanumeric = '[A-Za-z0-9]'
/** No hyphens at the ends, nor in the third and fourth place, where they have a meaning (RFC 5891). @param max characters */
const label = (max: number): string => `(?!..--)${alphanumeric}(?:[A-Za-z0-9-]{0,${max - 2}}${alphanumeric})?`
/** Characters of a label at most (RFC 1035). */
const maxLabel = 63
const hostname = `(?:${label(maxLabel)}\\.){0,2}[A-Za-z]{1,20}`
/** Labels of subdomains are shorter, so that an address has at most 254 characters (RFC 5321). */
const domain = `(?:${label(40)}\\.){0,2}${label(maxLabel)}\\.[A-Za-z]{2,20}`
const email = `[A-Za-z0-9_+-]{1,20}(?:\\.[A-Za-z0-9_+-]{1,20}){0,2}@${domain}`
const path = "(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-F]{2})"
const authority = `//${hostname}(?::[1-9]\\d{0,3})?`
const folders = `(?:/${path}*)*`
/** Schemes whose URIs need a host, by the URL standard, then files, then all others, such as `mailto:`, `urn:` and `s3:`. */
const uriStarts = [
  `(?:https?|wss?|ftp):${authority}${folders}`,
  `file://(?:/${path}+)+`,
  `(?!(?:https?|wss?|ftp|file):)[a-z][a-z0-9+.-]{1,19}:(?:${authority}${folders}|${path}+${folders})`,
]
const uri = `(?:${uriStarts.join('|')})(?:\\?(?:${path}|/)*)?(?:#(?:${path}|/)*)?`

const byte = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)'
const group = '[0-9a-fA-F]{1,4}'
/** With `::` in place of one group or more, after some of them. */
const shortened = [0, 1, 2, 3, 4, 5, 6].map((before) => {
  const after = 6 - before
  const left = before === 0 ? '' : `${group}(?::${group}){${before - 1}}`
  return `${left}::${after === 0 ? '' : `(?:${group}(?::${group}){0,${after - 1}})?`}`
})
const ipv6 = [`${group}(?::${group}){7}`, ...shortened].join('|')
const uuid = (version: string): string =>
  `[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-${version}[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}`

/**
 * Patterns that zod writes beside a format, by its name: every text of the format follows them. To read both at once would count the
 * characters of each label and of all, which takes longer than a schema may.
 */
export const impliedPatterns: Readonly<Record<string, string>> = {
  hostname:
    '^(?=.{1,253}\\.?$)[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\\.[a-zA-Z0-9](?:[-0-9a-zA-Z]{0,61}[0-9a-zA-Z])?)*\\.?$',
}

/** Regular expressions of whole texts, by the name of the format. */
export const formatPatterns: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries({
    date,
    time,
    'date-time': `${date}T${time}`,
    duration,
    email,
    hostname,
    uri,
    ipv4: `${byte}(?:\\.${byte}){3}`,
    ipv6,
    uuid: uuid('[1-8]'),
    uuid4: uuid('4'),
  }).map(([name, pattern]) => [name, `^(?:${pattern})$`]),
)
