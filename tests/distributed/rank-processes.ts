// A launched group seen from outside: the processes of its ranks, for tests that end one of them. Linux only.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { setTimeout } from 'node:timers/promises'
import { program } from '../setup/program.ts'
import type { Namespaces, Side } from './network-namespaces.ts'

/** A command that runs. */
export interface RunningProgram {
  child: ChildProcess
  /** What it has written to stderr so far. */
  stderr(): string
  exitCode: Promise<number | null>
}

/**
 * Starts the command line.
 * @param before words in front of it, such as those that enter a namespace
 * @param started words after `node` that start the program
 */
export const startProgram = (
  words: readonly string[],
  env: Record<string, string>,
  before: readonly string[] = [],
  started: readonly string[] = program,
): RunningProgram => {
  const [first, ...rest] = [...before, process.execPath, ...started, ...words]
  const child = spawn(first, rest, { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, ...env } })
  let text = ''
  child.stderr.on('data', (data) => {
    text += data
  })
  return { child, stderr: () => text, exitCode: new Promise((resolve) => child.once('close', resolve)) }
}

/** How a rank runs. */
export interface RankPlace {
  /** Words in front of its command. */
  before?: readonly string[]
  env?: Record<string, string>
  /** Its command, where it is not that of the others. */
  words?: readonly string[]
  /** Words after `node` that start its program, where it is not that of the others. */
  started?: readonly string[]
}

/**
 * Starts the ranks of a group without a launcher, as several machines do: rank 0 serves the store.
 * @param address of rank 0, as all of them reach it
 */
export const startRanks = (
  count: number,
  words: readonly string[],
  { address, port, env }: { address: string; port: number; env: Record<string, string> },
  placeOf: (rank: number) => RankPlace = () => ({}),
): RunningProgram[] =>
  Array.from({ length: count }, (_, rank) => {
    const { before, env: own, words: ownWords = words, started } = placeOf(rank)
    const group = { WORLD_SIZE: String(count), MASTER_ADDR: address, MASTER_PORT: String(port), RANK: String(rank) }
    return startProgram(ownWords, { OMP_NUM_THREADS: '1', ...group, ...env, ...own }, before, started)
  })

/** The same for ranks of which some are in another network namespace. */
export const startRanksOn = (
  namespaces: Namespaces,
  sides: readonly Side[],
  words: readonly string[],
  env: Record<string, string>,
): RunningProgram[] =>
  startRanks(sides.length, words, { address: namespaces.addressOf(sides[0]), port: 29500, env }, (rank) => ({
    before: namespaces.on(sides[rank]),
    env: { GLOO_SOCKET_IFNAME: namespaces.device },
  }))

const readOr = (path: string): string => {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

/** The processes of a launch by rank; fewer than it has while they start or end. */
export const ranksOf = ({ child: { pid } }: RunningProgram): Map<number, number> => ranksUnder(pid as number)

/** The same for the process that started them. */
const ranksUnder = (pid: number): Map<number, number> => {
  const children = readOr(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean).map(Number)
  const ranks = children.flatMap((id) => {
    const rank = /(?:^|\0)RANK=(\d+)\0/.exec(readOr(`/proc/${id}/environ`))?.[1]
    return rank === undefined ? [] : [[Number(rank), id] as const]
  })
  return new Map(ranks)
}

/** Number of steps in the record of a run. */
export const recordedSteps = (out: string): number =>
  readOr(join(out, 'events.jsonl')).split('"type":"step"').length - 1

/** Waits until something holds. @throws Error after the time */
export const until = async (holds: () => boolean, seconds: number, what: string): Promise<void> => {
  for (const end = Date.now() + seconds * 1000; !holds(); await setTimeout(10))
    if (Date.now() > end) throw new Error(`Waited ${seconds} s in vain for ${what}.`)
}

/** Where the threads of a process are: their stacks where a debugger is installed, else the calls that they wait in. */
const whereIs = (pid: number): string => {
  const debug = spawnSync('gdb', ['-p', String(pid), '-batch', '-ex', 'thread apply all bt 14'], { encoding: 'utf8' })
  if (debug.status === 0) return debug.stdout
  const threads = existsSync(`/proc/${pid}/task`) ? readdirSync(`/proc/${pid}/task`) : []
  const of = (thread: string, file: string) => readOr(`/proc/${pid}/task/${thread}/${file}`).trim()
  return threads.map((thread) => `${of(thread, 'comm')}: ${of(thread, 'wchan')} ${of(thread, 'syscall')}`).join('\n')
}

/** Minutes that ranks may take: part of those of a test file, of which a busy machine sets more. */
export const rankMinutes = 0.4 * Number(process.env.TUNESMITH_TEST_FILE_MINUTES ?? 15)

/**
 * Waits for ranks that this process started. Where they take longer, prints where each of them is, kills it, and fails.
 * @throws Error after the time
 */
export const orKillRanks = async <Result>(work: Promise<Result>, minutes: number): Promise<Result> => {
  const late = new AbortController()
  const deadline = setTimeout(minutes * 60_000, undefined, { signal: late.signal }).then(() => {
    const ranks = [...ranksUnder(process.pid)]
    for (const [rank, pid] of ranks) process.stderr.write(`rank ${rank}, process ${pid}:\n${whereIs(pid)}\n`)
    for (const [, pid] of ranks) process.kill(pid, 'SIGKILL')
    throw new Error(
      `Killed rank ${ranks.map(([rank]) => rank)} after ${minutes} minutes: see above where each of them was.`,
    )
  })
  try {
    return await Promise.race([work, deadline])
  } finally {
    late.abort()
    deadline.catch(() => {})
  }
}
