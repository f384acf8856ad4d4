// A captured HTTP response: status, headers, and the body with transfer and content encodings decoded. The output is
// bounded; a truncated body is decoded as far as it goes.
import { brotliDecompressSync, constants, gunzipSync, inflateRawSync, inflateSync } from 'node:zlib'
import { decompress as unzstd } from 'fzstd'
import { parseHeaders } from './warc-records.ts'

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
