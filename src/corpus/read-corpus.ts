// Reads a finished corpus document by document, or part by part for parallel work.

import { join } from 'node:path'
import { DataError } from '../core/index.ts'
import { isIntact } from './build/journal.ts'
import { type CorpusDocument, decodeDocument } from './document.ts'
import { type CorpusPart, readManifest } from './manifest.ts'
import { readLineBatches } from './part-file.ts'

/** Settings of `readCorpus`. */
export interface ReadCorpusOptions {
  /** Indexes of the parts to read, in this order (default: all). */
  parts?: readonly number[]
  /** Compare each part's SHA-256 with the manifest before its first document (default: false). */
  verify?: boolean
  signal?: AbortSignal | undefined
}

/** The parts of a corpus in order, for `readCorpus(folder, { parts })`. */
export const listCorpusParts = async (folder: string): Promise<CorpusPart[]> => (await readManifest(folder)).parts

/**
 * Streams the documents of a corpus in the order of its inputs.
 * @throws DataError with the file and line when a part is damaged or its number of documents differs from the manifest
 */
export async function* readCorpus(
  folder: string,
  { parts, verify = false, signal }: ReadCorpusOptions = {},
): AsyncGenerator<CorpusDocument> {
  const manifest = await readManifest(folder)
  for (const index of parts ?? manifest.parts.keys()) {
    const part = manifest.parts[index]
    if (part === undefined) {
      throw new DataError(`Expected a part from 0 to ${manifest.parts.length - 1}, got ${index}.`, folder)
    }
    const path = join(folder, part.path)
    if (verify && !(await isIntact(path, part))) {
      throw new DataError('Expected the SHA-256 of the manifest, got another. Build the corpus again.', path)
    }
    let line = 0
    for await (const batch of readLineBatches(path)) {
      signal?.throwIfAborted()
      for (const text of batch) yield decodeDocument(text, path, ++line)
    }
    if (line !== part.documents) {
      throw new DataError(`Expected ${part.documents} documents, got ${line}. Build the corpus again.`, path)
    }
  }
}
