// The per-document work on one piece of the input, in a worker: reads, filters, and computes deduplication keys. Writes
// the filtered documents, the drop list and the keys into the piece's folder.

import { join } from 'node:path'
import { type CorpusDocument, type DropLine, decodeDocument, dropLine, encodeDocument, textBytes } from '../document.ts'
import { LineWriter, readLines } from '../part-file.ts'
import { FilterChain } from './filter-chain.ts'
import type { InputFile } from './inputs.ts'
import { clearFolder, type EntryFile, type Task, writeEntry } from './journal.ts'
import { readRecords } from './read-records.ts'
import { type BuildSettings, registeredSources } from './resolve-options.ts'
import { SignatureWriter } from './signatures.ts'
import { type DamagedInput, type DropSample, DropSampler, type StageCounts } from './stage-counts.ts'

type PieceInput = { kind: 'files'; inputs: InputFile[] } | { kind: 'segment'; path: string }

export interface DocumentTask extends Task<'documents'> {
  input: PieceInput
}

export interface ReadTask extends Task<'read'> {
  input: InputFile
}

/** A file of documents, before or after filtering. */
interface DocumentFile extends EntryFile {
  documents: number
  textBytes: number
}

export interface PieceResult {
  counts: StageCounts[]
  samples: DropSample[]
  damage: DamagedInput[]
  /** Files of filtered documents in order, each of at most `partBytes` of text or one document. */
  kept: DocumentFile[]
  dropped: EntryFile
  signatures: EntryFile[]
}

export interface ReadResult {
  counts: StageCounts
  damage: DamagedInput[]
  segments: DocumentFile[]
  dropped: EntryFile
}

/** Divides documents in order into files of bounded size; a longer document has its own file. */
export class FileSizes {
  readonly #limit: number
  readonly files: { documents: number; textBytes: number }[] = []

  constructor(limit: number) {
    this.#limit = limit
  }

  /** The number of the file of the next document, from 0. */
  add(bytes: number): number {
    const last = this.files.at(-1)
    if (last === undefined || last.textBytes + bytes > this.#limit) {
      this.files.push({ documents: 1, textBytes: bytes })
    } else {
      last.documents += 1
      last.textBytes += bytes
    }
    return this.files.length - 1
  }
}

/** Applies filters to a document: the document that is left, or its drop line. */
export const filterDocument = (
  document: CorpusDocument,
  chain: FilterChain,
  samples: DropSampler,
): { document: CorpusDocument } | { drop: DropLine } => {
  const outcome = chain.apply(document)
  if (!('reason' in outcome)) return outcome
  const { stage, reason, detail, bytes } = outcome
  samples.offer(stage, reason, outcome.document, detail)
  return { drop: dropLine(outcome.document, stage, reason, bytes, detail) }
}

/** Writes documents to numbered files of bounded size. */
class RollingWriter {
  readonly #folder: string
  readonly #name: string
  readonly #sizes: FileSizes
  readonly files: DocumentFile[] = []
  #writer: LineWriter | undefined

  constructor(folder: string, name: string, limit: number) {
    this.#folder = folder
    this.#name = name
    this.#sizes = new FileSizes(limit)
  }

  async write(document: CorpusDocument): Promise<void> {
    if (this.#sizes.add(textBytes(document.text)) > this.files.length) await this.roll()
    this.#writer ??= await LineWriter.create(join(this.#folder, this.#nextName()), { level: 1 })
    await this.#writer.write(encodeDocument(document))
  }

  /** Finishes the current file and adds it to `files`. */
  async roll(): Promise<void> {
    if (this.#writer === undefined) return
    const path = this.#nextName()
    const written = await this.#writer.close()
    this.#writer = undefined
    this.files.push({ path, ...written, ...this.#sizes.files[this.files.length]! })
  }

  async abort(): Promise<void> {
    await this.#writer?.abort()
  }

  #nextName(): string {
    return `${this.#name}-${String(this.files.length).padStart(4, '0')}.jsonl.gz`
  }
}

const droppedName = 'dropped.jsonl.gz'

export class DocumentWorker {
  readonly #settings: BuildSettings
  readonly #chain: FilterChain

  private constructor(settings: BuildSettings, chain: FilterChain) {
    this.#settings = settings
    this.#chain = chain
  }

  static async create(settings: BuildSettings): Promise<DocumentWorker> {
    return new DocumentWorker(settings, await FilterChain.create(settings.filters))
  }

  /** Splits one large file into segments of unfiltered documents. */
  async read({ key, folder, input }: ReadTask): Promise<ReadResult> {
    await clearFolder(folder)
    const segments = new RollingWriter(folder, 'segment', this.#settings.sizes.segmentBytes)
    const dropped = await LineWriter.create(join(folder, droppedName), { level: 1 })
    try {
      const { documents, counts, damage } = this.#open([input], dropped)
      for await (const document of documents) await segments.write(document)
      await segments.roll()
      const droppedFile = { path: droppedName, ...(await dropped.close()) }
      const result: ReadResult = { counts, damage, segments: segments.files, dropped: droppedFile }
      await writeEntry(folder, { key, files: [...segments.files, droppedFile], result })
      return result
    } finally {
      await segments.abort()
      await dropped.abort()
    }
  }

  /** Reads and filters the documents of one piece and writes their deduplication keys. */
  async documents({ key, folder, input }: DocumentTask): Promise<PieceResult> {
    await clearFolder(folder)
    const kept = new RollingWriter(folder, 'kept', this.#settings.sizes.partBytes)
    const dropped = await LineWriter.create(join(folder, droppedName), { level: 1 })
    const signatures = SignatureWriter.create(folder, this.#settings.dedup)
    try {
      const samples = new DropSampler()
      const reader = input.kind === 'files' ? this.#open(input.inputs, dropped) : undefined
      this.#chain.takeCounts() // discards counts of a failed task
      let ordinal = 0
      for await (const document of reader?.documents ?? readSegment(input)) {
        const outcome = filterDocument(document, this.#chain, samples)
        if ('drop' in outcome) {
          await dropped.write(JSON.stringify(outcome.drop))
          continue
        }
        signatures.add(ordinal++, outcome.document)
        await kept.write(outcome.document)
      }
      await kept.roll()
      const result: PieceResult = {
        counts: [...(reader === undefined ? [] : [reader.counts]), ...this.#chain.takeCounts()],
        samples: samples.samples(),
        damage: reader?.damage ?? [],
        kept: kept.files,
        dropped: { path: droppedName, ...(await dropped.close()) },
        signatures: await signatures.close(),
      }
      await writeEntry(folder, { key, files: [...result.kept, result.dropped, ...result.signatures], result })
      return result
    } finally {
      await kept.abort()
      await dropped.abort()
      await signatures.abort()
    }
  }

  #open(inputs: readonly InputFile[], dropped: LineWriter) {
    const onDrop = (line: DropLine) => dropped.write(JSON.stringify(line))
    return readRecords(inputs, { sources: this.#settings.sources, registry: registeredSources, onDrop })
  }
}

async function* readSegment(input: PieceInput): AsyncGenerator<CorpusDocument> {
  if (input.kind !== 'segment') return
  let line = 0
  for await (const text of readLines(input.path)) yield decodeDocument(text, input.path, ++line)
}
