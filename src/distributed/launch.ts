// Starts the processes of a group on this machine, serves their store, and ends them together.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism, constants } from 'node:os'
import { createInterface } from 'node:readline'
import { ConfigError, NativeError } from '../core/index.ts'
import { ProcessStore } from '../tensor/index.ts'
import { readLaunch } from './launch-environment.ts'

/** How processes are started. */
export interface LaunchOptions {
  processes: number
  /** The program and its arguments. */
  command: readonly [string, ...string[]]
  /** Ends all processes in order. */
  signal?: AbortSignal
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
  /** That of the process that failed first; 0 when none did. */
  exitCode: number
  processes: EndedProcess[]
}

const exitCodeOf = (code: number | null, signal: NodeJS.Signals | null): number =>
  signal === null ? (code ?? 1) : 128 + constants.signals[signal]

/**
 * Runs a command as several processes of one group and waits until all have ended. When one fails, the others end too.
 * @throws ConfigError for fewer than one process, or inside a group; NativeError for a program that cannot be started
 */
export const launchProcesses = async (options: LaunchOptions): Promise<LaunchResult> => {
  const { processes, command, signal, graceMs = 15_000 } = options
  if (!Number.isSafeInteger(processes) || processes < 1)
    throw new ConfigError(`Expected a whole number of at least 1 for \`processes\`, got ${processes}.`)
  const outer = readLaunch()
  if (outer !== undefined)
    throw new ConfigError(
      `${outer.launcher} has started this process as rank ${outer.rank} of ${outer.size} already: start the command without \`launch\`.`,
    )
  const store = new ProcessStore('127.0.0.1', 0, { server: true, timeoutMs: 30_000 })
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
      const child = startRank(options, rank, store.port)
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
    throw new NativeError(`Cannot start \`${command[0]}\`: ${(error as NodeJS.ErrnoException).code ?? error}.`)
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', stop)
    store.close()
  }
  const exitCode = ended.find((one) => one.exitCode !== 0)?.exitCode ?? 0
  return { exitCode, processes: ended.sort((a, b) => a.rank - b.rank) }
}

const startRank = ({ processes, command, stdout, onLine }: LaunchOptions, rank: number, port: number): ChildProcess => {
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
      TUNESMITH_LAUNCHER: 'launch',
    },
  })
  for (const stream of [child.stdout, child.stderr])
    if (stream) createInterface({ input: stream }).on('line', (line) => onLine?.(rank, line))
  return child
}
