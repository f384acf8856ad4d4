// The documents of make-golden.py, read in the same order from the shared data folder.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'

export const dataFolder = join(import.meta.dirname, '../../../shared/data')

const read = (path: string): string => gunzipSync(readFileSync(join(dataFolder, path))).toString('utf8')

export function* goldenDocuments(): Generator<string> {
  for (const line of read('c4-sample/c4_demo.jsonl.gz').split('\n')) if (line !== '') yield JSON.parse(line).text
  for (const line of read('wikipedia-plain/wiki_demo.txt.gz').split('\n')) if (line !== '') yield line
  const books = readdirSync(join(dataFolder, 'books')).filter((name) => name.endsWith('.md.gz'))
  for (const book of books.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))) {
    const paragraphs = read(`books/${book}`).split('\n')
    for (let start = 8; start < paragraphs.length; start += 400) {
      yield paragraphs.slice(start, start + 1 + (Math.floor(start / 400) % 8)).join('\n')
    }
  }
  const lines = read('wikitext-2/valid.txt.gz').split('\n')
  for (let start = 0; start < lines.length; start += 24) yield lines.slice(start, start + 24).join('\n')
  const rows: { response: string }[] = JSON.parse(read('gpteacher/codegen-instruct.json.gz'))
  for (let i = 0; i < rows.length; i += 8) yield rows[i].response
}
