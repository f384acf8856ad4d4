// Reads a finished corpus document by document, part by part for parallel work, or from a document on for a browser.

import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { DataError } from '../core/index.ts'
import { isIntact } from './build/journal.ts'
import { type CorpusDocument, type DropLine, decodeDocument } from './document.ts'
import { type CorpusManifest, type CorpusPart, readManifest } from './manifest.ts'
import { readLineBatches, readLines } from './part-file.ts'

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

/** A document at its number from 0, or what is wrong with it. */
export type NumberedDocument =
  | { number: number; document: CorpusDocument; damage?: undefined }
  | { number: number; document?: undefined; damage: string }

const decoded = (number: number, text: string, path: string, line: number): NumberedDocument => {
  try {
    return { number, document: decodeDocument(text, path, line) }
  } catch (error) {
    if (error instanceof DataError) return { number, damage: error.message }
    throw error
  }
}

/**
 * Streams the documents from number `from` on. A part that cannot be read further ends in one damaged document, and the next part follows.
 * Others work between the batches.
 */
export async function* corpusWindow(
  folder: string,
  { parts }: Pick<CorpusManifest, 'parts'>,
  from: number,
): AsyncGenerator<NumberedDocument> {
  let first = 0
  for (const part of parts) {
    const after = first + part.documents
    if (after > from) {
      const path = join(folder, part.path)
      let number = first
      try {
        for await (const batch of readLineBatches(path)) {
          for (const text of batch) {
            if (number >= from && number < after) yield decoded(number, text, path, number - first + 1)
            number++
          }
          await setImmediate()
        }
        if (number < after) throw new DataError(`Expected ${part.documents} documents, got ${number - first}.`, path)
      } catch (error) {
        if (!(error instanceof DataError)) throw error
        yield { number: Math.max(number, from), damage: error.message }
      }
    }
    first = after
  }
}

/** Streams the drop lists of a corpus in order: what was dropped, and why. Damaged lines are left out. */
export async function* droppedDocuments(
  folder: string,
  { dropped }: Pick<CorpusManifest, 'dropped'>,
): AsyncGenerator<DropLine> {
  for (const { path } of dropped)
    for await (const line of readLines(join(folder, path))) {
      const value = parsed(line)
      if (typeof value?.stage === 'string' && typeof value.reason === 'string') yield value as DropLine
    }
}

const parsed = (line: string): Partial<DropLine> | null => {
  try {
    return JSON.parse(line) as Partial<DropLine> | null
  } catch {
    return null
  }
}
