// Detection of the character encoding of bytes, and their text. In order: byte order mark, valid UTF-8, HTTP header,
// <meta> in the first 4 kB, Windows-1252. WHATWG labels are those of TextDecoder.

import { windows1252 } from './entities.ts'

export interface DecodedText {
  text: string
  /** WHATWG name of the encoding, lower case. */
  charset: string
  /** Whether some bytes were invalid and became U+FFFD. */
  damaged: boolean
}

type Decoder = InstanceType<typeof TextDecoder>

const utf8 = new TextDecoder('utf-8', { fatal: true })
const decoders = new Map<string, Decoder | undefined>()

const decoderFor = (label: string): Decoder | undefined => {
  const key = label.trim().toLowerCase()
  if (!decoders.has(key)) {
    let decoder: Decoder | undefined
    try {
      decoder = new TextDecoder(key)
    } catch {
      decoder = undefined // an unknown label: the next rule applies
    }
    if (decoders.size > 500) decoders.clear()
    decoders.set(key, decoder)
  }
  return decoders.get(key)
}

const fromMark = (bytes: Uint8Array): string | undefined => {
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) return 'utf-8'
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return 'utf-16be'
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return 'utf-16le'
  return undefined
}

const metaCharset = /<meta[^>]{0,200}?\bcharset\s*=\s*["']?\s*([\w:.-]{2,40})/i
const xmlEncoding = /^\s*<\?xml[^>]{0,100}?\bencoding\s*=\s*["']([\w:.-]{2,40})/i
const headerCharset = /\bcharset\s*=\s*["']?\s*([\w:.-]{2,40})/i

/** Decodes an HTML page. */
export const decodeHtmlBytes = (bytes: Uint8Array, contentType = ''): DecodedText => {
  const mark = fromMark(bytes)
  if (mark !== undefined) return decodeWith(bytes, mark)
  // Most pages are valid UTF-8, and text of another encoding hardly ever is, so valid bytes outrank the header.
  const plain = tryUtf8(bytes)
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 4096)).toString('latin1')
  const claims = [headerCharset.exec(contentType)?.[1], metaCharset.exec(head)?.[1], xmlEncoding.exec(head)?.[1]]
  if (plain !== undefined && !claims.some(isEscapeCoded)) return plain
  for (const claim of claims) {
    const decoder = claim === undefined ? undefined : decoderFor(claim)
    if (decoder === undefined) continue
    // A page that claims UTF-8 without being valid is mostly UTF-8 with a broken byte, or all Windows-1252.
    if (decoder.encoding === 'utf-8')
      return mostlyUtf8(bytes) ? decodeWith(bytes, 'utf-8') : decodeWith(bytes, 'windows-1252')
    // <meta> in a page read as ASCII cannot be in UTF-16.
    if (decoder.encoding.startsWith('utf-16')) continue
    return decodeWith(bytes, decoder.encoding)
  }
  return mostlyUtf8(bytes) ? decodeWith(bytes, 'utf-8') : decodeWith(bytes, 'windows-1252')
}

/** Decodes plain text: a byte order mark, else UTF-8 if valid, else Windows-1252. */
export const decodePlainBytes = (bytes: Uint8Array): DecodedText => {
  const mark = fromMark(bytes)
  if (mark !== undefined) return decodeWith(bytes, mark)
  return tryUtf8(bytes) ?? decodeWith(bytes, mostlyUtf8(bytes) ? 'utf-8' : 'windows-1252')
}

/** Largest share of control characters in text; in random bytes it is 12 %. */
const maxControlShare = 0.02

/** Whether a text decoded as Windows-1252 is binary data: that encoding has a character for nearly every byte. */
export const isBinary = (text: string): boolean => {
  let controls = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    const isSpace = code >= 0x09 && code <= 0x0d
    if ((code < 0x20 && !isSpace) || (code >= 0x7f && code <= 0x9f)) controls++
  }
  return controls > maxControlShare * text.length
}

/** Encodings whose bytes are ASCII but whose text is not. */
const isEscapeCoded = (label: string | undefined): boolean =>
  label !== undefined && /^(iso-2022-jp|csiso2022jp|hz-gb-2312|utf-7)$/i.test(label)

const tryUtf8 = (bytes: Uint8Array): DecodedText | undefined => {
  try {
    return { text: utf8.decode(bytes), charset: 'utf-8', damaged: false }
  } catch {
    return undefined
  }
}

const decodeWith = (bytes: Uint8Array, label: string): DecodedText => {
  const decoder = decoderFor(label) ?? decoderFor('windows-1252')!
  const text =
    decoder.encoding === 'windows-1252' ? decodeWindows1252(bytes) : decoder.decode(wholeUnits(bytes, decoder.encoding))
  return { text, charset: decoder.encoding, damaged: text.includes('\ufffd') }
}

/** Drops the half character at the end of UTF-16 that was split at a line end. */
const wholeUnits = (bytes: Uint8Array, encoding: string): Uint8Array =>
  encoding.startsWith('utf-16') && bytes.length % 2 === 1 ? bytes.subarray(0, -1) : bytes

/** Node 20 decodes windows-1252 as Latin-1, so the differing characters are replaced here. */
const decodeWindows1252 = (bytes: Uint8Array): string => {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
  return text.replace(/[\u0080-\u009f]/g, (character) => windows1252[character.charCodeAt(0) - 0x80])
}

/** Whether valid UTF-8 sequences outnumber invalid bytes ten to one, among bytes above 127. */
const mostlyUtf8 = (bytes: Uint8Array): boolean => {
  let good = 0
  let bad = 0
  for (let at = 0; at < bytes.length; ) {
    const byte = bytes[at]
    if (byte < 0x80) {
      at++
      continue
    }
    const length =
      byte >= 0xc2 && byte <= 0xdf ? 1 : byte >= 0xe0 && byte <= 0xef ? 2 : byte >= 0xf0 && byte <= 0xf4 ? 3 : 0
    let following = 0
    while (following < length && (bytes[at + 1 + following] & 0xc0) === 0x80) following++
    if (length > 0 && following === length) good++
    else bad++
    at += 1 + following
  }
  return good > 0 && good >= bad * 10
}
