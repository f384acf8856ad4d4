// Plain text: a document is a file, a line, or a block between blank lines.

import { z } from 'zod'
import { DataError } from '../../core/index.ts'
import { type ByteStream, openBytes, splitLines } from '../../files/index.ts'
import { decodePlainBytes, isBinary } from '../extract/charset.ts'
import { defineSource, maximumBytes, normalizeText, type SourceContext, type SourceRecord } from './source.ts'

const config = z.strictObject({
  document: z
    .enum(['file', 'line', 'block', 'wikitext'])
    .default('file')
    .describe('unit of a document: a file, a line, a block between blank lines, or an article of WikiText (= Title =)'),
  maxDocumentBytes: maximumBytes(
    16,
    'maximum bytes per document; longer ones are split at line ends, longer lines are rejected',
  ),
})

type TextConfig = z.output<typeof config>

const wikitextTitle = /^ = ([^=]|[^=].*[^=]) = $/

/** Reads text from any stream; `path` names it. */
export async function* readText(
  bytes: ByteStream,
  path: string,
  options: TextConfig,
  { signal }: SourceContext,
): AsyncGenerator<SourceRecord> {
  let lines: Buffer[] = []
  let size = 0
  let offset = 0
  let number = 0
  let any = false
  let title: string | undefined

  const finish = (): SourceRecord | undefined => {
    const source = { path, offset }
    const {
      text: decoded,
      charset,
      damaged,
    } = decodePlainBytes(Buffer.concat(lines.flatMap((line, index) => (index === 0 ? [line] : [newline, line]))))
    lines = []
    size = 0
    if (damaged && charset === 'utf-8') return { reason: 'invalid-utf8', source }
    if (charset === 'windows-1252' && isBinary(decoded)) return { reason: 'not-text', source }
    const text = normalizeText(decoded)
    if (text.trim() === '') return undefined
    const metadata = { ...(charset === 'utf-8' ? {} : { charset }), ...(title === undefined ? {} : { title }) }
    return { text, id: String(number++), metadata, source }
  }

  for await (const line of splitLines(bytes, options.maxDocumentBytes)) {
    signal?.throwIfAborted()
    any = true
    if (line.bytes === undefined) {
      const record = lines.length > 0 ? finish() : undefined
      if (record !== undefined) yield record
      const detail = `line ${line.number} of ${line.length} bytes`
      yield { reason: 'too-large', source: { path, offset: line.offset }, detail }
      continue
    }
    const newTitle = options.document === 'wikitext' ? wikitextTitle.exec(line.bytes.toString('utf8'))?.[1] : undefined
    const separates =
      newTitle !== undefined ||
      (options.document === 'block' && line.bytes.toString('latin1').trim() === '') ||
      size + line.length + 1 > options.maxDocumentBytes
    if (separates && lines.length > 0) {
      const record = finish()
      if (record !== undefined) yield record
    }
    if (newTitle !== undefined) title = newTitle
    if (lines.length === 0) offset = line.offset
    lines.push(Buffer.from(line.bytes))
    size += line.length + 1
    if (options.document === 'line') {
      const record = finish()
      if (record !== undefined) yield record
    }
  }
  if (lines.length > 0) {
    const record = finish()
    if (record !== undefined) yield record
  }
  if (!any) throw new DataError('Expected text, got an empty file. Check the path.', path)
}

const newline = Buffer.from('\n')

/** Plain text files. */
export const text = defineSource({
  type: 'text',
  config,
  summary: 'plain text: one file, line or block per document',
  extensions: ['.txt', '.text', '.md'],
  open: (path, options, context) => readText(openBytes({ path, signal: context.signal }), path, options, context),
})
