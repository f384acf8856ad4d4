// A launched group seen from outside: the processes of its ranks, for tests that end one of them. Linux only.
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { program } from '../setup/program.ts'

/** A `launch` command that runs. */
export interface RunningLaunch {
  child: ChildProcess
  /** What it has written to stderr so far. */
  stderr(): string
  exitCode: Promise<number | null>
}

/** Starts the command line. */
export const startProgram = (words: readonly string[], env: Record<string, string>): RunningLaunch => {
  const child = spawn(process.execPath, [...program, ...words], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, ...env },
  })
  let text = ''
  child.stderr.on('data', (data) => {
    text += data
  })
  return { child, stderr: () => text, exitCode: new Promise((resolve) => child.once('close', resolve)) }
}

const readOr = (path: string): string => {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

/** The processes of a launch by rank; fewer than it has while they start or end. */
export const ranksOf = ({ child: { pid } }: RunningLaunch): Map<number, number> => {
  const children = readOr(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean).map(Number)
  const ranks = children.flatMap((id) => {
    const rank = /(?:^|\0)RANK=(\d+)\0/.exec(readOr(`/proc/${id}/environ`))?.[1]
    return rank === undefined ? [] : [[Number(rank), id] as const]
  })
  return new Map(ranks)
}

/** Whether none of the processes is left. */
export const haveEnded = (pids: Iterable<number>): boolean => [...pids].every((pid) => !existsSync(`/proc/${pid}`))

/** Number of steps in the record of a run. */
export const recordedSteps = (out: string): number =>
  readOr(join(out, 'events.jsonl')).split('"type":"step"').length - 1

/** Waits until something holds. @throws Error after the time */
export const until = async (holds: () => boolean, seconds: number, what: string): Promise<void> => {
  for (const end = Date.now() + seconds * 1000; !holds(); await setTimeout(10))
    if (Date.now() > end) throw new Error(`Waited ${seconds} s in vain for ${what}.`)
}
