// Runs in several processes: starts them over files of recipes, and reads what they leave.
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { launchProcesses } from '../../src/distributed/index.ts'
import { eventsOf } from '../training/small-run.ts'

const rank = fileURLToPath(new URL('./fixtures/run-rank.ts', import.meta.url))

/** How a group of processes ended. */
export interface GroupOutcome {
  /** By rank. */
  codes: number[]
  /** What the processes but the first wrote, with their rank in front. */
  lines: string[]
}

/**
 * Trains recipes one after the other in one group, or resumes those that have a folder.
 * @param event of one rank once some steps are recorded, such as `SIGKILL:1:3`
 */
export const runTogether = async (
  processes: number,
  recipes: readonly { out: string }[],
  event = '',
): Promise<GroupOutcome> => {
  const file = `${recipes[0].out}-${processes}.json`
  writeFileSync(file, JSON.stringify(recipes))
  const lines: string[] = []
  const before = { ...process.env }
  process.env.TUNESMITH_HEARTBEAT_SECONDS = '4'
  process.env.OMP_NUM_THREADS = '1'
  try {
    const result = await launchProcesses({
      processes,
      command: [process.execPath, '--import', 'tsx', rank, file, event],
      graceMs: 10_000,
      onLine: (from, line) => lines.push(`${from} ${line}`),
    })
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

/** The largest difference between two lists of the same length. */
export const largestDifference = (a: readonly number[], b: readonly number[]): number =>
  a.length === b.length && a.length > 0 ? Math.max(...a.map((value, i) => Math.abs(value - b[i]))) : Number.NaN
