// The stages of a build that run in worker processes of Spark: rows in, rows out. Each is what a task of the embedded
// engine does, with rows instead of files.

import { DataError, parseJson } from '../../core/index.ts'
import { ContaminationCheck, contaminationStage, loadIndex } from '../build/contamination-stage.ts'
import { applyDecisions, type Decision, duplicateDetail } from '../build/decisions.ts'
import { FileSizes, filterDocument, type PieceResult, type FileSizes as Sizes } from '../build/document-task.ts'
import { FilterChain } from '../build/filter-chain.ts'
import { groupBySize } from '../build/inputs.ts'
import { readRecords, readStage } from '../build/read-records.ts'
import { type BuildSettings, registeredSources } from '../build/resolve-options.ts'
import { openDeduplicator } from '../build/signatures.ts'
import { type DamagedInput, DropSampler, emptyCounts, mergeCounts, type StageCounts } from '../build/stage-counts.ts'
import { PartAssembler, type PartContents, type WriteStages } from '../build/write-task.ts'
import { Clusters } from '../dedup/index.ts'
import { type CorpusDocument, decodeDocument, encodeDocument, textBytes } from '../document.ts'
import type { BuildFiles } from './build-files.ts'
import { FetchedInputs, fetchedMark, type PieceTask } from './fetched-inputs.ts'
import { clusterColumns, documentColumns, itemColumns, overlapColumns, partColumns, type RowWriter } from './rows.ts'

/** A stage in a worker process. */
export interface RowStage {
  /** Handles the fields of one line; `line` is its number, from 1. */
  row(fields: readonly (string | undefined)[], line: number): Promise<void>
  /** Called after the last row. */
  end(): Promise<void>
  /** Removes what the stage holds on disk, also after an error. */
  close?(): Promise<void>
}

/** What a worker counts of the pieces that it reads and filters. */
export type PieceSummary = Pick<PieceResult, 'counts' | 'samples' | 'damage'>
/** What a worker counts of one part. */
export type PartSummary = PartContents & { droppedLines: number }

/** A decision as the SQL writes it; `stage` is the number of the deduplicator. */
interface RowDecision {
  stage: number
  keptId?: string
  clusterSize?: number
  lines?: number[]
}

const inputName = 'rows on stdin'

const fieldOf = (fields: readonly (string | undefined)[], index: number, line: number): string => {
  const value = fields[index]
  if (value === undefined) throw new DataError(`Expected a value in field ${index + 1}, got none.`, inputName, line)
  return value
}

const numberOf = (fields: readonly (string | undefined)[], index: number, line: number): number => {
  const value = Number(fieldOf(fields, index, line))
  if (!Number.isSafeInteger(value))
    throw new DataError(`Expected an integer in field ${index + 1}, got \`${fields[index]}\`.`, inputName, line)
  return value
}

const jsonOf = <Value>(text: string, line: number): Value => parseJson(text, { path: inputName, line }) as Value

const readTask = (text: string, line: number): PieceTask => {
  const task = jsonOf<Partial<PieceTask>>(text, line)
  if (typeof task?.piece !== 'number' || !Array.isArray(task.inputs))
    throw new DataError('Expected a task with `piece` and `inputs`, got another value.', inputName, line)
  return task as PieceTask
}

/** What most stages have: the settings of the build, and where their rows go. */
abstract class SettingsStage implements RowStage {
  protected readonly settings: BuildSettings
  protected readonly rows: RowWriter

  constructor(settings: BuildSettings, rows: RowWriter) {
    this.settings = settings
    this.rows = rows
  }

  abstract row(fields: readonly (string | undefined)[], line: number): Promise<void>
  abstract end(): Promise<void>
}

/** Reads large files into rows of unfiltered documents. */
class ReadStage extends SettingsStage {
  #counts: StageCounts[] = [emptyCounts(readStage)]
  readonly #damage: DamagedInput[] = []
  readonly #fetched = new FetchedInputs(readTask, (task) => this.#read(task))

  override row(fields: readonly (string | undefined)[], line: number): Promise<void> {
    if (fields[0] === fetchedMark) return this.#fetched.add(fields, line)
    return this.#read(readTask(fieldOf(fields, 0, line), line))
  }

  async #read({ piece, inputs }: PieceTask): Promise<void> {
    const segments = new FileSizes(this.settings.sizes.segmentBytes)
    let row = 0
    const place = { piece, segment: -1, item: -1 }
    const { documents, counts, damage } = readRecords(inputs, {
      sources: this.settings.sources,
      registry: registeredSources,
      onDrop: (drop) =>
        this.rows.write(documentColumns, { kind: 'drop', ...place, row: row++, line: JSON.stringify(drop) }),
    })
    for await (const document of documents) {
      const segment = segments.add(textBytes(document.text))
      const text = encodeDocument(document)
      await this.rows.write(documentColumns, { kind: 'raw', piece, segment, row: row++, line: text })
    }
    await this.rows.write(documentColumns, { kind: 'item', ...place, bytes: 0 })
    this.#counts = mergeCounts([this.#counts, [counts]])
    this.#damage.push(...damage)
  }

  override async end(): Promise<void> {
    await this.#fetched.finish()
    const summary: PieceSummary = { counts: this.#counts, samples: [], damage: this.#damage }
    await this.rows.write(documentColumns, { kind: 'summary', line: JSON.stringify(summary) })
  }

  close(): Promise<void> {
    return this.#fetched.close()
  }
}

/** Filters documents and makes their keys: of groups of small files (a task per row), or of rows of a large file. */
class DocumentsStage extends SettingsStage {
  readonly #chain: FilterChain
  readonly #keys: ReturnType<ReturnType<typeof openDeduplicator>['createKeys']>[]
  readonly #samples = new DropSampler()
  #counts: StageCounts[] = [emptyCounts(readStage)]
  readonly #damage: DamagedInput[] = []
  readonly #fetched = new FetchedInputs(readTask, (task) => this.#group(task))
  #segment: { piece: number; segment: number; sizes: Sizes } | undefined

  constructor(settings: BuildSettings, rows: RowWriter, chain: FilterChain) {
    super(settings, rows)
    this.#chain = chain
    this.#keys = settings.dedup.map((stage) => openDeduplicator(stage).createKeys())
  }

  override async row(fields: readonly (string | undefined)[], line: number): Promise<void> {
    if (fields[0] === fetchedMark) return this.#fetched.add(fields, line)
    if (fields.length === 1) return this.#group(readTask(fieldOf(fields, 0, line), line))
    const piece = numberOf(fields, 0, line)
    const segment = numberOf(fields, 1, line)
    const row = numberOf(fields, 2, line)
    const document = decodeDocument(fieldOf(fields, 3, line), inputName, line)
    if (this.#segment?.piece !== piece || this.#segment.segment !== segment) await this.#open(piece, segment)
    await this.#filter(row, document)
  }

  async #group({ piece, inputs }: PieceTask): Promise<void> {
    await this.#open(piece, 0)
    let row = 0
    const { documents, counts, damage } = readRecords(inputs, {
      sources: this.settings.sources,
      registry: registeredSources,
      onDrop: (drop) => this.#drop(row++, drop),
    })
    for await (const document of documents) await this.#filter(row++, document)
    this.#counts = mergeCounts([this.#counts, [counts]])
    this.#damage.push(...damage)
  }

  async #filter(row: number, document: CorpusDocument): Promise<void> {
    const outcome = filterDocument(document, this.#chain, this.#samples)
    if ('drop' in outcome) return this.#drop(row, outcome.drop)
    const { piece, segment, sizes } = this.#segment!
    const item = sizes.add(textBytes(outcome.document.text))
    const line = encodeDocument(outcome.document)
    await this.rows.write(documentColumns, { kind: 'document', piece, segment, item, row, line })
    for (const [stage, keys] of this.#keys.entries()) {
      const found: string[] = []
      keys(row, outcome.document, (values) => {
        found.push(JSON.stringify(values, (_, value) => (typeof value === 'bigint' ? value.toString() : value)))
      })
      for (const values of found)
        await this.rows.write(documentColumns, { kind: 'key', piece, row, stage, keys: values })
    }
  }

  async #drop(row: number, drop: object): Promise<void> {
    const { piece, segment } = this.#segment!
    const line = JSON.stringify(drop)
    await this.rows.write(documentColumns, { kind: 'drop', piece, segment, item: -1, row, line })
  }

  async #open(piece: number, segment: number): Promise<void> {
    await this.#close()
    this.#segment = { piece, segment, sizes: new FileSizes(this.settings.sizes.partBytes) }
  }

  /** Writes the items of the piece or segment that was read. */
  async #close(): Promise<void> {
    if (this.#segment === undefined) return
    const { piece, segment, sizes } = this.#segment
    const items = [0, ...sizes.files.map((file) => file.textBytes)]
    for (const [index, bytes] of items.entries())
      await this.rows.write(documentColumns, { kind: 'item', piece, segment, item: index - 1, bytes })
    this.#segment = undefined
  }

  override async end(): Promise<void> {
    await this.#fetched.finish()
    await this.#close()
    const summary: PieceSummary = {
      counts: [...this.#counts, ...this.#chain.takeCounts()],
      samples: this.#samples.samples(),
      damage: this.#damage,
    }
    await this.rows.write(documentColumns, { kind: 'summary', line: JSON.stringify(summary) })
  }

  close(): Promise<void> {
    return this.#fetched.close()
  }
}

/** Clusters of linked members by union-find, in one process. */
class ClustersStage implements RowStage {
  readonly #rows: RowWriter
  #links = new Uint32Array(1 << 12)
  #length = 0
  #members = 0

  constructor(rows: RowWriter) {
    this.#rows = rows
  }

  async row(fields: readonly (string | undefined)[], line: number): Promise<void> {
    if (this.#length === this.#links.length) {
      const larger = new Uint32Array(this.#length * 2)
      larger.set(this.#links)
      this.#links = larger
    }
    for (const index of [0, 1]) {
      const member = numberOf(fields, index, line)
      this.#links[this.#length++] = member
      this.#members = Math.max(this.#members, member + 1)
    }
  }

  async end(): Promise<void> {
    const clusters = new Clusters(this.#members)
    for (let i = 0; i < this.#length; i += 2) clusters.link(this.#links[i]!, this.#links[i + 1]!)
    for (const [member, root] of clusters.roots().entries()) await this.#rows.write(clusterColumns, { member, root })
  }
}

/** Numbers the parts: groups of items in order, as the embedded engine groups files. */
class PartsStage implements RowStage {
  readonly #limit: number
  readonly #rows: RowWriter
  readonly #items: { piece: number; segment: number; item: number; bytes: number }[] = []

  constructor(settings: BuildSettings, rows: RowWriter) {
    this.#limit = settings.sizes.partBytes
    this.#rows = rows
  }

  async row(fields: readonly (string | undefined)[], line: number): Promise<void> {
    const [piece, segment, item, bytes] = [0, 1, 2, 3].map((index) => numberOf(fields, index, line))
    this.#items.push({ piece: piece!, segment: segment!, item: item!, bytes: bytes! })
  }

  async end(): Promise<void> {
    for (const [part, group] of groupBySize(this.#items, ({ bytes }) => bytes, this.#limit).entries()) {
      for (const { bytes: _, ...item } of group) await this.#rows.write(itemColumns, { ...item, part })
    }
  }
}

const decisionsOf = (json: string | undefined, settings: BuildSettings, line: number): Decision[] =>
  json === undefined
    ? []
    : jsonOf<RowDecision[]>(json, line).map(({ stage: number, keptId = '', clusterSize = 0, lines }) => {
        const { stage, reasons } = settings.dedup[number]!
        if (lines !== undefined) return { ordinal: 0, stage, removeLines: lines }
        return { ordinal: 0, stage, reason: reasons[0]!, detail: duplicateDetail(keptId, clusterSize) }
      })

/** Finds n-grams of the test sets in each document that is left after deduplication. */
class OverlapsStage extends SettingsStage {
  readonly #index: Awaited<ReturnType<typeof loadIndex>>

  constructor(settings: BuildSettings, rows: RowWriter, index: Awaited<ReturnType<typeof loadIndex>>) {
    super(settings, rows)
    this.#index = index
  }

  override async row(fields: readonly (string | undefined)[], line: number): Promise<void> {
    const [piece, row] = [numberOf(fields, 0, line), numberOf(fields, 1, line)]
    const document = decodeDocument(fieldOf(fields, 2, line), inputName, line)
    const text = applyDecisions(document.text, decisionsOf(fields[3], this.settings, line))
    if (text === undefined) return
    for (const gram of this.#index.gramsOf(text)) await this.rows.write(overlapColumns, { piece, row, gram })
  }

  override async end(): Promise<void> {}
}

/** Applies all decisions and writes the lines of parts and drop lists. */
class WriteStage extends SettingsStage {
  readonly #stages: WriteStages
  #part: { part: number; assembler: PartAssembler; droppedLines: number } | undefined
  #place = 0

  constructor(settings: BuildSettings, rows: RowWriter, stages: WriteStages) {
    super(settings, rows)
    this.#stages = stages
  }

  override async row(fields: readonly (string | undefined)[], line: number): Promise<void> {
    const part = numberOf(fields, 0, line)
    const kind = fieldOf(fields, 1, line)
    const text = fieldOf(fields, 2, line)
    if (this.#part?.part !== part) await this.#open(part)
    if (kind === 'drop') return this.#drop(text)
    const document = decodeDocument(text, inputName, line)
    const common = fields[4] === undefined ? undefined : new Set(jsonOf<number[]>(fields[4], line))
    await this.#part!.assembler.add(document, text, decisionsOf(fields[3], this.settings, line), { common })
  }

  async #open(part: number): Promise<void> {
    await this.#close()
    const write = (kind: string, line: string) =>
      this.rows.write(partColumns, { part, kind, place: this.#place++, line })
    const sink = { document: (line: string) => write('part', line), drop: (line: string) => this.#drop(line) }
    this.#part = { part, assembler: new PartAssembler(sink, this.#stages), droppedLines: 0 }
  }

  async #drop(line: string): Promise<void> {
    const part = this.#part!
    part.droppedLines += 1
    await this.rows.write(partColumns, { part: part.part, kind: 'dropped', place: this.#place++, line })
  }

  async #close(): Promise<void> {
    if (this.#part === undefined) return
    const { part, assembler, droppedLines } = this.#part
    const line = JSON.stringify({ ...assembler.finish(), droppedLines } satisfies PartSummary)
    await this.rows.write(partColumns, { part, kind: 'summary', place: this.#place++, line })
  }

  override end(): Promise<void> {
    return this.#close()
  }
}

const indexOf = (files: BuildFiles): string => {
  if (files.index !== undefined) return files.index
  throw new DataError(`The stage needs the index of the test sets: the build has no \`${contaminationStage}\`.`)
}

const stages = {
  read: async ({ settings }: BuildFiles, rows: RowWriter): Promise<RowStage> => new ReadStage(settings, rows),
  documents: async ({ settings }: BuildFiles, rows: RowWriter): Promise<RowStage> =>
    new DocumentsStage(settings, rows, await FilterChain.create(settings.filters)),
  clusters: async (_: BuildFiles, rows: RowWriter): Promise<RowStage> => new ClustersStage(rows),
  parts: async ({ settings }: BuildFiles, rows: RowWriter): Promise<RowStage> => new PartsStage(settings, rows),
  overlaps: async (files: BuildFiles, rows: RowWriter): Promise<RowStage> =>
    new OverlapsStage(files.settings, rows, await loadIndex(indexOf(files))),
  write: async (files: BuildFiles, rows: RowWriter): Promise<RowStage> => {
    const { dedup, contamination } = files.settings
    if (contamination === undefined) return new WriteStage(files.settings, rows, { dedup })
    const check = await ContaminationCheck.forKnown(indexOf(files), contamination.options)
    return new WriteStage(files.settings, rows, { dedup, contamination: check })
  },
} satisfies Record<string, (files: BuildFiles, rows: RowWriter) => Promise<RowStage>>

/** Name of a stage of a build on Spark. */
export type BuildStageName = keyof typeof stages
/** Names of all stages of a build on Spark. */
export const buildStageNames = Object.keys(stages) as [BuildStageName, ...BuildStageName[]]

/** Opens a stage of the build in `files`, which writes to `rows`. @throws DataError when the build has no such stage */
export const openBuildStage = (name: BuildStageName, files: BuildFiles, rows: RowWriter): Promise<RowStage> =>
  stages[name](files, rows)
