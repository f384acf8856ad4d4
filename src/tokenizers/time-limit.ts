// Runs code and regular expressions from untrusted files under a time limit.
import { createContext, Script } from 'node:vm'

// The time limit of a vm script also covers the functions it calls, and V8 interrupts regular expressions for it. All
// calls share one context, because creating one takes longer than most calls.
const script = new Script('work()')
const sandbox: { work?: () => unknown } = createContext({})

/** Runs `work` for at most `timeoutMs` milliseconds; costs about 0.1 ms. Throws an error with `isTimeout` true. */
export const runWithTimeLimit = <T>(work: () => T, timeoutMs: number): T => {
  sandbox.work = work
  return script.runInContext(sandbox, { timeout: Math.ceil(timeoutMs) }) as T
}

/** Times that work is run which did not get the processor. */
const mostTries = 10

/**
 * As `runWithTimeLimit`, for work without side effects. The limit is by the clock, which also passes while the process is stopped, the
 * machine sleeps or other processes hold its cores: after a time-out the work is run once more, and again where the process had less than
 * half of the time.
 */
export const runPureWithTimeLimit = <T>(work: () => T, timeoutMs: number): T => {
  for (let tries = 1; ; tries++) {
    const before = process.cpuUsage()
    try {
      return runWithTimeLimit(work, timeoutMs)
    } catch (error) {
      const { user, system } = process.cpuUsage(before)
      const hadTime = (user + system) / 1000 >= timeoutMs / 2
      if (!isTimeout(error) || (hadTime && tries > 1) || tries === mostTries) throw error
    }
  }
}

/** Whether an error was thrown because of the time limit. */
export const isTimeout = (error: unknown): boolean =>
  (error as { code?: unknown } | null)?.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT'
