// Records of a WARC stream (ISO 28500), with recovery: a record with a wrong length is rejected, and reading continues
// at the next record, even if the wrong length spans it.
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
export const parseHeaders = (text: string, from: number): Map<string, string> => {
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
