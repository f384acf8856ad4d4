// Runs in several processes: starts them over files of recipes, and reads what they leave.
import { writeFileSync } from 'node:fs'
import { expect } from 'vitest'
import { launchProcesses } from '../../src/distributed/index.ts'
import { bundledChild } from '../setup/bundled-child.ts'
import { eventsOf } from '../training/small-run.ts'
import { orKillRanks, rankMinutes } from './rank-processes.ts'

const rank = new URL('./fixtures/run-rank.ts', import.meta.url)

/** How a group of processes ended. */
export interface GroupOutcome {
  /** By rank. */
  codes: number[]
  /** What the processes but the first wrote, with their rank in front. */
  lines: string[]
}

/**
 * Trains recipes one after the other in one group, or resumes those that have a folder.
 * @param event of one rank in each run, once some of its steps are recorded, such as `SIGKILL:1:3`
 * @param minutes after which the processes are killed
 */
export const runTogether = async (
  processes: number,
  recipes: readonly { out: string }[],
  event = '',
  env: Record<string, string> = {},
  minutes = rankMinutes,
): Promise<GroupOutcome> => {
  const file = `${recipes[0].out}-${processes}.json`
  writeFileSync(file, JSON.stringify(recipes))
  const lines: string[] = []
  const program = await bundledChild(rank)
  const before = { ...process.env }
  // A busy machine may stop a process for seconds. One that was killed is noticed by its connections.
  process.env.TUNESMITH_HEARTBEAT_SECONDS = '20'
  Object.assign(process.env, { OMP_NUM_THREADS: '1' }, env)
  try {
    const launch = launchProcesses({
      processes,
      command: [process.execPath, program, file, event],
      graceMs: 30_000,
      onLine: (from, line) => lines.push(`${from} ${line}`),
    })
    const result = await orKillRanks(launch, minutes)
    return { codes: result.processes.map(({ exitCode }) => exitCode), lines }
  } finally {
    process.env = before
  }
}

/** The losses of a run's steps. */
export const lossesOf = async ({ out }: { out: string }): Promise<number[]> =>
  (await eventsOf(out)).flatMap((event) =>
    'type' in event && event.type === 'step' && 'loss' in event ? [Number(event.loss)] : [],
  )

/** The metrics of a run's evaluations. */
export const evaluationsOf = async ({ out }: { out: string }): Promise<Record<string, number>[]> =>
  (await eventsOf(out)).flatMap((event) =>
    'type' in event && event.type === 'evaluation' && 'metrics' in event
      ? [event.metrics as Record<string, number>]
      : [],
  )

/** Expects the same metrics in each evaluation, up to `tolerance` relative to values above 1. */
export const expectMetrics = (
  own: readonly Record<string, number>[],
  one: readonly Record<string, number>[],
  tolerance = 1e-6,
): void => {
  expect(own.map((metrics) => Object.keys(metrics))).toEqual(one.map((metrics) => Object.keys(metrics)))
  for (const [i, metrics] of one.entries())
    for (const [name, value] of Object.entries(metrics))
      if (!Object.is(own[i][name], value))
        expect(
          Math.abs(own[i][name] - value) / Math.max(1, Math.abs(value)),
          `${name} of evaluation ${i}`,
        ).toBeLessThan(tolerance)
}

/** The largest difference between two lists of the same length. */
export const largestDifference = (a: readonly number[], b: readonly number[]): number =>
  a.length === b.length && a.length > 0 ? Math.max(...a.map((value, i) => Math.abs(value - b[i]))) : Number.NaN
