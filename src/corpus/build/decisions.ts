// Decisions of deduplication about single documents, and files of filtered documents read together with them.

import { DataError, invariant } from '../../core/index.ts'
import { type CorpusDocument, decodeDocument } from '../document.ts'
import { readLines } from '../part-file.ts'

/** The decision of one deduplicator about one document of a file; documents without a decision are unchanged. */
export interface Decision {
  /** Position of the document in its file, from 0. */
  ordinal: number
  stage: string
  /** Reason to drop the document; undefined when only lines are removed. */
  reason?: string
  detail?: string
  /** Indexes of the lines to remove, ascending. */
  removeLines?: number[]
}

/** The detail of a dropped duplicate. */
export const duplicateDetail = (keptId: string, clusterSize: number): string => `kept ${keptId}, one of ${clusterSize}`

export interface DocumentWithDecisions {
  document: CorpusDocument
  /** The document's line in its file. */
  line: string
  decisions: Decision[]
}

/** A file of filtered documents and, if any, the file of decisions about them in the same order. */
export interface KeptDocumentsFile {
  path: string
  decisions?: string
}

/** Streams the documents of a file with their decisions, both in bounded memory. */
export async function* readWithDecisions({
  path,
  decisions,
}: KeptDocumentsFile): AsyncGenerator<DocumentWithDecisions> {
  const cursor = decisions === undefined ? undefined : readLines(decisions)
  const advance = async () => {
    const step = await cursor?.next()
    return step === undefined || step.done ? undefined : (JSON.parse(step.value) as Decision)
  }
  try {
    let next = await advance()
    let ordinal = 0
    for await (const line of readLines(path)) {
      const taken: Decision[] = []
      for (; next?.ordinal === ordinal; next = await advance()) taken.push(next)
      invariant(next === undefined || next.ordinal > ordinal, 'decisions are ordered by document.')
      yield { document: decodeDocument(line, path, ordinal + 1), line, decisions: taken }
      ordinal += 1
    }
    if (next !== undefined)
      throw new DataError('Expected decisions about existing documents, got more. Run the build again.', decisions)
  } finally {
    await cursor?.return(undefined)
  }
}

/** A text without some of its lines, and without the runs of blank lines that their removal leaves. */
export const withoutLines = (text: string, removed: readonly number[]): string => {
  const gone = new Set(removed)
  const kept = text.split('\n').filter((_, index) => !gone.has(index))
  return kept
    .join('\n')
    .replace(/\n{3,}/g, '\n\n')
    .trim()
}

/** The text of a document after deduplication, or undefined when it is dropped. */
export const applyDecisions = (text: string, decisions: readonly Decision[]): string | undefined => {
  if (decisions.some(({ reason }) => reason !== undefined)) return undefined
  const left = decisions.reduce((current, { removeLines }) => {
    return removeLines === undefined ? current : withoutLines(current, removeLines)
  }, text)
  return left === '' && text !== '' ? undefined : left
}
