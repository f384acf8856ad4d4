// A corpus build on Spark: ships the worker, writes the tasks and the script, runs it, and places the files of the corpus.

import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { ConfigError, DataError, exists, type Progress, type ProgressOptions } from '../../core/index.ts'
import { lookUp } from '../build/component-spec.ts'
import type { InputFile } from '../build/inputs.ts'
import type { Piece } from '../build/plan.ts'
import type { BuildSettings } from '../build/resolve-options.ts'
import { openDeduplicator, registeredDeduplicators } from '../build/signatures.ts'
import { type BuildFindings, BuildSummary } from '../report/corpus-report.ts'
import { outputMarks, type ScriptDedup, sparkScript } from './script.ts'
import { shipWorker } from './ship-worker.ts'
import type { PartSummary, PieceSummary, PieceTask } from './stages.ts'
import { findSparkSubmit, runSpark } from './submit.ts'

export interface SparkOptions {
  /** URL of the cluster (default: that of Spark's configuration). */
  master?: string | undefined
  /** Settings of Spark, as NAME=VALUE. */
  conf: readonly string[]
}

export interface SparkBuild {
  settings: BuildSettings
  pieces: readonly Piece[]
  inputs: readonly InputFile[]
  /** Folder of the corpus. */
  out: string
  /** Folder of intermediate files; nodes read and write it. */
  work: string
  /** Folder of the parts in `out`. */
  dataName: string
  /** Path of the index of the test sets, when there are any. */
  index?: string | undefined
  spark: SparkOptions
  signal?: AbortSignal | undefined
  progress?: ((options: ProgressOptions) => Progress) | undefined
}

/** Names of tables that a stopped build leaves, in the order in which they are made. */
const keptTables = ['read', 'documents']

/** Settings by name. @throws ConfigError for one that is not NAME=VALUE */
export const parseSparkConf = (settings: readonly string[]): Record<string, string> =>
  Object.fromEntries(
    settings.map((setting, index) => {
      const equals = setting.indexOf('=')
      if (equals > 0 && setting.startsWith('spark.')) return [setting.slice(0, equals), setting.slice(equals + 1)]
      throw new ConfigError(
        `Expected NAME=VALUE for \`sparkConf[${index}]\`, got \`${setting}\`. Write for example spark.executor.memory=8g.`,
      )
    }),
  )

const isLocal = (master: string | undefined): boolean => master !== undefined && /^local(?:\[|$)/.test(master)

const uriOf = (path: string): string => `file://${resolve(path)}`

/** Runs all phases on Spark; afterwards the files of the corpus are in their place. */
export const buildOnSpark = async (build: SparkBuild): Promise<BuildFindings> => {
  const { settings, out, dataName, index, spark, signal } = build
  const conf = parseSparkConf(spark.conf)
  const submit = findSparkSubmit()
  // Spark takes paths of outputs as patterns where it reads them again.
  if (/[*?[\]{}]/.test(resolve(out)))
    throw new ConfigError(`Expected \`out\` without *, ?, [, ], { and } for Spark, got ${out}. Name another folder.`)
  const work = resolve(build.work, 'spark')
  const run = join(work, 'run')
  const lines = resolve(out, dataName, 'lines')
  for (const folder of [run, lines]) await rm(folder, { recursive: true, force: true })
  await mkdir(run, { recursive: true })
  const tasks = await writeTasks(run, build.pieces)
  const tables = join(work, dataName)
  const local = isLocal(spark.master)
  const worker = await shipWorker(join(run, 'worker'), { settings, ...(index === undefined ? {} : { index }) }, local)
  const { sql, phases } = sparkScript({
    worker: worker.command,
    places: {
      reads: uriOf(join(run, tasks.reads.name)),
      groups: uriOf(join(run, tasks.groups.name)),
      tables: uriOf(tables),
      lines: uriOf(lines),
    },
    tasks: { reads: tasks.reads.count, groups: tasks.groups.count },
    dedup: settings.dedup.map((stage): ScriptDedup => {
      const { keyColumns, plan } = openDeduplicator(stage)
      const { unit } = lookUp(registeredDeduplicators(), stage.type, 'dedup')
      return { stage: stage.stage, unit, columns: keyColumns, plan }
    }),
    ...(settings.contamination === undefined ? {} : { maxDocuments: settings.contamination.options.maxDocuments }),
    finished: await finishedTables(tables),
  })
  const script = join(run, 'build.sql')
  await writeFile(script, sql)
  const results = new Results(out, dataName)
  const progress = build.progress?.({ label: 'Building on Spark', total: phases, unit: 'phases' })
  try {
    await runSpark({
      submit,
      ...(spark.master === undefined ? {} : { master: spark.master }),
      conf: {
        // Tables have no catalogue that would outlive the build.
        'spark.sql.catalogImplementation': 'in-memory',
        'spark.sql.legacy.createHiveTableByDefault': 'false',
        'spark.ui.showConsoleProgress': 'false',
        ...conf,
        'spark.sql.warehouse.dir': uriOf(join(run, 'tables')),
      },
      ...(worker.archive === undefined ? {} : { archive: worker.archive }),
      script,
      onLine: (line) => {
        const phase = results.add(line)
        if (phase !== undefined) progress?.update(results.phases - 1, { phase })
      },
      ...(signal === undefined ? {} : { signal }),
    })
    progress?.update(phases)
  } finally {
    progress?.stop()
  }
  const findings = await results.place(build.inputs, index)
  await rm(lines, { recursive: true, force: true })
  return findings
}

interface TaskFile {
  name: string
  count: number
}

/** Writes the tasks of both kinds, one JSON per line; files are named so that any working folder finds them. */
const writeTasks = async (folder: string, pieces: readonly Piece[]): Promise<{ reads: TaskFile; groups: TaskFile }> => {
  const locate = (input: InputFile): InputFile =>
    input.sha256 === null ? input : { ...input, location: resolve(input.path) }
  const tasks = pieces.map((piece, number) => {
    const inputs = piece.kind === 'large' ? [piece.input] : piece.inputs
    return { kind: piece.kind, text: JSON.stringify({ piece: number, inputs: inputs.map(locate) } satisfies PieceTask) }
  })
  const write = async (kind: Piece['kind'], name: string): Promise<TaskFile> => {
    const chosen = tasks.filter((task) => task.kind === kind).map(({ text }) => `${text}\n`)
    await writeFile(join(folder, name), chosen.join(''))
    return { name, count: chosen.length }
  }
  return { reads: await write('large', 'reads.jsonl'), groups: await write('group', 'groups.jsonl') }
}

/** The tables in `folder` that Spark has completed; others are removed, with those that are made from them. */
const finishedTables = async (folder: string): Promise<ReadonlySet<string>> => {
  const finished = new Set<string>()
  for (const name of keptTables) {
    const table = join(folder, name)
    if (finished.size === keptTables.indexOf(name) && (await exists(join(table, '_SUCCESS')))) finished.add(name)
    else await rm(table, { recursive: true, force: true })
  }
  return finished
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
  readonly #out: string
  readonly #dataName: string
  readonly #summary = new BuildSummary()
  readonly #parts: (PartSummary & { part: number })[] = []
  readonly #files: WrittenFile[] = []
  phases = 0

  constructor(out: string, dataName: string) {
    this.#out = out
    this.#dataName = dataName
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

  /** Moves the files to their names in the corpus, and sums what is counted. */
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
    const path = `${this.#dataName}/${kind}-${String(part).padStart(5, '0')}.jsonl.gz`
    const folder = join(this.#out, this.#dataName, 'lines', `kind=${kind}`, `part=${part}`)
    const name = (await readdir(folder)).find((file) => file.endsWith('.gz') && !file.startsWith('.'))
    await rename(join(folder, name!), join(this.#out, path))
    return { path, lines, bytes, sha256 }
  }
}
