// Saved word counts: a text file with a JSON header line, then one line per word with its count and the word as a JSON
// string, sorted by the words' bytes. Gzipped if the name ends in .gz. Counts of several files can be added.
import { createReadStream, createWriteStream } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createGzip } from 'node:zlib'
import { DataError } from '../../core/index.ts'
import type { WordCounts } from './count-words.ts'
import type { PreTokenization } from './pre-tokenization.ts'
import { sortWords, WordTable, wordText } from './word-table.ts'

const FORMAT = 'tunesmith-word-counts'

interface Header {
  format: typeof FORMAT
  version: 1
  preTokenization: PreTokenization
  documents: number
  bytes: number
}

/** Writes counts to `path` atomically. */
export const writeCounts = async (
  path: string,
  counts: WordCounts,
  preTokenization: PreTokenization,
): Promise<void> => {
  const words = sortWords(counts.words)
  const header: Header = {
    format: FORMAT,
    version: 1,
    preTokenization,
    documents: counts.documents,
    bytes: counts.bytes,
  }
  function* blocks(): Generator<string> {
    let block = `${JSON.stringify(header)}\n`
    for (let word = 0; word < words.size; word++) {
      block += `${words.counts[word]}\t${JSON.stringify(wordText(words, word))}\n`
      if (block.length > 1 << 16) {
        yield block
        block = ''
      }
    }
    yield block
  }
  const temporary = `${path}.${process.pid}.tmp`
  try {
    const source = Readable.from(blocks())
    const file = createWriteStream(temporary, { flush: true })
    if (path.endsWith('.gz')) await pipeline(source, createGzip(), file)
    else await pipeline(source, file)
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}

/** Reads counts that were made with the same pre-tokenization. Throws DataError with the line of a fault. */
export const readCounts = async (path: string, preTokenization: PreTokenization): Promise<WordCounts> => {
  const raw = createReadStream(path)
  const source = path.endsWith('.gz') ? raw.pipe(createGunzip()) : raw
  raw.on('error', (error) => source.destroy(error))
  const failed = new Promise<never>((_, reject) => source.on('error', reject))
  failed.catch(() => {})
  const lines = createInterface({ input: source, crlfDelay: Number.POSITIVE_INFINITY })[Symbol.asyncIterator]()
  const table = new WordTable()
  let header: Header | undefined
  let line = 0
  try {
    for (;;) {
      const next = await Promise.race([lines.next(), failed])
      if (next.done) break
      line++
      if (header === undefined) header = readHeader(next.value, path, preTokenization)
      else addLine(next.value, path, line, table)
    }
  } catch (error) {
    if (error instanceof DataError) throw error
    throw new DataError(
      `Expected word counts, got ${error instanceof Error ? error.message : String(error)}. Count again.`,
      path,
      line,
    )
  }
  if (header === undefined) throw new DataError('Expected word counts, got an empty file. Count again.', path)
  return { words: table.data(), documents: header.documents, bytes: header.bytes, skippedLong: 0, skippedRare: 0 }
}

const readHeader = (text: string, path: string, required: PreTokenization): Header => {
  let header: Partial<Header> | null = null
  try {
    header = JSON.parse(text) as Partial<Header> | null
  } catch {
    // Not JSON: reported below like any other wrong header.
  }
  if (header?.format !== FORMAT || header.version !== 1) {
    throw new DataError(
      `Expected a header with the format ${FORMAT} 1, got ${text.slice(0, 60)}. Name a file written by \`--save-counts\`.`,
      path,
      1,
    )
  }
  const expected = settingsText(required)
  const got = settingsText(header.preTokenization ?? {})
  if (got !== expected) {
    throw new DataError(
      `Expected counts made with ${expected}, got ${got}. Use the same pre-tokenizer and normalizer options for both.`,
      path,
      1,
    )
  }
  return header as Header
}

const settingsText = ({ preTokenizer, normalizer, lowercase, addPrefixSpace }: Partial<PreTokenization>): string =>
  JSON.stringify({ preTokenizer, normalizer, lowercase, addPrefixSpace })

const addLine = (text: string, path: string, line: number, table: WordTable): void => {
  const tab = text.indexOf('\t')
  const count = Number(text.slice(0, Math.max(0, tab)))
  let word: unknown
  try {
    word = JSON.parse(text.slice(tab + 1))
  } catch {
    // Reported below.
  }
  if (tab < 1 || !Number.isSafeInteger(count) || count < 1 || typeof word !== 'string') {
    throw new DataError(`Expected a count and a word, got ${text.slice(0, 60)}. Count again.`, path, line)
  }
  const bytes = Buffer.from(word, 'utf8')
  table.add(bytes, 0, bytes.length, count)
}

/** Adds several sets of counts. */
export const addCounts = (parts: readonly WordCounts[]): WordCounts => {
  if (parts.length === 1) return parts[0]
  const table = new WordTable({ expectedWords: Math.max(16, ...parts.map(({ words }) => words.size)) })
  for (const { words } of parts) table.addAll(words)
  const sum = (read: (part: WordCounts) => number) => parts.reduce((total, part) => total + read(part), 0)
  return {
    words: table.data(),
    documents: sum(({ documents }) => documents),
    bytes: sum(({ bytes }) => bytes),
    skippedLong: sum(({ skippedLong }) => skippedLong),
    skippedRare: sum(({ skippedRare }) => skippedRare),
  }
}
