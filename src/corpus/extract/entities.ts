// Decoding of the character references of XML and HTML.
import { Parser } from 'htmlparser2'

const xmlNames: Record<string, string> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" }

/** Decodes the five named and the numeric references of XML. */
export const decodeXml = (text: string): string => {
  if (!text.includes('&')) return text
  return text.replace(/&(?:(lt|gt|amp|quot|apos)|#(\d{1,7})|#x([\da-f]{1,6}));/gi, (whole, name, decimal, hex) =>
    name !== undefined ? (xmlNames[name] ?? whole) : numbered(decimal, hex),
  )
}

/** Windows-1252 where Latin-1 has control characters; in HTML, &#150; is an en dash. */
export const windows1252 = '€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ'

const numbered = (decimal: string | undefined, hex: string | undefined): string => {
  const code = decimal !== undefined ? Number.parseInt(decimal, 10) : Number.parseInt(hex ?? '0', 16)
  if (code >= 0x80 && code <= 0x9f) return windows1252[code - 0x80]
  if (code === 9 || code === 10 || code === 13) return String.fromCharCode(code)
  if (code < 32 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return ''
  return String.fromCodePoint(code)
}

const named = new Map<string, string>()

/** The text of one reference, such as `&eacute;` or `&#233;`; the same string when it is unknown. */
export const decodeHtmlEntity = (reference: string): string => {
  if (reference.charCodeAt(1) === 35) {
    const match = /^&#(?:(\d{1,7})|x([\da-f]{1,6}));?$/i.exec(reference)
    return match === null ? reference : numbered(match[1], match[2])
  }
  let text = named.get(reference)
  if (text === undefined) {
    // The parser has the full table of HTML names; each distinct name is looked up once.
    let decoded = ''
    const parser = new Parser({ ontext: (part) => (decoded += part) }, { decodeEntities: true })
    parser.end(reference)
    text = decoded
    if (named.size < 10_000) named.set(reference, text)
  }
  return text
}

const reference = /&(?:#\d{1,7}|#[xX][\da-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});?/g

/** Decodes all character references of HTML. */
export const decodeHtml = (text: string): string =>
  text.includes('&') ? text.replace(reference, decodeHtmlEntity) : text
