// Books, one file per book: plain text, Markdown and Project Gutenberg files.

import { basename } from 'node:path'
import { z } from 'zod'
import { DataError } from '../../core/index.ts'
import { openBytes } from '../../files/index.ts'
import { bookText, parseBook } from '../extract/book.ts'
import { decodePlainBytes } from '../extract/charset.ts'
import { defineSource, maximumBytes, normalizeText, type SourceContext, type SourceRecord } from './source.ts'

const config = z.strictObject({
  document: z.enum(['book', 'chapter']).default('book').describe('unit of a document'),
  unwrap: z.boolean().default(true).describe('joining of lines that were wrapped at a fixed width'),
  maxBookBytes: maximumBytes(256, 'maximum bytes per book; longer ones are rejected'),
})

async function* open(
  path: string,
  options: z.output<typeof config>,
  { signal }: SourceContext,
): AsyncGenerator<SourceRecord> {
  const chunks: Uint8Array[] = []
  let size = 0
  const source = { path, offset: 0 }
  for await (const chunk of openBytes({ path, signal })) {
    size += chunk.length
    if (size > options.maxBookBytes) {
      yield { reason: 'too-large', source, detail: `more than ${options.maxBookBytes} bytes` }
      return
    }
    chunks.push(Uint8Array.from(chunk))
  }
  if (size === 0) throw new DataError('Expected a book, got an empty file. Check the path.', path)
  const decoded = decodePlainBytes(Buffer.concat(chunks))
  if (decoded.text.includes('\0')) {
    yield { reason: 'not-text', source, detail: 'the file has zero bytes' }
    return
  }
  const { chapters, ...about } = parseBook(decoded.text, { unwrap: options.unwrap })
  const metadata = {
    title:
      about.title ??
      basename(path)
        .replace(/\.(?:gz|bz2|zst)$/i, '')
        .replace(/\.\w{1,8}$/, ''),
    ...(about.author === undefined ? {} : { author: about.author }),
    ...(about.year === undefined ? {} : { year: /^\d{1,4}$/.test(about.year) ? Number(about.year) : about.year }),
    ...(about.language === undefined ? {} : { language: about.language }),
    ...(decoded.charset === 'utf-8' ? {} : { charset: decoded.charset }),
  }
  if (chapters.length === 0) {
    yield { reason: 'empty', source }
    return
  }
  if (options.document === 'book') {
    yield { text: normalizeText(bookText(chapters)), id: '0', metadata, source }
    return
  }
  for (const [index, chapter] of chapters.entries()) {
    yield {
      text: normalizeText(bookText([chapter])),
      id: String(index),
      metadata: {
        ...metadata,
        chapter: index + 1,
        ...(chapter.title === '' ? {} : { chapterTitle: chapter.title.replace(/\s+/g, ' ') }),
      },
      source,
    }
  }
}

/** Books. */
export const books = defineSource({
  type: 'books',
  config,
  summary: 'books as plain text, Markdown or Project Gutenberg files, one file per book',
  extensions: ['.txt', '.md', '.text'],
  open,
})
