// Minimal pairs in BLiMP's format: JSON lines with a good and a bad sentence, in files, folders or a tar archive, each of which may be
// compressed.
import { basename } from 'node:path'
import { DataError, parseJson } from '../../core/index.ts'
import { expandFiles, tarFiles, wholeFile } from '../../files/index.ts'

/** A good and a bad sentence. */
export interface MinimalPair {
  good: string
  bad: string
  /** The kind of contrast. */
  paradigm: string
  /** The field of the paradigm, such as `syntax`. */
  field: string | undefined
}

/** The pairs of all paths, in the order of the file names. @throws DataError with the line of a damaged pair */
export async function* readMinimalPairs(paths: readonly string[]): AsyncGenerator<MinimalPair, void, undefined> {
  for (const path of paths) {
    for (const file of await expandFiles(path, ['.jsonl', '.tar', '.tgz'])) {
      const bytes = await wholeFile(file)
      const isArchive = /\.(tar(\.\w+)?|tgz)$/.test(file)
      const entries = isArchive ? tarFiles(bytes, file) : [{ name: basename(file), data: bytes }]
      for (const { name, data } of entries) {
        if (/\.jsonl$/.test(name.replace(/\.(gz|bz2|zst)$/, '')))
          yield* pairsOf(data.toString('utf8'), name, isArchive ? `${file}:${name}` : file)
      }
    }
  }
}

function* pairsOf(text: string, name: string, where: string): Generator<MinimalPair> {
  const paradigmOfFile = name
    .split('/')
    .at(-1)!
    .replace(/\.jsonl.*$/, '')
  for (const [i, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue
    const value = parseJson(line, { path: where, line: i + 1 }) as Record<string, unknown> | null
    const { sentence_good: good, sentence_bad: bad, UID: paradigm, field } = value ?? {}
    if (typeof good !== 'string' || typeof bad !== 'string' || good === '' || bad === '')
      throw new DataError('Expected text for `sentence_good` and `sentence_bad`, got something else.', where, i + 1)
    yield {
      good,
      bad,
      paradigm: typeof paradigm === 'string' ? paradigm : paradigmOfFile,
      field: typeof field === 'string' ? field : undefined,
    }
  }
}
