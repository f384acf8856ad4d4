// Records of a WARC stream (ISO 28500), with recovery: a record with a wrong length is rejected, and reading continues at
// the next record, even if the wrong length spans it. And the HTTP response in a record: the output is bounded, and a
// truncated body is decoded as far as it goes.

import { brotliDecompressSync, constants, gunzipSync, inflateRawSync, inflateSync } from 'node:zlib'
import { decompress as unzstd } from 'fzstd'
import { DataError } from '../../core/index.ts'
import { ByteReader, openBytes } from '../../files/index.ts'
import type { SourceContext, SourcePosition, SourceReject } from './source.ts'

export interface WarcRecord {
  /** Headers by lower-case name; the first of repeated ones. */
  headers: Map<string, string>
  /** Valid until the next record is read. */
  payload: Buffer
  source: SourcePosition
}

const maxHeaderBytes = 1 << 16
const start = Buffer.from('WARC/')
const nextRecord = Buffer.from('\nWARC/')
const blankLine = Buffer.from('\r\n\r\n')
const blankLineUnix = Buffer.from('\n\n')
const version = /^WARC\/[01]\.\d{1,2}\r?\n/

/** Streams records with payloads of at most `maxRecordBytes` in memory. @throws DataError when the file is no WARC */
export async function* readWarc(
  path: string,
  maxRecordBytes: number,
  { signal }: SourceContext,
): AsyncGenerator<WarcRecord | SourceReject> {
  const reader = new ByteReader(openBytes({ path, signal }))
  try {
    await reader.ensure(start.length)
    if (!reader.peek(start.length).equals(start)) {
      reader.throwIfFailed()
      const got = reader.available === 0 ? 'an empty file' : 'a file that does not begin with WARC/'
      throw new DataError(`Expected WARC records, got ${got}. Check the path.`, path)
    }
    for (;;) {
      signal?.throwIfAborted()
      const source = { path, offset: reader.offset }
      const head = await readHead(reader)
      if (head === undefined) {
        if (reader.available > 0) {
          yield {
            reason: 'broken-record',
            source,
            detail: reader.ended ? 'the file ends inside a header' : 'no WARC header',
          }
          if (!(await resync(reader))) break
          continue
        }
        break
      }
      const declared = Number(head.headers.get('content-length') ?? Number.NaN)
      if (!Number.isSafeInteger(declared) || declared < 0) {
        yield { reason: 'wrong-length', source, detail: `Content-Length "${head.headers.get('content-length') ?? ''}"` }
        reader.take(head.length)
        if (!(await resync(reader))) break
        continue
      }
      if (declared > maxRecordBytes) {
        yield { reason: 'too-large', source, detail: `record of ${declared} bytes` }
        reader.take(head.length)
        if (!(await resync(reader))) break
        continue
      }
      const whole = head.length + declared
      const complete = await reader.ensure(whole)
      if (!complete || !(await endsWell(reader, whole))) {
        // Too long, too short, or truncated: the search for the next record includes the claimed payload.
        const detail = complete ? `not ${declared} bytes long` : `the file ends before the ${declared} bytes declared`
        yield { reason: 'wrong-length', source, detail }
        reader.take(head.length)
        if (!(await resync(reader))) break
        continue
      }
      const payload = reader.peek(whole, head.length)
      yield { headers: head.headers, payload, source }
      reader.take(whole)
      if (!(await skipLineEnds(reader))) break
    }
    reader.throwIfFailed()
  } finally {
    await reader.close()
  }
}

const readHead = async (reader: ByteReader): Promise<{ headers: Map<string, string>; length: number } | undefined> => {
  let end = await reader.find(blankLine, maxHeaderBytes)
  let separator = blankLine.length
  const unix = reader.peek(end < 0 ? maxHeaderBytes : end).indexOf(blankLineUnix)
  if (unix >= 0) {
    end = unix
    separator = blankLineUnix.length
  }
  if (end < 0) return undefined
  const text = reader.peek(end).toString('utf8')
  if (!version.test(`${text}\n`)) return undefined
  return { headers: parseHeaders(text, text.indexOf('\n') + 1), length: end + separator }
}

/** Header lines as a map; folded lines are joined. */
const parseHeaders = (text: string, from: number): Map<string, string> => {
  const headers = new Map<string, string>()
  let last = ''
  for (const line of text.slice(from).split(/\r?\n/)) {
    if (/^[ \t]/.test(line) && last !== '') headers.set(last, `${headers.get(last)} ${line.trim()}`)
    else {
      const colon = line.indexOf(':')
      if (colon <= 0) continue
      last = line.slice(0, colon).trim().toLowerCase()
      if (headers.has(last)) last = ''
      else headers.set(last, line.slice(colon + 1).trim())
    }
  }
  return headers
}

/** Whether line ends and then another record or the end of the file follow the payload. */
const endsWell = async (reader: ByteReader, whole: number): Promise<boolean> => {
  for (let ahead = whole; ; ahead++) {
    if (!(await reader.ensure(ahead + 1))) return true
    const byte = reader.peek(ahead + 1, ahead)[0]
    if (byte === 13 || byte === 10) continue
    if (ahead === whole) return false
    await reader.ensure(ahead + start.length)
    return reader.peek(ahead + start.length, ahead).equals(start)
  }
}

const skipLineEnds = async (reader: ByteReader): Promise<boolean> => {
  while (await reader.ensure(1)) {
    const byte = reader.peek(1)[0]
    if (byte !== 13 && byte !== 10) return true
    reader.take(1)
  }
  return false
}

/** Moves to the next line that begins a record; returns false at the end. */
const resync = async (reader: ByteReader): Promise<boolean> => {
  while (await reader.skipPast(nextRecord)) {
    await reader.ensure(8)
    if (/^[01]\.\d/.test(reader.peek(3).toString('latin1'))) {
      reader.untake(start.length)
      return true
    }
  }
  return false
}

export interface HttpResponse {
  status: number
  headers: Map<string, string>
  body: Uint8Array
}

/**
 * Parses a captured response; undefined without a status line.
 * @throws RangeError for a decoded body over `maxBytes`
 */
export const parseHttpResponse = (payload: Buffer, maxBytes: number): HttpResponse | undefined => {
  const crlf = payload.indexOf('\r\n\r\n')
  const lf = payload.subarray(0, crlf < 0 ? undefined : crlf).indexOf('\n\n')
  const end = lf >= 0 ? lf : crlf
  const head = payload.subarray(0, end < 0 ? Math.min(payload.length, 1 << 16) : end).toString('latin1')
  const match = /^HTTP\/\d(?:\.\d)?\s+(\d{3})/.exec(head)
  if (match === null) return undefined
  const headers = parseHeaders(head, head.indexOf('\n') < 0 ? head.length : head.indexOf('\n') + 1)
  let body: Uint8Array = end < 0 ? new Uint8Array(0) : payload.subarray(end + (lf >= 0 ? 2 : 4))
  if (/\bchunked\b/i.test(headers.get('transfer-encoding') ?? '')) body = unchunk(body as Buffer)
  for (const encoding of (headers.get('content-encoding') ?? '').toLowerCase().split(',').reverse()) {
    body = decode(body, encoding.trim(), maxBytes)
  }
  if (body.length > maxBytes) throw new RangeError('body too large')
  return { status: Number(match[1]), headers, body }
}

/** Decodes chunked coding; some crawlers store the decoded body with the old header, which is returned unchanged. */
const unchunk = (body: Buffer): Buffer => {
  const parts: Buffer[] = []
  let at = 0
  while (at < body.length) {
    const lineEnd = body.indexOf(10, at)
    const line = body.subarray(at, lineEnd < 0 ? Math.min(body.length, at + 20) : lineEnd).toString('latin1')
    const size = /^\s*([\da-f]{1,8})\s*(?:;.*)?$/i.exec(line.trimEnd())
    if (size === null || lineEnd < 0) {
      if (parts.length === 0) return body
      break // truncated or damaged: keep the chunks before
    }
    const length = Number.parseInt(size[1], 16)
    if (length === 0) break
    parts.push(body.subarray(lineEnd + 1, lineEnd + 1 + length))
    at = lineEnd + 1 + length
    if (body[at] === 13) at++
    if (body[at] === 10) at++
  }
  return Buffer.concat(parts)
}

const decode = (body: Uint8Array, encoding: string, maxOutputLength: number): Uint8Array => {
  if (body.length === 0) return body
  const lenient = { maxOutputLength, finishFlush: constants.Z_SYNC_FLUSH }
  try {
    if (encoding === 'gzip' || encoding === 'x-gzip') {
      return body[0] === 0x1f && body[1] === 0x8b ? gunzipSync(body, lenient) : body
    }
    if (encoding === 'deflate') {
      return (body[0] & 0x0f) === 8 ? inflateSync(body, lenient) : inflateRawSync(body, lenient)
    }
    if (encoding === 'br') return brotliDecompressSync(body, { maxOutputLength })
    if (encoding === 'zstd') return zstdWithin(body, maxOutputLength)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw new RangeError('body too large')
    if (error instanceof RangeError) throw error
    // Already decoded, or damaged: the caller rejects bodies that are not text.
  }
  return body
}

const zstdWithin = (body: Uint8Array, maxBytes: number): Uint8Array => {
  if (zstdContentSize(body) > maxBytes) throw new RangeError('body too large')
  return unzstd(body)
}

/** The size in a zstd frame header; infinite when the header has none. */
const zstdContentSize = (frame: Uint8Array): number => {
  const descriptor = frame[4]
  const flag = descriptor >> 6
  const single = (descriptor >> 5) & 1
  const bytes = flag === 0 ? single : 1 << flag
  if (bytes === 0) return Number.POSITIVE_INFINITY
  const at = 5 + (single === 1 ? 0 : 1) + [0, 1, 2, 4][descriptor & 3]
  let size = 0
  for (let index = bytes - 1; index >= 0; index--) size = size * 256 + (frame[at + index] ?? 0)
  return bytes === 2 ? size + 256 : size
}
