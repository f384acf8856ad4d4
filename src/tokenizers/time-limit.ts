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

/**
 * As `runWithTimeLimit`, for work without side effects: after a time-out it is run once more. The limit is by the clock, which also
 * passes while the process is stopped or the machine sleeps.
 */
export const runPureWithTimeLimit = <T>(work: () => T, timeoutMs: number): T => {
  try {
    return runWithTimeLimit(work, timeoutMs)
  } catch (error) {
    if (!isTimeout(error)) throw error
    return runWithTimeLimit(work, timeoutMs)
  }
}

/** Whether an error was thrown because of the time limit. */
export const isTimeout = (error: unknown): boolean =>
  (error as { code?: unknown } | null)?.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT'
