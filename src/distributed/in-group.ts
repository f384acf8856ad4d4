// Runs work in the group that a launcher started this process for, and leaves the group afterwards.
import { joinProcesses } from './join.ts'
import type { ProcessGroup } from './process-group.ts'

/**
 * Joins the processes, works, and leaves them. An error ends the others too. A process that runs alone has no group.
 * @throws ConfigError and NativeError as `joinProcesses`, and what the work throws
 */
export const inGroup = async <Result>(work: (group: ProcessGroup | undefined) => Promise<Result>): Promise<Result> => {
  const group = await joinProcesses()
  if (group === undefined) return work(undefined)
  try {
    const result = await work(group)
    await group.leave({ failed: false })
    return result
  } catch (error) {
    group.abort(error as Error)
    throw error
  } finally {
    await group.leave({ failed: true })
  }
}
