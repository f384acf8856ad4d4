// Common Crawl and other web captures: WARC (HTML responses), WET (text) and WAT (metadata).

import { z } from 'zod'
import { decodeUtf8 } from '../../files/index.ts'
import { decodeHtmlBytes } from '../extract/charset.ts'
import { extractHtml } from '../extract/html/index.ts'
import { defineSource, maximumBytes, normalizeText, type SourceContext, type SourceRecord } from './source.ts'
import { parseHttpResponse, readWarc, type WarcRecord } from './warc-records.ts'

const maxRecordBytes = maximumBytes(64, 'maximum bytes per record; longer ones are rejected')

const warcConfig = z.strictObject({
  mode: z
    .enum(['fast', 'faithful', 'all'])
    .default('fast')
    .describe('extraction of the main text: fast rules, faithful (Readability), or all text'),
  statuses: z.array(z.number().int()).default([200]).describe('HTTP status codes to read'),
  maxHtmlBytes: maximumBytes(8, 'maximum bytes per page; longer ones are rejected'),
  maxRecordBytes,
})

const htmlType = /\b(?:text\/html|application\/xhtml\+xml)\b/i

/** Opens a file of records, each of which `read` turns into a document or a reject. */
const openRecords = <Options extends { maxRecordBytes: number }>(
  read: (record: WarcRecord, options: Options) => SourceRecord,
) =>
  async function* (path: string, options: Options, context: SourceContext): AsyncGenerator<SourceRecord> {
    for await (const record of readWarc(path, options.maxRecordBytes, context)) {
      yield 'reason' in record ? record : read(record, options)
    }
  }

const readCapture = ({ headers, payload, source }: WarcRecord, options: z.output<typeof warcConfig>): SourceRecord => {
  const type = headers.get('warc-type') ?? ''
  const url = headers.get('warc-target-uri')?.replace(/^<|>$/g, '') ?? ''
  if (type !== 'response') return { reason: `record-${type || 'untyped'}`, source, detail: url }
  let response: ReturnType<typeof parseHttpResponse>
  try {
    response = parseHttpResponse(payload, options.maxHtmlBytes)
  } catch {
    return { reason: 'too-large', source, detail: url }
  }
  if (response === undefined) {
    // Crawlers also store what is not HTTP as responses, such as DNS look-ups.
    const recordType = headers.get('content-type') ?? ''
    const isHttp = recordType === '' || /^\s*application\/http\b/i.test(recordType)
    return isHttp
      ? { reason: 'broken-http', source, detail: url }
      : { reason: 'not-html', source, detail: `${recordType} ${url}` }
  }
  const contentType = response.headers.get('content-type') ?? headers.get('warc-identified-payload-type') ?? ''
  if (!options.statuses.includes(response.status))
    return { reason: 'http-status', source, detail: `${response.status} ${url}` }
  if (!htmlType.test(contentType)) return { reason: 'not-html', source, detail: `${contentType} ${url}` }
  if (response.body.length === 0) return { reason: 'empty', source, detail: url }
  const { text: html, charset } = decodeHtmlBytes(response.body, contentType)
  const { text, title, language } = extractHtml(html, { mode: options.mode })
  if (text === '') return { reason: 'no-content', source, detail: url }
  return {
    text: normalizeText(text),
    ...identity(headers, source.offset),
    metadata: {
      ...captureMetadata(headers, url),
      charset,
      ...(title === '' ? {} : { title }),
      ...(language === '' ? {} : { language }),
    },
    source,
  }
}

const identity = (headers: Map<string, string>, offset: number): { id: string } => ({
  id: headers.get('warc-record-id')?.replace(/^<|>$/g, '') || String(offset),
})

const captureMetadata = (headers: Map<string, string>, url: string): Record<string, string> => {
  const date = headers.get('warc-date')
  return { ...(url === '' ? {} : { url }), ...(date === undefined ? {} : { date }) }
}

const extractedConfig = z.strictObject({ maxRecordBytes })

const readWet = ({ headers, payload, source }: WarcRecord): SourceRecord => {
  const url = headers.get('warc-target-uri') ?? ''
  const type = headers.get('warc-type') ?? ''
  const text = decodeUtf8(payload)
  if (type !== 'conversion') return { reason: `record-${type || 'untyped'}`, source, detail: url }
  if (text === undefined) return { reason: 'invalid-utf8', source, detail: url }
  if (text.trim() === '') return { reason: 'empty', source, detail: url }
  const languages = headers.get('warc-identified-content-language')
  const metadata = { ...captureMetadata(headers, url), ...(languages === undefined ? {} : { languages }) }
  return { text: normalizeText(text), ...identity(headers, source.offset), metadata, source }
}

/** The fields of a WAT record that are read. */
interface WatEnvelope {
  Envelope?: {
    'WARC-Header-Metadata'?: Record<string, string>
    'Payload-Metadata'?: {
      'HTTP-Response-Metadata'?: {
        'Response-Message'?: { Status?: string }
        'HTML-Metadata'?: {
          Head?: { Title?: string; Metas?: { name?: string; property?: string; content?: string }[] }
          Links?: { url?: string; text?: string }[]
        }
      }
    }
  }
}

const readWat = ({ headers, payload, source }: WarcRecord): SourceRecord => {
  const type = headers.get('warc-type') ?? ''
  const url = headers.get('warc-target-uri') ?? ''
  if (type !== 'metadata') return { reason: `record-${type || 'untyped'}`, source, detail: url }
  const json = decodeUtf8(payload)
  if (json === undefined) return { reason: 'invalid-utf8', source, detail: url }
  let envelope: WatEnvelope['Envelope']
  try {
    envelope = (JSON.parse(json) as WatEnvelope | null)?.Envelope
  } catch {
    return { reason: 'broken-json', source, detail: url }
  }
  const response = envelope?.['Payload-Metadata']?.['HTTP-Response-Metadata']
  if (response === undefined) return { reason: 'not-a-response', source, detail: url }
  const html = response['HTML-Metadata']
  const title = html?.Head?.Title?.trim() ?? ''
  const metas = Array.isArray(html?.Head?.Metas) ? html.Head.Metas : []
  const description = metas.find(
    (meta) => meta.name?.toLowerCase() === 'description' || meta.property === 'og:description',
  )?.content
  const text = [title, description?.trim() ?? ''].filter((part) => part !== '').join('\n\n')
  if (text === '') return { reason: 'no-content', source, detail: url }
  return {
    text: normalizeText(text),
    ...identity(headers, source.offset),
    metadata: {
      ...captureMetadata(headers, url),
      links: Array.isArray(html?.Links) ? html.Links.length : 0,
      ...(response['Response-Message']?.Status === undefined ? {} : { status: response['Response-Message'].Status }),
    },
    source,
  }
}

/** Web captures: the main text of HTML responses. */
export const warc = defineSource({
  type: 'warc',
  config: warcConfig,
  summary: 'web captures (WARC): the main text of HTML pages',
  extensions: ['.warc'],
  open: openRecords(readCapture),
})

/** Text of web captures as Common Crawl extracts it. */
export const wet = defineSource({
  type: 'wet',
  config: extractedConfig,
  summary: 'text of web captures as Common Crawl publishes it (WET)',
  extensions: ['.wet', '.warc.wet'],
  open: openRecords(readWet),
})

/** Titles and descriptions of pages from Common Crawl's metadata. */
export const wat = defineSource({
  type: 'wat',
  config: extractedConfig,
  summary: 'titles and descriptions of web captures (WAT)',
  extensions: ['.wat', '.warc.wat'],
  open: openRecords(readWat),
})
