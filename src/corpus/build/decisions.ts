// What deduplication says about single documents, and kept documents read together with it, one by one.
// Knows no deduplicator.

import { DataError, invariant } from '../../core/index.ts'
import { type CorpusDocument, decodeDocument } from '../document.ts'
import { readLines } from '../part-file.ts'

/** What one deduplicator says about one document of a kept file; documents without a decision stay as they are. */
export interface Decision {
  /** Position in the kept file. */
  ordinal: number
  stage: string
  /** Drops the document; without it, some of its lines go. */
  reason?: string
  detail?: string
  /** Indexes of the lines to remove, ascending. */
  removeLines?: number[]
}

export interface DocumentWithDecisions {
  document: CorpusDocument
  /** The document's line in the kept file. */
  line: string
  decisions: Decision[]
}

/** A file of kept documents and, where there is anything to decide, the decisions about them in the same order. */
export interface KeptDocumentsFile {
  path: string
  decisions?: string
}

/** Streams the documents of a kept file with their decisions; neither file is ever whole in memory. */
export async function* readWithDecisions({ path, decisions }: KeptDocumentsFile): AsyncGenerator<DocumentWithDecisions> {
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
    if (next !== undefined) throw new DataError('Expected decisions about documents that are there.', decisions)
  } finally {
    await cursor?.return(undefined)
  }
}

/** A text with some lines cut out, without the runs of blank lines that this leaves. */
export const withoutLines = (text: string, removed: readonly number[]): string => {
  const gone = new Set(removed)
  const kept = text.split('\n').filter((_, index) => !gone.has(index))
  return kept
    .join('\n')
    .replace(/\n{3,}/g, '\n\n')
    .trim()
}

/** The text that deduplication leaves of a document, or undefined when it drops it. */
export const applyDecisions = (text: string, decisions: readonly Decision[]): string | undefined => {
  if (decisions.some(({ reason }) => reason !== undefined)) return undefined
  const left = decisions.reduce((current, { removeLines }) => {
    return removeLines === undefined ? current : withoutLines(current, removeLines)
  }, text)
  return left === '' && text !== '' ? undefined : left
}
