// The folder of a run and its record, whatever it does: recipe, events, sessions, costs, run card and reports, and the lines for its listener.
// `runFiles` in tracking lists every file of it.
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { arch } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { ConfigError, exists, makeFolder, packageVersion, programCall, writeFileAtomic } from '../../core/index.ts'
import {
  buildFacts,
  deviceMemory,
  fallbackCounts,
  fallbackNotice,
  getThreads,
  memoryStatistics,
  productsLabel,
  resetDevicePeak,
  resetPeakMemory,
} from '../../tensor/index.ts'
import {
  type CutRecords,
  makeRunCard,
  modelFiles,
  type RunMeasurement,
  type RunPrediction,
  type RunTracker,
  runFiles,
  type StepEvent,
  startEnergyMeter,
  type TrainingEvent,
  trackRun,
  writeReports,
  writeRunCard,
} from '../../tracking/index.ts'
import { runModelCard } from './evaluation-files.ts'
import type { CommonRecipe, FitResult, RunListener, RunMode, RunResult } from './run-kind.ts'

interface Session {
  /** ISO time. */
  started: string
  wallSeconds: number
  /** User and system time of all threads. */
  cpuSeconds: number
  energyJoules?: number
}

/** The open session of a run and those before it. */
interface Sessions {
  /** Writes what this session took so far; a killed session counts up to its last checkpoint. */
  note(): Promise<void>
  /** The sum over all sessions. */
  total(): { count: number; wallSeconds: number; cpuSeconds: number; energyJoules?: number }
  stop(): void
}

export const openSessions = async (out: string, { first }: { first: boolean }): Promise<Sessions> => {
  const path = join(out, runFiles.sessions)
  const earlier = first ? [] : await readSessions(path)
  const started = { time: new Date().toISOString(), wall: performance.now(), cpu: process.cpuUsage() }
  const energy = startEnergyMeter()
  const all = (): Session[] => {
    const cpu = process.cpuUsage(started.cpu)
    const energyJoules = energy.joules()
    const own = {
      started: started.time,
      wallSeconds: (performance.now() - started.wall) / 1000,
      cpuSeconds: (cpu.user + cpu.system) / 1e6,
      ...(energyJoules === undefined ? {} : { energyJoules }),
    }
    return [...earlier, own]
  }
  return {
    note: () => writeFileAtomic(path, `${JSON.stringify(all(), null, 2)}\n`),
    total() {
      const sessions = all()
      const sum = (of: (session: Session) => number) => sessions.reduce((total, session) => total + of(session), 0)
      const metered = sessions.every(({ energyJoules }) => energyJoules !== undefined)
      return {
        count: sessions.length,
        wallSeconds: sum(({ wallSeconds }) => wallSeconds),
        cpuSeconds: sum(({ cpuSeconds }) => cpuSeconds),
        ...(metered ? { energyJoules: sum(({ energyJoules = 0 }) => energyJoules) } : {}),
      }
    },
    stop: () => energy.stop(),
  }
}

/** Wall time of all sessions of a run, in seconds, as far as they have noted it. */
export const sessionSeconds = async (out: string): Promise<number> =>
  (await readSessions(join(out, runFiles.sessions))).reduce((sum, { wallSeconds }) => sum + wallSeconds, 0)

/** A missing or damaged file counts as no sessions: it must not prevent a resume. */
const readSessions = async (path: string): Promise<Session[]> => {
  try {
    const sessions = JSON.parse(await readFile(path, 'utf8')) as unknown
    const isSession = (one: unknown): one is Session =>
      typeof (one as Session)?.wallSeconds === 'number' && typeof (one as Session).cpuSeconds === 'number'
    return Array.isArray(sessions) ? sessions.filter(isSession) : []
  } catch {
    return []
  }
}

/** Whether the run in a folder has finished. */
export const isFinished = (folder: string): Promise<boolean> => exists(join(folder, runFiles.model))

/** What may be in a new run's folder: what the studio and a run that fails before its first step write, and what is of no use later. */
const replaceable: readonly string[] = [
  runFiles.lock,
  runFiles.live,
  runFiles.checkpointRequest,
  runFiles.stopRequest,
  runFiles.form,
  runFiles.console,
  runFiles.code,
  runFiles.sessions,
]

/** @throws ConfigError for a folder that already has a run, or files of a user that a run would replace */
export const expectNewFolder = async (out: string): Promise<void> => {
  const present: string[] = await readdir(out).catch(() => [])
  if ([runFiles.recipe, runFiles.events, runFiles.checkpoints].some((name) => present.includes(name)))
    throw new ConfigError(
      `Expected a new folder for \`out\`, found a run in ${out}. Continue it (\`${programCall('resume', out)}\`), or name another folder.`,
    )
  const replaced = Object.values(runFiles).filter((name) => present.includes(name) && !replaceable.includes(name))
  if (replaced.length > 0)
    throw new ConfigError(
      `Expected a new folder for \`out\`, found ${replaced.join(', ')} in ${out}, which the run would replace. Name another folder.`,
    )
}

const writeRecipe = async (recipe: CommonRecipe): Promise<void> => {
  await makeFolder(recipe.out, 'out')
  await writeFileAtomic(join(recipe.out, runFiles.recipe), `${JSON.stringify(recipe, null, 2)}\n`)
}

/** Counts the memory of tensors from now on, without what the process holds already. */
interface MemoryWatch {
  /** Largest memory of tensors since the watch began, in bytes. */
  peakBytes(): number
}

/** Begins to watch the memory of tensors on the device of a run; on the CPU where libtorch counts none there. */
export const watchMemory = (device: string): MemoryWatch => {
  const before = deviceMemory(device)
  if (before !== undefined) {
    resetDevicePeak(device)
    return { peakBytes: () => (deviceMemory(device)?.peak ?? 0) - before.inUse }
  }
  const { inUse } = memoryStatistics()
  resetPeakMemory()
  return { peakBytes: () => memoryStatistics().peak - inUse }
}

/** What is known of the costs of a run when it begins. */
export interface StartCosts {
  prediction: RunPrediction | undefined
  /** Whether the folder has the prediction already. */
  isPlanned: boolean
  memory: MemoryWatch
}

export class StepCosts {
  #seconds = 0
  #tokens = 0
  #rssBytes = 0

  add({ seconds, tokens, memoryBytes }: StepEvent): void {
    this.#seconds += seconds
    this.#tokens = tokens
    this.#rssBytes = Math.max(this.#rssBytes, memoryBytes)
  }

  measurement({ prediction, memory }: Omit<StartCosts, 'isPlanned'>): RunMeasurement {
    const perToken = prediction === undefined ? undefined : prediction.flopsPerStep / prediction.tokensPerStep
    return {
      peakBytes: memory.peakBytes(),
      rssBytes: this.#rssBytes,
      seconds: this.#seconds,
      ...(perToken === undefined ? {} : { flops: perToken * this.#tokens }),
      threads: getThreads(),
    }
  }
}

/** The prediction in the folder of a run; undefined where there is none, or a damaged one. */
export const readPrediction = async (folder: string): Promise<RunPrediction | undefined> => {
  try {
    return JSON.parse(await readFile(join(folder, runFiles.plan), 'utf8')) as RunPrediction
  } catch {
    return undefined
  }
}

export const writePrediction = (folder: string, prediction: RunPrediction): Promise<void> =>
  writeFile(join(folder, runFiles.plan), `${JSON.stringify(prediction, null, 2)}\n`)

/** What a run has done when it ends. */
interface RunFacts
  extends Omit<RunResult, 'out' | 'seconds' | 'warnings'>,
    Pick<FitResult, 'examples' | 'parameters' | 'flops' | 'cachedShare' | 'hashes' | 'warnings'> {
  /** What the plan predicted before the first step, and what the steps took. */
  prediction?: RunPrediction
  measured?: RunMeasurement
}

const versions = (): Record<string, string> => ({
  tunesmith: packageVersion(),
  node: process.version,
  libtorch: buildFacts().torchVersion,
  products: productsLabel(),
  platform: `${process.platform} ${arch()}`,
})

/** Begins a session of a run. Of the processes of a group one writes; the others keep `silent` records. */
export const openRecord = async (
  recipe: CommonRecipe,
  mode: RunMode,
  listener: RunListener,
  { silent = false }: { silent?: boolean } = {},
): Promise<RunRecord> =>
  new RunRecord(recipe, mode, silent ? {} : listener, await openSessions(recipe.out, { first: mode === 'new' }), silent)

export class RunRecord {
  readonly #recipe: CommonRecipe
  readonly #mode: RunMode
  readonly #listener: RunListener
  readonly #sessions: Sessions
  readonly #silent: boolean
  /** Of the process before the run. */
  readonly #fallbacks = fallbackCounts()
  #tracker: RunTracker | undefined

  constructor(recipe: CommonRecipe, mode: RunMode, listener: RunListener, sessions: Sessions, silent: boolean) {
    this.#recipe = recipe
    this.#mode = mode
    this.#listener = listener
    this.#sessions = sessions
    this.#silent = silent
  }

  /**
   * Writes the recipe of a run that is new or has a new budget. The events of a resumed one are cut back to the checkpoint of `resumeAt`,
   * or all of them where there is none.
   */
  async start(resumeAt?: number): Promise<CutRecords | undefined> {
    const { out } = this.#recipe
    if (this.#silent) return undefined
    if (this.#mode !== 'resume') await writeRecipe(this.#recipe)
    this.#tracker = await trackRun(out, this.#mode === 'new' ? {} : { resumeAt: resumeAt ?? -1 })
    return this.#tracker.cut
  }

  /** Stores an event and passes it on. */
  append(event: TrainingEvent): void {
    this.#tracker?.append(event)
    this.#listener.onEvent?.(event)
  }

  /** Stores an event that no listener sees. */
  keep(event: TrainingEvent): void {
    this.#tracker?.append(event)
  }

  /**
   * Stores a line for people, without showing it.
   * @param step after which it is said
   */
  store(message: string, step = 0): void {
    this.#tracker?.append({ type: 'note', time: new Date().toISOString(), step, message })
  }

  /**
   * Stores a line for people and shows it.
   * @param step after which it is said
   */
  note(message: string, step = 0): void {
    this.store(message, step)
    this.#listener.onNote?.(message)
  }

  /** Brings every event to the disk, so that a kill right after the next checkpoint finds them. */
  sync(): void {
    this.#tracker?.flush({ sync: true })
  }

  noteSession(): Promise<void> {
    return this.#sessions.note()
  }

  async fail({ message }: Error, step: number): Promise<void> {
    try {
      try {
        this.#tracker?.append({ type: 'end', reason: 'failed', time: new Date().toISOString(), step, message })
      } finally {
        this.#tracker?.close()
      }
    } catch {
      // A full disk may refuse this record too; the error itself is thrown.
    }
    if (!this.#silent) await this.#sessions.note().catch(() => {})
    this.#sessions.stop()
  }

  /** Closes the events before the model is exported. */
  close(): void {
    this.#tracker?.close()
  }

  /** Ends the session and writes run card and reports. */
  async finish(facts: RunFacts): Promise<RunResult> {
    const { out, seed, pricePerHour } = this.#recipe
    this.close()
    if (!this.#silent) await this.#sessions.note()
    const { count, wallSeconds, cpuSeconds, energyJoules } = this.#sessions.total()
    this.#sessions.stop()
    const { reason, cause, model, modelStep, steps, tokens, examples, loss, metrics, parameters, flops, hashes } = facts
    const { mainMetric, references, cachedShare = 0, prediction, measured } = facts
    const lacking = fallbackNotice(this.#fallbacks)
    const warnings = [...(facts.warnings ?? []), ...(lacking === undefined ? [] : [lacking])]
    const card = makeRunCard({
      name: out,
      seed,
      versions: versions(),
      dataHashes: hashes,
      config: this.#recipe,
      steps,
      modelStep,
      tokens,
      examples,
      wallSeconds,
      cpuSeconds,
      resumed: count - 1,
      parameters,
      flops,
      cachedShare: cachedShare > 0 ? cachedShare : undefined,
      energyJoules,
      pricePerHour,
      results: { ...metrics },
      mainMetric,
      references,
      warnings: warnings.length > 0 ? warnings : undefined,
      prediction,
      measured,
    })
    if (!this.#silent) {
      await writeRunCard(out, card)
      if (model !== undefined)
        await writeFileAtomic(join(model, modelFiles.card), await runModelCard(model, basename(resolve(out))))
      await writeReports(out)
    }
    return {
      out,
      model,
      modelStep,
      reason,
      cause,
      steps,
      tokens,
      seconds: wallSeconds,
      loss,
      metrics,
      mainMetric,
      references,
      warnings,
    }
  }
}
