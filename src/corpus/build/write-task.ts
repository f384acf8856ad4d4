// The last phase, in a worker: applies the decisions of deduplication and decontamination to the filtered documents of
// a few pieces, and streams them into one part of the corpus and its drop list.

import { mkdir, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type CorpusDocument, dropLine, encodeDocument, textBytes } from '../document.ts'
import { LineWriter, readLineBatches } from '../part-file.ts'
import {
  type ContaminationCheck,
  type ContaminationFiles,
  type ContaminationFindings,
  contaminationReasons,
  contaminationStage,
  type KnownMatches,
} from './contamination-stage.ts'
import { type Decision, type KeptDocumentsFile, readWithDecisions, withoutLines } from './decisions.ts'
import { clearFolder, type EntryFile, type Task, writeEntry } from './journal.ts'
import {
  addDocument,
  countDrop,
  type DropSample,
  DropSampler,
  emptyCounts,
  emptyStatistics,
  type PartStatistics,
  type StageCounts,
} from './stage-counts.ts'

export type WriteItem =
  /** A drop list of an earlier stage, which is copied. */
  { kind: 'dropped'; path: string } | ({ kind: 'kept' } & KeptDocumentsFile)

export interface WriteTask extends Task<'write'> {
  /** Folder of the corpus; paths of parts are relative to it. */
  base: string
  partPath: string
  droppedPath: string
  items: WriteItem[]
  contamination?: ContaminationFiles
}

/** What is counted of one part. */
export interface PartContents {
  counts: StageCounts[]
  samples: DropSample[]
  statistics: PartStatistics
  textBytes: number
  findings?: ContaminationFindings
}

export interface WriteResult extends PartContents {
  part?: EntryFile
  dropped?: EntryFile
}

export interface WriteStages {
  /** Stage names and reasons of deduplication, in order. */
  dedup: readonly { stage: string; reasons: readonly string[] }[]
  contamination?: ContaminationCheck
}

/** The reason of a document that is dropped because all its lines were removed. */
export const nothingLeft = 'nothing-left'

/** Writes one part and its drop list; an empty file is not written. */
export const writePart = async (task: WriteTask, stages: WriteStages): Promise<WriteResult> => {
  await clearFolder(task.folder)
  const writer = new PartWriter(task, stages)
  stages.contamination?.takeFindings() // discards findings of a failed task
  try {
    for (const item of task.items) {
      if (item.kind === 'dropped') await writer.copyDrops(item.path)
      else await writer.keep(item)
    }
    const result = await writer.finish()
    const files = [result.part, result.dropped].filter((file) => file !== undefined)
    await writeEntry(task.folder, { key: task.key, files, result })
    return result
  } finally {
    await writer.abort()
  }
}

/** Where the lines of a part and of its drop list go. */
export interface PartSink {
  document(line: string): Promise<void>
  drop(line: string): Promise<void>
}

/** Applies the decisions about the documents of one part, in order, and counts what happens to them. */
export class PartAssembler {
  readonly #sink: PartSink
  readonly #stages: WriteStages
  readonly #statistics = emptyStatistics()
  readonly #samples = new DropSampler()
  readonly #dedupCounts: StageCounts[]
  readonly #contaminationCounts = emptyCounts(contaminationStage, contaminationReasons)
  #textBytes = 0

  constructor(sink: PartSink, stages: WriteStages) {
    this.#sink = sink
    this.#stages = stages
    this.#dedupCounts = stages.dedup.map(({ stage, reasons }) => emptyCounts(stage, reasons))
  }

  /**
   * Adds a filtered document; `line` is its line.
   * @param matches - what is known of its overlaps with test sets (see `ContaminationCheck.check`)
   */
  async add(
    document: CorpusDocument,
    line: string,
    decisions: readonly Decision[],
    matches?: KnownMatches,
  ): Promise<void> {
    let current = document
    let bytes = textBytes(document.text)
    for (const [index, { stage }] of this.#stages.dedup.entries()) {
      const counts = this.#dedupCounts[index]!
      counts.documentsIn += 1
      counts.bytesIn += bytes
      const decision = decisions.find((candidate) => candidate.stage === stage)
      if (decision?.reason !== undefined) return this.#drop(current, counts, decision.reason, bytes, decision.detail)
      if (decision?.removeLines !== undefined) {
        current = { ...current, text: withoutLines(current.text, decision.removeLines) }
        if (current.text === '') return this.#drop(document, counts, nothingLeft, bytes)
        bytes = textBytes(current.text)
        counts.changed += 1
      }
      counts.documentsOut += 1
      counts.bytesOut += bytes
    }
    const texts = await this.#decontaminate(current, bytes, matches)
    if (texts === undefined) return this.#keepDocument(current, current === document ? line : undefined)
    for (const [index, text] of texts.entries()) {
      const id = texts.length === 1 ? current.id : `${current.id}/${index}`
      await this.#keepDocument({ ...current, id, text })
    }
  }

  /** The texts left of a document with test items; undefined for a document without. */
  async #decontaminate(
    document: CorpusDocument,
    bytes: number,
    matches: KnownMatches | undefined,
  ): Promise<readonly string[] | undefined> {
    if (this.#stages.contamination === undefined) return undefined
    const counts = this.#contaminationCounts
    counts.documentsIn += 1
    counts.bytesIn += bytes
    const outcome = this.#stages.contamination.check(document, matches)
    if (!outcome.keep) {
      await this.#drop(document, counts, outcome.reason, bytes, outcome.detail)
      return []
    }
    const { texts } = outcome
    counts.documentsOut += texts?.length ?? 1
    if (texts === undefined) {
      counts.bytesOut += bytes
      return undefined
    }
    counts.changed += 1
    counts.added += texts.length - 1
    for (const text of texts) counts.bytesOut += textBytes(text)
    return texts
  }

  async #keepDocument(document: CorpusDocument, line = encodeDocument(document)): Promise<void> {
    this.#textBytes += textBytes(document.text)
    addDocument(this.#statistics, document)
    await this.#sink.document(line)
  }

  async #drop(document: CorpusDocument, counts: StageCounts, reason: string, bytes: number, detail?: string) {
    countDrop(counts, reason)
    this.#samples.offer(counts.stage, reason, document, detail)
    await this.#sink.drop(JSON.stringify(dropLine(document, counts.stage, reason, bytes, detail)))
  }

  finish(): PartContents {
    const { contamination } = this.#stages
    return {
      counts: [...this.#dedupCounts, ...(contamination === undefined ? [] : [this.#contaminationCounts])],
      ...(contamination === undefined ? {} : { findings: contamination.takeFindings() }),
      samples: this.#samples.samples(),
      statistics: this.#statistics,
      textBytes: this.#textBytes,
    }
  }
}

class PartWriter implements PartSink {
  readonly #task: WriteTask
  readonly #assembler: PartAssembler
  #part: LineWriter | undefined
  #dropped: LineWriter | undefined

  constructor(task: WriteTask, stages: WriteStages) {
    this.#task = task
    this.#assembler = new PartAssembler(this, stages)
  }

  async copyDrops(path: string): Promise<void> {
    for await (const lines of readLineBatches(path)) for (const line of lines) await this.drop(line)
  }

  async keep(file: KeptDocumentsFile): Promise<void> {
    for await (const { document, line, decisions } of readWithDecisions(file))
      await this.#assembler.add(document, line, decisions)
  }

  async document(line: string): Promise<void> {
    this.#part ??= await this.#open(this.#task.partPath)
    await this.#part.write(line)
  }

  async drop(line: string): Promise<void> {
    this.#dropped ??= await this.#open(this.#task.droppedPath)
    await this.#dropped.write(line)
  }

  async #open(path: string): Promise<LineWriter> {
    const absolute = join(this.#task.base, path)
    await mkdir(dirname(absolute), { recursive: true })
    return LineWriter.create(absolute)
  }

  async finish(): Promise<WriteResult> {
    const part = await this.#close(this.#part, this.#task.partPath)
    const dropped = await this.#close(this.#dropped, this.#task.droppedPath)
    return {
      ...this.#assembler.finish(),
      ...(part === undefined ? {} : { part }),
      ...(dropped === undefined ? {} : { dropped }),
    }
  }

  async #close(writer: LineWriter | undefined, path: string): Promise<EntryFile | undefined> {
    if (writer !== undefined) return { path, ...(await writer.close()) }
    await rm(join(this.#task.base, path), { force: true })
    return undefined
  }

  async abort(): Promise<void> {
    await this.#part?.abort()
    await this.#dropped?.abort()
  }
}
