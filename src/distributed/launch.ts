// Starts the processes of a group on this machine, serves their store, and ends them together.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism, constants } from 'node:os'
import { createInterface } from 'node:readline'
import { ConfigError, NativeError, programCall } from '../core/index.ts'
import { ProcessStore } from '../tensor/index.ts'
import { readLaunch } from './launch-environment.ts'

/** How processes are started. */
export interface LaunchOptions {
  processes: number
  /** The program and its arguments. */
  command: readonly [string, ...string[]]
  /** How often all processes are started again after one has failed (default: 0). */
  restarts?: number
  /** The command of such a start, such as one that resumes a run (default: `command`). */
  commandOfRestart?(): readonly [string, ...string[]]
  /** Called before all processes are started again. */
  onRestart?(failed: EndedProcess, restart: number): void
  /** Ends all processes in order. */
  signal?: AbortSignal | undefined
  /** Time in which the others may end by themselves, after one has failed (default: 15 s). */
  graceMs?: number
  /** Where the first process's stdout goes (default: this process's stdout). */
  stdout?: 'inherit' | 'stderr'
  /** Called with each line that a process other than the first writes. */
  onLine?(rank: number, line: string): void
}

/** How a process ended. */
export interface EndedProcess {
  rank: number
  /** As a shell gives it: 128 and the number of the signal that ended it. */
  exitCode: number
}

/** How a launch ended. */
export interface LaunchResult {
  /** That of the process that failed first, in the last start; 0 when none did. */
  exitCode: number
  processes: EndedProcess[]
  /** Times that all processes were started again. */
  restarts: number
}

const exitCodeOf = (code: number | null, signal: NodeJS.Signals | null): number =>
  signal === null ? (code ?? 1) : 128 + constants.signals[signal]

/** Exit code of a command that was called wrongly, which a restart does not change. */
const usageCode = 2

/**
 * Runs a command as several processes of one group and waits until all have ended. When one fails, the others end too, and all are
 * started again as often as `restarts` says.
 * @throws ConfigError for fewer than one process, or inside a group; NativeError for a program that cannot be started
 */
export const launchProcesses = async (options: LaunchOptions): Promise<LaunchResult> => {
  const { processes, command, signal, restarts = 0, commandOfRestart, onRestart } = options
  if (!Number.isSafeInteger(processes) || processes < 1)
    throw new ConfigError(`Expected a whole number of at least 1 for \`processes\`, got ${processes}.`)
  if (!Number.isSafeInteger(restarts) || restarts < 0)
    throw new ConfigError(`Expected a whole number of at least 0 for \`restarts\`, got ${restarts}.`)
  const outer = readLaunch()
  if (outer !== undefined)
    throw new ConfigError(
      `${outer.launcher} has started this process as rank ${outer.rank} of ${outer.size} already: start the command without \`launch\`.`,
    )
  for (let restart = 0; ; restart++) {
    const ended = await launchOnce(
      restart === 0 ? options : { ...options, command: commandOfRestart?.() ?? command },
      restart,
    )
    const failed = ended.find(({ exitCode }) => exitCode !== 0)
    const exitCode = failed?.exitCode ?? 0
    if (failed === undefined || exitCode === usageCode || restart >= restarts || signal?.aborted === true)
      return { exitCode, processes: ended.sort((a, b) => a.rank - b.rank), restarts: restart }
    onRestart?.(failed, restart + 1)
  }
}

const cannotStart = ([program]: readonly string[], { code, message }: NodeJS.ErrnoException): NativeError => {
  if (code !== 'ENOENT') return new NativeError(`Cannot start \`${program}\`: ${code ?? message}.`)
  return new NativeError(
    `Cannot start \`${program}\`: expected a program, found none of this name (ENOENT). Write the whole command after \`--\`, with its program: \`-- ${programCall('pretrain')} --recipe recipe.ts\`.`,
  )
}

/** Starts all processes once. @returns how they ended, in the order of their ends */
const launchOnce = async (options: LaunchOptions, restart: number): Promise<EndedProcess[]> => {
  const { processes, command, signal, graceMs = 15_000 } = options
  const store = ProcessStore.overTcp('127.0.0.1', 0, { server: true, timeoutMs: 30_000 })
  const children: ChildProcess[] = []
  const running = new Set<ChildProcess>()
  const endAll = (how: NodeJS.Signals) => {
    for (const child of running) child.kill(how)
  }
  const stop = () => endAll('SIGINT')
  signal?.addEventListener('abort', stop, { once: true })
  let timer: NodeJS.Timeout | undefined
  const ended: EndedProcess[] = []
  try {
    for (let rank = 0; rank < processes; rank++) {
      const child = startRank(options, rank, { port: store.port, restart })
      children.push(child)
      running.add(child)
    }
    if (signal?.aborted) stop()
    await Promise.all(
      children.map(async (child, rank) => {
        const [code, killedBy] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
        running.delete(child)
        const exitCode = exitCodeOf(code, killedBy)
        ended.push({ rank, exitCode })
        if (exitCode !== 0) timer ??= setTimeout(() => endAll('SIGKILL'), graceMs)
      }),
    )
  } catch (error) {
    endAll('SIGKILL')
    throw cannotStart(command, error as NodeJS.ErrnoException)
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', stop)
    store.close()
  }
  return ended
}

const startRank = (
  { processes, command, stdout, onLine }: LaunchOptions,
  rank: number,
  { port, restart }: { port: number; restart: number },
): ChildProcess => {
  const [program, ...args] = command
  const threads = Math.max(1, Math.floor(availableParallelism() / processes))
  const first = rank === 0
  const child = spawn(program, args, {
    stdio: first ? ['inherit', stdout === 'stderr' ? 2 : 'inherit', 'inherit'] : ['ignore', 'pipe', 'pipe'],
    // Ctrl-C in a terminal reaches every process of its group: the launcher passes it on, once.
    detached: true,
    env: {
      OMP_NUM_THREADS: String(threads),
      ...process.env,
      RANK: String(rank),
      WORLD_SIZE: String(processes),
      LOCAL_RANK: String(rank),
      LOCAL_WORLD_SIZE: String(processes),
      MASTER_ADDR: '127.0.0.1',
      MASTER_PORT: String(port),
      // The store outlives every rank, and its port is known before one starts.
      TORCHELASTIC_USE_AGENT_STORE: 'True',
      TORCHELASTIC_RESTART_COUNT: String(restart),
      TUNESMITH_LAUNCHER: 'launch',
    },
  })
  for (const stream of [child.stdout, child.stderr])
    if (stream) createInterface({ input: stream }).on('line', (line) => onLine?.(rank, line))
  return child
}
