// The data of `corpus inspect`: manifest, report and sample documents.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DataError } from '../../core/index.ts'
import { isIntact } from '../build/journal.ts'
import { excerpt } from '../build/stage-counts.ts'
import type { CorpusDocument } from '../document.ts'
import { type CorpusManifest, readManifest } from '../manifest.ts'
import { readCorpus } from '../read-corpus.ts'
import type { CorpusReport } from './corpus-report.ts'

/** A corpus as `corpus inspect` shows it. */
export interface Inspection {
  folder: string
  manifest: CorpusManifest
  report: CorpusReport
  /** Sample documents from several parts, with truncated texts. */
  documents: CorpusDocument[]
  /** Files whose bytes differ from the manifest; empty without `verify`. */
  damagedFiles: string[]
}

/** Settings of `inspectCorpus`. */
export interface InspectOptions {
  /** Number of sample documents (default: 3). */
  samples?: number
  /** Compare every file with its SHA-256 in the manifest (default: false). */
  verify?: boolean
  signal?: AbortSignal | undefined
}

/**
 * Manifest, report and sample documents of a corpus.
 * @throws DataError when the folder has no corpus or it is damaged
 */
export const inspectCorpus = async (folder: string, options: InspectOptions = {}): Promise<Inspection> => {
  const { samples = 3, verify = false, signal } = options
  const manifest = await readManifest(folder)
  const damagedFiles: string[] = []
  if (verify) {
    for (const file of [...manifest.parts, ...manifest.dropped, manifest.report]) {
      signal?.throwIfAborted()
      if (!(await isIntact(join(folder, file.path), file))) damagedFiles.push(file.path)
    }
  }
  const report = await readReport(join(folder, manifest.report.path))
  const documents = damagedFiles.length > 0 ? [] : await sampleDocuments(folder, manifest, samples)
  return { folder, manifest, report, documents, damagedFiles }
}

const readReport = async (path: string): Promise<CorpusReport> => {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as CorpusReport
  } catch (error) {
    throw new DataError(
      `Expected the report of the corpus, got ${(error as Error).message}. Build the corpus again.`,
      path,
    )
  }
}

const sampleDocuments = async (folder: string, manifest: CorpusManifest, wanted: number): Promise<CorpusDocument[]> => {
  const documents: CorpusDocument[] = []
  const parts = Math.min(manifest.parts.length, wanted)
  for (let index = 0; index < parts; index++) {
    const part = Math.floor((index * manifest.parts.length) / parts)
    let take = Math.floor((wanted * (index + 1)) / parts) - Math.floor((wanted * index) / parts)
    if (take === 0) continue
    for await (const document of readCorpus(folder, { parts: [part] })) {
      documents.push({ ...document, text: excerpt(document.text) })
      if (--take === 0) break
    }
  }
  return documents
}
