// A corpus build on Spark: ships the worker, writes the tasks and the script, runs it, and places the files of the corpus.

import { copyFile, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { ConfigError, DataError, exists } from '../../core/index.ts'
import { schemeOf } from '../../files/index.ts'
import { LocalFolder } from '../build/corpus-folder.ts'
import type { InputFile, Piece } from '../build/inputs.ts'
import type { PhaseContext } from '../build/phase-runner.ts'
import { definitionOf, openDeduplicator } from '../build/signatures.ts'
import { type BuildFindings, BuildSummary } from '../report/corpus-report.ts'
import type { PieceTask } from './fetched-inputs.ts'
import type { HadoopFolder } from './hadoop-folder.ts'
import { splitAddress } from './hadoop-shell.ts'
import { type OpenSpark, scriptConf } from './open-spark.ts'
import {
  type FetchedInputs,
  type FetchedPlace,
  outputMarks,
  type ScriptDedup,
  type ScriptOptions,
  sparkScript,
} from './script.ts'
import { shipWorker } from './ship-worker.ts'
import type { PartSummary, PieceSummary } from './stages.ts'
import { runSpark } from './submit.ts'

export interface SparkBuild extends Pick<PhaseContext, 'settings' | 'signal' | 'progress'> {
  pieces: readonly Piece[]
  inputs: readonly InputFile[]
  /** Folder of the corpus; nodes write it. */
  folder: LocalFolder | HadoopFolder
  /** Folder of the parts in `out`. */
  dataName: string
  /** Path of the index of the test sets, when there are any. */
  index?: string | undefined
  spark: Pick<OpenSpark, 'submit' | 'master' | 'conf'>
}

/** Names of tables that a stopped build leaves, in the order in which they are made. */
const keptTables = ['read', 'documents']

const isLocal = (master: string | undefined): boolean => master !== undefined && /^local(?:\[|$)/.test(master)

const uriOf = (path: string): string => `file://${resolve(path)}`

/** Where a build on Spark keeps its files: beside the corpus, on a file system that all nodes share or at an address. */
interface SparkPlaces {
  /** URI of a path below the folder of the corpus. */
  uri(path: string): string
  /** Folder of the tasks and tables of this run, and of the tables that outlive it, below that folder. */
  run: string
  kept: string
  /** Folder of the lines of the corpus, below that folder. */
  lines: string
  /** Brings local files to a folder below that folder. */
  put(files: readonly string[], folder: string): Promise<void>
  remove(paths: readonly string[]): Promise<void>
  /** Whether a file was there when the build began. */
  has(path: string): Promise<boolean>
  /** Removes what is not of the corpus. */
  finish(): Promise<void>
  /** The path in the corpus of a file that Spark has written. */
  place(file: WrittenFile, name: string): Promise<string>
}

const onFileSystem = (folder: LocalFolder, dataName: string): SparkPlaces => {
  const at = (path: string) => join(folder.path, path)
  const lines = `${dataName}/lines`
  return {
    uri: (path) => uriOf(at(path)),
    run: 'work/spark/run',
    kept: `work/spark/${dataName}`,
    lines,
    async put(files, target) {
      await mkdir(at(target), { recursive: true })
      for (const file of files) await copyFile(file, join(at(target), basename(file)))
    },
    async remove(paths) {
      for (const path of paths) await rm(at(path), { recursive: true, force: true })
    },
    finish: () => rm(at(lines), { recursive: true, force: true }),
    has: (path) => exists(at(path)),
    async place({ kind, part }, name) {
      const written = at(`${lines}/kind=${kind}/part=${part}`)
      const file = (await readdir(written)).find((one) => one.endsWith('.gz') && !one.startsWith('.'))
      await rename(join(written, file!), at(`${dataName}/${name}`))
      return `${dataName}/${name}`
    },
  }
}

/** Files keep the names that Spark gives them: stores of objects rename by copying. */
const atAddress = (folder: HadoopFolder, dataName: string): SparkPlaces => ({
  uri: (path) => `${folder.path}/${path}`,
  run: 'work/spark/run',
  kept: `work/spark/${dataName}`,
  lines: dataName,
  put: (files, target) => folder.put(files, target),
  remove: (paths) => folder.remove(paths),
  async finish() {
    folder.removeLater(['work', `${dataName}/kind=summary`, `${dataName}/_SUCCESS`])
  },
  has: async (path) => folder.has(path),
  place: async ({ path }) => path.slice(path.lastIndexOf(`/${dataName}/`) + 1),
})

/** Runs all phases on Spark; afterwards the files of the corpus are in their place. */
export const buildOnSpark = async (build: SparkBuild): Promise<BuildFindings> => {
  const { settings, folder, dataName, index, spark, signal } = build
  // Spark takes paths of outputs as patterns where it reads them again.
  if (/[*?[\]{}]/.test(folder instanceof LocalFolder ? resolve(folder.path) : folder.path))
    throw new ConfigError(
      `Expected \`out\` without *, ?, [, ], { and } for Spark, got ${folder.path}. Name another folder.`,
    )
  const places = folder instanceof LocalFolder ? onFileSystem(folder, dataName) : atAddress(folder, dataName)
  const local = resolve(folder.work, 'spark', 'local')
  await rm(local, { recursive: true, force: true })
  await mkdir(local, { recursive: true })
  const { finished, stale } = await finishedTables(places)
  await places.remove([places.run, places.lines, ...stale])
  const tasks = await writeTasks(local, build.pieces)
  await places.put(
    tasks.names.map((name) => join(local, name)),
    places.run,
  )
  const task = (name: string) => places.uri(`${places.run}/${name}`)
  const files = { settings, ...(index === undefined ? {} : { index }) }
  const worker = await shipWorker(join(local, 'worker'), files, isLocal(spark.master))
  const { sql, phases } = sparkScript({
    worker: worker.command,
    places: {
      reads: task(taskFiles.reads),
      groups: task(taskFiles.groups),
      tables: places.uri(places.kept),
      lines: places.uri(places.lines),
    },
    tasks: tasks.own,
    ...(tasks.fetched === undefined
      ? {}
      : {
          fetched: {
            ...tasks.fetched,
            places: {
              reads: task(taskFiles.fetchedReads),
              groups: task(taskFiles.fetchedGroups),
              inputs: task(taskFiles.inputs),
            },
          },
        }),
    dedup: settings.dedup.map((stage): ScriptDedup => {
      const { keyColumns, plan } = openDeduplicator(stage)
      const { unit } = definitionOf(stage.type)
      return { stage: stage.stage, unit, columns: keyColumns, plan }
    }),
    ...(settings.contamination === undefined ? {} : { maxDocuments: settings.contamination.options.maxDocuments }),
    finished,
  })
  const script = join(local, 'build.sql')
  await writeFile(script, sql)
  const results = new Results(places)
  const progress = build.progress?.({ label: 'Building on Spark', total: phases, unit: 'phases' })
  try {
    await runSpark({
      submit: spark.submit,
      master: spark.master,
      conf: { ...scriptConf(spark.conf), 'spark.sql.warehouse.dir': places.uri(`${places.run}/tables`) },
      archive: worker.archive,
      script,
      onLine: (line) => {
        const phase = results.add(line)
        if (phase !== undefined) progress?.update(results.phases - 1, { phase })
      },
      signal,
    })
    progress?.update(phases)
  } finally {
    progress?.stop()
  }
  const findings = await results.place(build.inputs, index)
  await places.finish()
  return findings
}

/** Names of the files of tasks. */
const taskFiles = {
  reads: 'reads.jsonl',
  groups: 'groups.jsonl',
  fetchedReads: 'fetched-reads.jsonl',
  fetchedGroups: 'fetched-groups.jsonl',
  inputs: 'inputs.jsonl',
} as const

interface WrittenTasks {
  /** Names of the files that were written. */
  names: string[]
  own: ScriptOptions['tasks']
  fetched?: Pick<FetchedInputs, 'paths' | 'tasks'>
}

/** Whether Spark reads an input and passes its bytes on. */
const isFetched = ({ path, sha256 }: InputFile): boolean => sha256 !== null && schemeOf(path) !== undefined

/** Writes the tasks, one JSON per line; files are named so that any working folder finds them. */
const writeTasks = async (folder: string, pieces: readonly Piece[]): Promise<WrittenTasks> => {
  const locate = (input: InputFile): InputFile =>
    input.sha256 === null || isFetched(input) ? input : { ...input, location: resolve(input.path) }
  const lines = new Map<string, string[]>([
    [taskFiles.reads, []],
    [taskFiles.groups, []],
  ])
  const add = (name: string, line: object) => {
    if (!lines.has(name)) lines.set(name, [])
    lines.get(name)!.push(`${JSON.stringify(line)}\n`)
  }
  const paths: string[] = []
  for (const [piece, one] of pieces.entries()) {
    const inputs = one.kind === 'large' ? [one.input] : one.inputs
    const task: PieceTask = { piece, inputs: inputs.map(locate) }
    if (!inputs.some(isFetched)) {
      add(one.kind === 'large' ? taskFiles.reads : taskFiles.groups, task)
      continue
    }
    const kind = one.kind === 'large' ? 'reads' : 'groups'
    add(kind === 'reads' ? taskFiles.fetchedReads : taskFiles.fetchedGroups, task)
    for (const [number, input] of inputs.entries()) {
      if (!isFetched(input) || input.bytes === 0) continue
      paths.push(input.path)
      add(taskFiles.inputs, { kind, piece, input: number, ...splitAddress(input.path) } satisfies FetchedPlace)
    }
  }
  const count = (name: string) => lines.get(name)?.length ?? 0
  const fetched = { reads: count(taskFiles.fetchedReads), groups: count(taskFiles.fetchedGroups) }
  const anyFetched = fetched.reads + fetched.groups > 0
  if (anyFetched)
    for (const name of [taskFiles.fetchedReads, taskFiles.fetchedGroups, taskFiles.inputs])
      lines.set(name, lines.get(name) ?? [])
  for (const [name, own] of lines) await writeFile(join(folder, name), own.join(''))
  return {
    names: [...lines.keys()],
    own: { reads: count(taskFiles.reads), groups: count(taskFiles.groups) },
    ...(anyFetched ? { fetched: { paths, tasks: fetched } } : {}),
  }
}

/** The tables that Spark has completed, and the places of others, which are to be removed with those that are made from them. */
const finishedTables = async ({ kept, has }: SparkPlaces): Promise<{ finished: Set<string>; stale: string[] }> => {
  const finished = new Set<string>()
  const stale: string[] = []
  for (const [i, name] of keptTables.entries()) {
    if (finished.size === i && (await has(`${kept}/${name}/_SUCCESS`))) finished.add(name)
    else stale.push(`${kept}/${name}`)
  }
  return { finished, stale }
}

interface WrittenFile {
  kind: string
  part: number
  bytes: number
  sha256: string
  path: string
}

/** Collects the lines that the script selects. */
class Results {
  readonly #places: SparkPlaces
  readonly #summary = new BuildSummary()
  readonly #parts: (PartSummary & { part: number })[] = []
  readonly #files: WrittenFile[] = []
  phases = 0

  constructor(places: SparkPlaces) {
    this.#places = places
  }

  /** @returns the name of the phase that a line announces */
  add(line: string): string | undefined {
    const [mark, kind = '', part, ...rest] = line.split('\t')
    if (mark === outputMarks.phase) {
      this.phases += 1
      return kind
    }
    if (mark === outputMarks.summary && kind === 'piece') this.#summary.addPiece(JSON.parse(rest[0]!) as PieceSummary)
    else if (mark === outputMarks.summary)
      this.#parts.push({ part: Number(part), ...(JSON.parse(rest[0]!) as PartSummary) })
    else if (mark === outputMarks.file) {
      const [bytes, sha256, path] = rest
      this.#files.push({ kind, part: Number(part), bytes: Number(bytes), sha256: sha256!, path: path! })
    }
    return undefined
  }

  /** Brings the files to their places in the corpus, and sums what is counted. */
  async place(inputs: readonly InputFile[], index: string | undefined): Promise<BuildFindings> {
    for (const { part, droppedLines, ...contents } of this.#parts) {
      const files = {
        part: await this.#move('part', part, contents.statistics.documents),
        dropped: await this.#move('dropped', part, droppedLines),
      }
      this.#summary.addPart({
        ...contents,
        ...(files.part === undefined ? {} : { part: files.part }),
        ...(files.dropped === undefined ? {} : { dropped: files.dropped }),
      })
    }
    return this.#summary.finish(inputs, index)
  }

  async #move(kind: string, part: number, lines: number) {
    const found = this.#files.filter((file) => file.kind === kind && file.part === part)
    if (found.length === 0 && lines === 0) return undefined
    if (found.length !== 1)
      throw new DataError(`Expected one file of ${kind} ${part} from Spark, got ${found.length}. Run the build again.`)
    const { bytes, sha256 } = found[0]!
    const path = await this.#places.place(found[0]!, `${kind}-${String(part).padStart(5, '0')}.jsonl.gz`)
    return { path, lines, bytes, sha256 }
  }
}
