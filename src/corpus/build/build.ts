// `corpus build` from start to end: plans the work, skips what an earlier run has finished, runs the rest on worker
// threads, and publishes the corpus by one atomic rename of its manifest.

import { readFile, rm } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import {
  ConfigError,
  DataError,
  type Progress,
  type ProgressOptions,
  parseConfig,
  programCall,
  sha256,
  writeFileAtomic,
} from '../../core/index.ts'
import { schemeOf } from '../../files/index.ts'
import { type CorpusManifest, encodeManifest, manifestFormat, manifestName, manifestVersion } from '../manifest.ts'
import { type BuildFindings, type CorpusReport, summarize } from '../report/corpus-report.ts'
import { HadoopFolder } from '../spark/hadoop-folder.ts'
import { findRemoteInputs } from '../spark/hadoop-inputs.ts'
import { type OpenSpark, openSpark } from '../spark/open-spark.ts'
import { buildOnSpark } from '../spark/spark-build.ts'
import { type ContaminationFiles, type CountTask, prepareIndex, writeCommon } from './contamination-stage.ts'
import { LocalFolder } from './corpus-folder.ts'
import { deduplicate } from './dedup-stage.ts'
import type { DocumentTask, PieceResult, ReadResult, ReadTask } from './document-task.ts'
import { groupBySize, type InputFile, listInputs, type Piece, planPieces, type ResolvedSource } from './inputs.ts'
import { type EntryFile, isIntact, keyOf, pruneFolders, readEntry } from './journal.ts'
import { type CorpusBuildOptions, corpusBuildSchema, type ResolvedBuildOptions } from './options.ts'
import { explainFault, hasEntry, type PhaseContext, runPhase } from './phase-runner.ts'
import { readStage } from './read-records.ts'
import {
  type BuildSettings,
  describeChanges,
  expandSource,
  registeredSources,
  resolveBuild,
} from './resolve-options.ts'
import type { WriteItem, WriteTask } from './write-task.ts'

/** Cancellation and output of a build. */
export interface BuildContext {
  signal?: AbortSignal | undefined
  progress?: (options: ProgressOptions) => Progress
  log?: (line: string) => void
  warn?: (line: string) => void
}

/** A finished build. */
export interface BuildResult {
  /** Folder of the corpus. */
  out: string
  /** Whether the corpus already existed, built from the same inputs and options. */
  unchanged: boolean
  manifest: CorpusManifest
  report: CorpusReport
}

/** Everything that the bytes of a corpus depend on. Raise `version` when the code changes its output. */
interface BuildFacts {
  version: number
  settings: BuildSettings
  inputs: InputFile[]
}

/** What both engines build from. */
interface BuildPlan {
  fingerprint: string
  dataName: string
  inputs: InputFile[]
  pieces: readonly Piece[]
  /** Path of the index of the test sets, when there are any. */
  index: string | undefined
}

/** The content of one part in order; the hashes identify its bytes. */
type PartGroup = { item: WriteItem; bytes: number; hashes: string[] }[]

const workVersion = 1
const planName = 'plan.json'
const decontaminateName = 'decontaminate'

/**
 * Builds a corpus, or resumes a stopped build; equal inputs and options give equal bytes.
 * @throws ConfigError for options that do not fit, DataError for inputs that cannot be read or have no text
 */
export const buildCorpus = async (options: CorpusBuildOptions, context: BuildContext = {}): Promise<BuildResult> => {
  const checked = parseConfig(corpusBuildSchema, options, 'corpus build')
  requireEffect(checked)
  try {
    const settings = await resolveBuild(checked)
    const { out, engine, master, sparkConf, workers, memoryMegabytes = defaultMemoryMegabytes } = checked
    requireReachable(checked, settings)
    const spark = engine === 'spark' ? await openSpark({ master, conf: sparkConf }, context.signal) : undefined
    let unlock: (() => Promise<void>) | undefined
    try {
      // Only Spark reaches addresses.
      const folder = schemeOf(out) === undefined ? new LocalFolder(out) : new HadoopFolder(out, spark!.shell)
      unlock = await folder.open()
      const limits = { ...checked, workers: workers || availableParallelism(), memoryMegabytes }
      return await new Build({ settings, limits, context, folder, spark }).run()
    } finally {
      await unlock?.()
      await spark?.close()
    }
  } catch (error) {
    if (context.signal?.aborted) context.log?.('Finished work is kept. Run the same command to resume.')
    throw explainFault(error)
  }
}

const defaultMemoryMegabytes = 512

/** @throws ConfigError for an option that has no effect with the engine */
const requireEffect = ({ engine, workers, memoryMegabytes, master, sparkConf }: ResolvedBuildOptions): void => {
  const foreign: Record<ResolvedBuildOptions['engine'], Record<string, unknown>> = {
    duckdb: { master, sparkConf: sparkConf.length === 0 ? undefined : sparkConf },
    spark: { workers, memoryMegabytes },
  }
  for (const [option, value] of Object.entries(foreign[engine])) {
    if (value === undefined) continue
    const instead =
      engine === 'spark' ? 'set the resources of Spark with `sparkConf`' : 'leave it out, or set `engine` to spark'
    throw new ConfigError(`\`${option}\` has no effect with the engine ${engine}: ${instead}.`)
  }
}

/** @throws ConfigError for addresses with an engine that reads and writes file systems only */
const requireReachable = ({ out, engine }: ResolvedBuildOptions, { sources }: BuildSettings): void => {
  if (engine === 'spark') return
  const isFile = ({ kind }: ResolvedSource) => registeredSources[kind]!.expand === undefined
  const paths = [['out', out], ...sources.filter(isFile).map(({ path }, i) => [`source[${i}]`, path])] as const
  for (const [option, path] of paths) {
    const scheme = schemeOf(path ?? '')
    if (scheme === undefined) continue
    throw new ConfigError(
      `\`${option}\` needs the engine spark for ${path}: set \`engine\` to spark, which reads and writes addresses of ${scheme}, or mount it as a folder.`,
    )
  }
}

interface BuildParts {
  settings: BuildSettings
  limits: BuildLimits
  context: BuildContext
  folder: LocalFolder | HadoopFolder
  /** With the engine spark. */
  spark: OpenSpark | undefined
}

type BuildLimits = Required<
  Pick<ResolvedBuildOptions, 'engine' | 'workers' | 'memoryMegabytes' | 'rebuild' | 'keepWork'>
>

class Build {
  readonly #settings: BuildSettings
  readonly #limits: BuildLimits
  readonly #context: BuildContext
  readonly #folder: LocalFolder | HadoopFolder
  readonly #spark: OpenSpark | undefined
  readonly #work: string
  readonly #phases: PhaseContext

  constructor({ settings, limits, context, folder, spark }: BuildParts) {
    this.#settings = settings
    this.#limits = limits
    this.#context = context
    this.#folder = folder
    this.#spark = spark
    this.#work = folder.work
    this.#phases = { settings, workers: limits.workers, signal: context.signal, progress: context.progress }
  }

  async run(): Promise<BuildResult> {
    const inputs = await this.#listInputs()
    const facts: BuildFacts = { version: workVersion, settings: this.#settings, inputs }
    const fingerprint = keyOf(facts)
    const dataName = `data-${fingerprint.slice(0, 12)}`
    const finished = await this.#checkFinished(fingerprint, facts)
    if (finished !== undefined) {
      await this.#tidy(dataName)
      return finished
    }
    await this.#checkUnfinished(fingerprint, facts)
    await writeFileAtomic(join(this.#work, planName), JSON.stringify({ fingerprint, ...facts }))

    // Reads the test sets, so that their faults come up before any document is read.
    const index = await this.#indexTestSets()
    const plan: BuildPlan = { fingerprint, dataName, inputs, pieces: planPieces(inputs, this.#settings.sizes), index }
    const findings = await this.#engines[this.#limits.engine](plan)
    return this.#publish({ fingerprint, dataName, inputs, findings })
  }

  readonly #engines: Record<ResolvedBuildOptions['engine'], (plan: BuildPlan) => Promise<BuildFindings>> = {
    duckdb: (plan) => this.#onThreads(plan),
    spark: ({ dataName, inputs, pieces, index }) =>
      buildOnSpark({
        settings: this.#settings,
        ...{ pieces, inputs, dataName, index },
        folder: this.#folder,
        spark: this.#spark!,
        signal: this.#context.signal,
        progress: this.#context.progress,
      }),
  }

  async #onThreads({ fingerprint, dataName, inputs, pieces, index }: BuildPlan): Promise<BuildFindings> {
    const reads = pieces.flatMap((piece) => (piece.kind === 'large' ? [this.#readTask(piece.input)] : []))
    await runPhase(
      { label: 'Reading large files', tasks: reads, isFinished: (task) => this.#isRead(task) },
      this.#phases,
    )

    const documents: DocumentTask[] = []
    /** Drop lists of the large files, by the index of the document task that follows each. */
    const readDrops = new Map<number, EntryFile[]>()
    for (const piece of pieces) {
      if (piece.kind === 'group') {
        documents.push(this.#documentTask({ kind: 'files', inputs: piece.inputs }, this.#factsOf(piece.inputs)))
        continue
      }
      const { folder, key } = this.#readTask(piece.input)
      const { result } = (await readEntry<ReadResult>(folder, key, undefined))!
      const drops = { ...result.dropped, path: join(folder, result.dropped.path) }
      readDrops.set(documents.length, [...(readDrops.get(documents.length) ?? []), drops])
      for (const { path, sha256: hash } of result.segments) {
        documents.push(this.#documentTask({ kind: 'segment', path: join(folder, path) }, { segment: hash }))
      }
    }
    await pruneFolders(join(this.#work, 'documents'), new Set(documents.map(({ key }) => key)))
    await pruneFolders(join(this.#work, 'read'), new Set(reads.map(({ key }) => key)))
    await runPhase(
      { label: 'Filtering', tasks: documents, isFinished: hasEntry, onFinished: dropSegment },
      this.#phases,
    )

    const groups = await this.#groupParts(documents, readDrops)
    const contamination = index === undefined ? undefined : await this.#findCommon(groups, index)
    const writes = this.#writeTasks(fingerprint, dataName, groups, contamination)
    await pruneFolders(join(this.#work, 'write'), new Set(writes.map(({ key }) => key)))
    const isWritten = (task: WriteTask) => hasEntry(task, this.#folder.path)
    await runPhase({ label: 'Writing', tasks: writes, isFinished: isWritten }, this.#phases)
    return summarize({ inputs, reads, documents, writes, index: contamination?.index })
  }

  async #listInputs(): Promise<InputFile[]> {
    const { sources } = this.#settings
    const { signal } = this.#context
    const remote = this.#spark === undefined ? undefined : await findRemoteInputs(sources, this.#spark, signal)
    const progress = this.#context.progress?.({ label: 'Hashing inputs', unit: 'bytes' })
    try {
      return await listInputs(sources, {
        async expand(source, number) {
          const paths = remote?.paths.get(number)
          return paths === undefined ? expandSource(source, signal) : { paths, local: true }
        },
        ...(remote === undefined ? {} : { known: remote.files }),
        signal,
        onProgress: (bytes) => progress?.update(bytes),
      })
    } finally {
      progress?.stop()
    }
  }

  /** The existing corpus, if it has this fingerprint and is intact. */
  async #checkFinished(fingerprint: string, facts: BuildFacts): Promise<BuildResult | undefined> {
    const manifest = await this.#folder.manifest()
    if (manifest === undefined) return undefined
    if (manifest.fingerprint !== fingerprint) {
      this.#requireRebuild('the finished corpus', manifest, facts)
      return undefined
    }
    for (const file of [...manifest.parts, ...manifest.dropped, manifest.report]) {
      if (await this.#folder.isIntact(file)) continue
      this.#context.warn?.(`${file.path} is missing or damaged: building the corpus again.`)
      return undefined
    }
    const report = JSON.parse(await this.#folder.read(manifest.report.path)) as CorpusReport
    return { out: this.#folder.path, unchanged: true, manifest, report }
  }

  async #checkUnfinished(fingerprint: string, facts: BuildFacts): Promise<void> {
    const text = await readFile(join(this.#work, planName), 'utf8').catch(() => undefined)
    if (text === undefined) return
    const plan = JSON.parse(text) as BuildFacts & { fingerprint: string }
    if (plan.fingerprint !== fingerprint) this.#requireRebuild('the unfinished build', plan, facts)
    else this.#context.log?.('Resuming the unfinished build in this folder.')
  }

  #requireRebuild(what: string, before: { settings: object; inputs: readonly InputFile[] }, after: BuildFacts): void {
    const changes = describeChanges(before, after).join('; ')
    if (this.#limits.rebuild) {
      this.#context.log?.(`Replacing ${what}; changed: ${changes}.`)
      return
    }
    throw new ConfigError(
      `Expected the inputs and options of ${what} in ${this.#folder.path}, got changes: ${changes}. ` +
        'Pass --rebuild to replace it (unchanged work is reused), or name another folder.',
    )
  }

  #factsOf(inputs: readonly InputFile[]): object {
    const files = inputs.map(({ source, path, sha256: hash }) => {
      const { kind, options } = this.#settings.sources[source]!
      return { kind, options, path, hash }
    })
    return { files }
  }

  #readTask(input: InputFile): ReadTask {
    const { segmentBytes } = this.#settings.sizes
    const key = keyOf({ version: workVersion, ...this.#factsOf([input]), segmentBytes })
    return { type: 'read', key, folder: join(this.#work, 'read', key), input }
  }

  #documentTask(input: DocumentTask['input'], facts: object): DocumentTask {
    const { filters, dedup, sizes, optionFiles } = this.#settings
    const key = keyOf({ version: workVersion, ...facts, filters, dedup, partBytes: sizes.partBytes, optionFiles })
    return { type: 'documents', key, folder: join(this.#work, 'documents', key), input }
  }

  /** Segments are deleted once filtered, so a file counts as read when each segment or its filtered result exists. */
  async #isRead({ folder, key }: ReadTask): Promise<boolean> {
    const entry = await readEntry<ReadResult>(folder, key, undefined)
    if (entry === undefined || !(await isIntact(join(folder, entry.result.dropped.path), entry.result.dropped)))
      return false
    for (const file of entry.result.segments) {
      const path = join(folder, file.path)
      if (await isIntact(path, file)) continue
      if (!(await hasEntry(this.#documentTask({ kind: 'segment', path }, { segment: file.sha256 })))) return false
    }
    return true
  }

  /** Deduplicates, then groups the files that the writing phase reads, one group per part. */
  async #groupParts(
    documents: readonly DocumentTask[],
    readDrops: ReadonlyMap<number, EntryFile[]>,
  ): Promise<PartGroup[]> {
    const { signal, progress } = this.#context
    const decisions = await deduplicate({
      pieces: documents,
      stages: this.#settings.dedup,
      folder: join(this.#work, 'dedup'),
      memoryMegabytes: this.#limits.memoryMegabytes,
      signal,
      progress,
    })
    const items: PartGroup = []
    const addDrops = ({ path, sha256: hash }: EntryFile) =>
      items.push({ item: { kind: 'dropped', path }, bytes: 0, hashes: [hash] })
    for (const [index, { folder, key }] of documents.entries()) {
      const { result } = (await readEntry<PieceResult>(folder, key, undefined))!
      readDrops.get(index)?.forEach(addDrops)
      addDrops({ ...result.dropped, path: join(folder, result.dropped.path) })
      for (const [number, file] of result.kept.entries()) {
        const decided = decisions.get(`${index}/${number}`)
        items.push({
          item: { kind: 'kept', path: join(folder, file.path), ...(decided && { decisions: decided.path }) },
          bytes: file.textBytes,
          hashes: [file.sha256, decided?.sha256 ?? ''],
        })
      }
    }
    readDrops.get(documents.length)?.forEach(addDrops)
    return groupBySize(items, ({ bytes }) => bytes, this.#settings.sizes.partBytes)
  }

  /** The path of the index of the test sets, if there are any. */
  async #indexTestSets(): Promise<string | undefined> {
    const { contamination, testSetFiles } = this.#settings
    if (contamination === undefined) return undefined
    return prepareIndex(contamination, join(this.#work, decontaminateName), testSetFiles)
  }

  /** Counts overlaps with the test sets in the whole corpus, to distinguish leaks from common phrases. */
  async #findCommon(groups: readonly PartGroup[], index: string): Promise<ContaminationFiles> {
    const folder = join(this.#work, decontaminateName)
    const tasks = groups.map((group): CountTask => {
      const kept = group.flatMap(({ item }) => (item.kind === 'kept' ? [item] : []))
      const key = keyOf({ index, hashes: group.map(({ hashes }) => hashes) })
      return { type: 'count', key, folder: join(folder, key), index, kept }
    })
    await runPhase({ label: 'Finding test items', tasks, isFinished: hasEntry }, this.#phases)
    const common = join(folder, 'common.json')
    await writeCommon(common, index, tasks, this.#settings.contamination!.options)
    return { index, common }
  }

  #writeTasks(
    fingerprint: string,
    dataName: string,
    groups: readonly PartGroup[],
    contamination: ContaminationFiles | undefined,
  ): WriteTask[] {
    return groups.map((group, index) => {
      const number = String(index).padStart(5, '0')
      const key = keyOf({ fingerprint, index, hashes: group.map(({ hashes }) => hashes) })
      return {
        type: 'write',
        key,
        folder: join(this.#work, 'write', key),
        base: this.#folder.path,
        partPath: `${dataName}/part-${number}.jsonl.gz`,
        droppedPath: `${dataName}/dropped-${number}.jsonl.gz`,
        items: group.map(({ item }) => item),
        ...(contamination === undefined ? {} : { contamination }),
      }
    })
  }

  /** Writes the report, then the manifest, whose rename publishes the corpus. */
  async #publish(build: {
    fingerprint: string
    dataName: string
    inputs: InputFile[]
    findings: BuildFindings
  }): Promise<BuildResult> {
    this.#context.signal?.throwIfAborted()
    const { stages, parts, dropped, report } = build.findings
    requireText(report, build.inputs.length)
    const reportPath = `${build.dataName}/report.json`
    const text = `${JSON.stringify(report, null, 1)}\n`
    await this.#folder.write(reportPath, text)
    const manifest: CorpusManifest = {
      format: manifestFormat,
      version: manifestVersion,
      fingerprint: build.fingerprint,
      settings: { ...this.#settings },
      inputs: build.inputs,
      stages,
      documents: parts.reduce((sum, part) => sum + part.documents, 0),
      textBytes: parts.reduce((sum, part) => sum + part.textBytes, 0),
      parts,
      dropped,
      report: { path: reportPath, bytes: Buffer.byteLength(text), sha256: sha256(text) },
    }
    if (manifest.documents === 0)
      this.#context.warn?.(
        `The filters dropped every document. See the reasons with \`${programCall('corpus inspect')}\`.`,
      )
    await this.#folder.write(manifestName, encodeManifest(manifest))
    await this.#tidy(build.dataName)
    return { out: this.#folder.path, unchanged: false, manifest, report }
  }

  #tidy(dataName: string): Promise<void> {
    return this.#folder.tidy(dataName, this.#limits)
  }
}

/**
 * @throws DataError with the reasons when no input gave a document: an empty corpus would only fail later, in training
 */
const requireText = ({ stages, damaged }: CorpusReport, inputs: number): void => {
  const read = stages.find(({ stage }) => stage === readStage)
  if (read !== undefined && read.documentsOut > 0) return
  const reasons = Object.entries(read?.dropped ?? {}).map(([reason, count]) => `${count} ${reason}`)
  const found = reasons.length === 0 ? 'no records' : `records without text (${reasons.join(', ')})`
  const [first] = damaged
  throw new DataError(
    `Expected text in ${inputs === 1 ? 'the input' : `the ${inputs} inputs`}, got ${found}.` +
      `${first === undefined ? '' : ` First damaged input: ${first.path}: ${first.message}`}` +
      ' Check the files and the kind of `source`.',
  )
}

const dropSegment = async ({ input }: DocumentTask): Promise<void> => {
  if (input.kind === 'segment') await rm(input.path, { force: true })
}
