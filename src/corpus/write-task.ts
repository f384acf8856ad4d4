// The last pass: takes kept documents of a few pieces, leaves out what deduplication and decontamination decided, and
// writes one part of the corpus and its drop list. Runs in a worker; streams, so a part's size does not matter.

import { mkdir, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { DataError, invariant } from '../core/index.ts'
import { type CorpusDocument, decodeDocument, dropLine, encodeDocument, textBytes } from './document.ts'
import type { EntryFile } from './journal.ts'
import { prepareFolder, writeEntry } from './journal.ts'
import { LineWriter, readLineBatches, readLines } from './part-file.ts'
import { addDocument, emptyStatistics, type PartStatistics } from './part-statistics.ts'
import { countDrop, type DropSample, emptyCounts, SampleKeeper, type StageCounts } from './stage-counts.ts'

/** What deduplication says about one document of a kept file; documents without a decision stay as they are. */
export interface Decision {
  /** Position in the kept file. */
  ordinal: number
  stage: string
  /** Drops the document, or removes some of its lines. */
  reason?: string
  detail?: string
  /** Indexes of the lines to remove, ascending. */
  removeLines?: number[]
}

export type WriteItem =
  /** A drop list of an earlier stage, copied. */
  | { kind: 'dropped'; path: string }
  /** Kept documents; `decisions` is a file of decisions ordered by ordinal. */
  | { kind: 'kept'; path: string; decisions?: string }

/** A check of whole documents after deduplication, such as decontamination. */
export interface FinalStage {
  stage: string
  reasons: readonly string[]
  check(document: CorpusDocument): { keep: true; text?: string } | { keep: false; reason: string; detail?: string }
}

export interface WriteTask {
  type: 'write'
  key: string
  /** Where the entry goes. */
  folder: string
  /** The corpus folder, to which the paths of parts are relative. */
  base: string
  partPath: string
  droppedPath: string
  items: WriteItem[]
}

export interface WriteResult {
  counts: StageCounts[]
  samples: DropSample[]
  statistics: PartStatistics
  textBytes: number
  part?: EntryFile
  dropped?: EntryFile
}

export interface WriteStages {
  /** Stage names and reasons of deduplication, in order. */
  dedup: readonly { stage: string; reasons: readonly string[] }[]
  final: readonly FinalStage[]
}

/** The reason of a document that is dropped because all its lines were cut. */
export const nothingLeft = 'nothing-left'

/** Writes one part and its drop list; a file that would be empty is left out. */
export async function writePart(task: WriteTask, stages: WriteStages): Promise<WriteResult> {
  await prepareFolder(task.folder)
  const pass = new WritePass(task, stages)
  try {
    for (const item of task.items) {
      if (item.kind === 'dropped') await pass.copyDrops(item.path)
      else await pass.keep(item.path, item.decisions)
    }
    const result = await pass.finish()
    const files = [result.part, result.dropped].filter((file) => file !== undefined)
    await writeEntry(task.folder, { key: task.key, files, result })
    return result
  } finally {
    await pass.abort()
  }
}

class WritePass {
  private readonly statistics = emptyStatistics()
  private readonly samples = new SampleKeeper()
  private readonly dedupCounts: StageCounts[]
  private readonly finalCounts: StageCounts[]
  private part: LineWriter | undefined
  private dropped: LineWriter | undefined
  private textBytes = 0

  constructor(
    private readonly task: WriteTask,
    private readonly stages: WriteStages,
  ) {
    this.dedupCounts = stages.dedup.map(({ stage, reasons }) => emptyCounts(stage, reasons))
    this.finalCounts = stages.final.map(({ stage, reasons }) => emptyCounts(stage, reasons))
  }

  async copyDrops(path: string): Promise<void> {
    for await (const lines of readLineBatches(path)) for (const line of lines) await this.writeDrop(line)
  }

  async keep(path: string, decisionsPath: string | undefined): Promise<void> {
    const decisions = new DecisionCursor(decisionsPath)
    try {
      let ordinal = 0
      for await (const line of readLines(path)) {
        const document = decodeDocument(line, path, ordinal + 1)
        await this.decide(document, line, await decisions.take(ordinal))
        ordinal += 1
      }
      await decisions.expectEnd()
    } finally {
      await decisions.close()
    }
  }

  private async decide(document: CorpusDocument, line: string, decisions: readonly Decision[]): Promise<void> {
    let current = document
    let bytes = textBytes(document.text)
    for (const [index, { stage }] of this.stages.dedup.entries()) {
      const counts = this.dedupCounts[index]!
      counts.documentsIn += 1
      counts.bytesIn += bytes
      const decision = decisions.find((candidate) => candidate.stage === stage)
      if (decision?.reason !== undefined) return this.drop(current, counts, decision.reason, bytes, decision.detail)
      if (decision?.removeLines !== undefined) {
        current = { ...current, text: withoutLines(current.text, decision.removeLines) }
        if (current.text === '') return this.drop(document, counts, nothingLeft, bytes)
        bytes = textBytes(current.text)
        counts.changed += 1
      }
      counts.documentsOut += 1
      counts.bytesOut += bytes
    }
    for (const [index, stage] of this.stages.final.entries()) {
      const counts = this.finalCounts[index]!
      counts.documentsIn += 1
      counts.bytesIn += bytes
      const outcome = stage.check(current)
      if (!outcome.keep) return this.drop(current, counts, outcome.reason, bytes, outcome.detail)
      if (outcome.text !== undefined && outcome.text !== current.text) {
        current = { ...current, text: outcome.text }
        bytes = textBytes(current.text)
        counts.changed += 1
      }
      counts.documentsOut += 1
      counts.bytesOut += bytes
    }
    this.part ??= await this.open(this.task.partPath)
    this.textBytes += bytes
    addDocument(this.statistics, current)
    await this.part.write(current === document ? line : encodeDocument(current))
  }

  private async drop(document: CorpusDocument, counts: StageCounts, reason: string, bytes: number, detail?: string) {
    countDrop(counts, reason)
    this.samples.offer(counts.stage, reason, document, detail)
    await this.writeDrop(JSON.stringify(dropLine(document, counts.stage, reason, bytes, detail)))
  }

  private async writeDrop(line: string): Promise<void> {
    this.dropped ??= await this.open(this.task.droppedPath)
    await this.dropped.write(line)
  }

  private async open(path: string): Promise<LineWriter> {
    const absolute = join(this.task.base, path)
    await mkdir(dirname(absolute), { recursive: true })
    return LineWriter.create(absolute)
  }

  async finish(): Promise<WriteResult> {
    const part = await this.close(this.part, this.task.partPath)
    const dropped = await this.close(this.dropped, this.task.droppedPath)
    return {
      counts: [...this.dedupCounts, ...this.finalCounts],
      samples: this.samples.samples(),
      statistics: this.statistics,
      textBytes: this.textBytes,
      ...(part === undefined ? {} : { part }),
      ...(dropped === undefined ? {} : { dropped }),
    }
  }

  private async close(writer: LineWriter | undefined, path: string): Promise<EntryFile | undefined> {
    if (writer !== undefined) return { path, ...(await writer.close()) }
    await rm(join(this.task.base, path), { force: true })
    return undefined
  }

  async abort(): Promise<void> {
    await this.part?.abort()
    await this.dropped?.abort()
  }
}

/** A text with some lines cut out, without the runs of blank lines that this leaves. */
function withoutLines(text: string, removed: readonly number[]): string {
  const gone = new Set(removed)
  const kept = text.split('\n').filter((_, index) => !gone.has(index))
  return kept
    .join('\n')
    .replace(/\n{3,}/g, '\n\n')
    .trim()
}

/** Walks a decision file in step with the documents, so that neither is ever whole in memory. */
class DecisionCursor {
  private readonly lines: AsyncGenerator<string> | undefined
  private next: Decision | undefined
  private started = false

  constructor(private readonly path: string | undefined) {
    this.lines = path === undefined ? undefined : readLines(path)
  }

  async take(ordinal: number): Promise<Decision[]> {
    if (!this.started) {
      this.started = true
      await this.advance()
    }
    const taken: Decision[] = []
    while (this.next?.ordinal === ordinal) {
      taken.push(this.next)
      await this.advance()
    }
    invariant(this.next === undefined || this.next.ordinal > ordinal, 'decisions are ordered by document.')
    return taken
  }

  async expectEnd(): Promise<void> {
    if (this.next !== undefined) throw new DataError('Expected decisions for documents that are there.', this.path)
  }

  async close(): Promise<void> {
    await this.lines?.return(undefined)
  }

  private async advance(): Promise<void> {
    const step = await this.lines?.next()
    this.next = step === undefined || step.done ? undefined : (JSON.parse(step.value) as Decision)
  }
}
