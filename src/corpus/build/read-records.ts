// Reads input files through their sources into corpus documents, counts rejects and lists damaged files. Documents
// before the damage of a file are kept.

import { existsSync } from 'node:fs'
import { DataError, systemFault } from '../../core/index.ts'
import { type CorpusDocument, type DropLine, textBytes } from '../document.ts'
import { isReject, type SourceDefinition } from '../sources/source.ts'
import type { InputFile, ResolvedSource } from './inputs.ts'
import { countDrop, type DamagedInput, emptyCounts, type StageCounts } from './stage-counts.ts'

export const readStage = 'read'
/** The reason of the drop line that represents the unread rest of a damaged file. */
const damagedReason = 'damaged-file'

export interface RecordReader {
  documents: AsyncIterable<CorpusDocument>
  counts: StageCounts
  damage: DamagedInput[]
}

export interface ReadRecordsOptions {
  sources: readonly ResolvedSource[]
  registry: Readonly<Record<string, SourceDefinition>>
  onDrop: (line: DropLine) => Promise<void>
}

/** Streams the documents of `inputs` in order; `counts` and `damage` are complete when the stream has ended. */
export const readRecords = (inputs: readonly InputFile[], options: ReadRecordsOptions): RecordReader => {
  const counts = emptyCounts(readStage)
  const damage: DamagedInput[] = []
  async function* documents(): AsyncGenerator<CorpusDocument> {
    for (const input of inputs) {
      counts.bytesIn += input.bytes
      yield* readInput(input, options, counts, damage)
    }
  }
  return { documents: documents(), counts, damage }
}

async function* readInput(
  { source: sourceIndex, path, sha256, location = path }: InputFile,
  { sources, registry, onDrop }: ReadRecordsOptions,
  counts: StageCounts,
  damage: DamagedInput[],
): AsyncGenerator<CorpusDocument> {
  const { kind, options } = sources[sourceIndex]!
  const records = registry[kind]!.open(location, options, {})[Symbol.asyncIterator]()
  let recordsBefore = 0
  try {
    for (;;) {
      let next: Awaited<ReturnType<typeof records.next>>
      try {
        next = await records.next()
      } catch (error) {
        // Faults of the network are temporary, so the build stops instead of leaving out the rest of the file.
        if (sha256 === null) throw error
        const message = faultOf(error, location)
        damage.push({ path, kind, message, recordsBefore })
        counts.documentsIn += 1
        countDrop(counts, damagedReason)
        const source = { kind, path, offset: -1 }
        await onDrop({ id: null, source, stage: readStage, reason: damagedReason, detail: message })
        return
      }
      if (next.done) return
      recordsBefore += 1
      counts.documentsIn += 1
      const record = next.value
      const source = { kind, path, offset: record.source.offset }
      if (isReject(record)) {
        countDrop(counts, record.reason)
        const detail = record.detail === undefined ? {} : { detail: record.detail.slice(0, 500) }
        await onDrop({ id: null, source, stage: readStage, reason: record.reason, ...detail })
        continue
      }
      counts.documentsOut += 1
      counts.bytesOut += textBytes(record.text)
      yield { id: `${path}#${record.id}`, text: record.text, source, metadata: record.metadata }
    }
  } finally {
    await records.return?.(undefined)
  }
}

/** The message of a fault of the data for the report; faults of the machine are rethrown. */
const faultOf = (error: unknown, path: string): string => {
  const fault = error instanceof Error ? error : new Error(String(error))
  // Faults of the machine, not of the data, stop the build instead of losing the rest of a file.
  if (!(fault instanceof DataError) && (systemFault(fault)?.of ?? 'path') !== 'path') throw fault
  if (!existsSync(path))
    throw new DataError(
      'Expected the file that was listed, got none: it was removed during the build. Run the build again.',
      path,
    )
  const message = fault.message.startsWith(`${path}: `) ? fault.message.slice(path.length + 2) : fault.message
  return fault instanceof DataError ? message : `${fault.name}: ${message}`
}
