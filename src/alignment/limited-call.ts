// Calls of functions that users wrote, with a time limit: whatever they do, the caller goes on or fails.
import { setMaxListeners } from 'node:events'
import { isTimeout, runWithTimeLimit } from '../tokenizers/index.ts'

/** Limits of a call. */
export interface CallLimits {
  seconds: number
  signal: AbortSignal
  /** The error when the time is over. */
  tooLate(): Error
}

/** The reason of an abort, whatever it is. */
const reasonOf = (signal: AbortSignal): unknown => signal.reason

/**
 * Calls `work` and waits for its result. What it does before it first waits is interrupted when the time is over; later work is left behind,
 * with its own signal aborted.
 * @throws what `work` throws, the error of `tooLate`, or the signal's reason when it is aborted
 */
export const limitedCall = async <Result>(
  work: (signal: AbortSignal) => Result | Promise<Result>,
  { seconds, signal, tooLate }: CallLimits,
): Promise<Result> => {
  signal.throwIfAborted()
  // Many calls wait for one signal at the same time, which is no leak.
  setMaxListeners(0, signal)
  const own = new AbortController()
  let timer: NodeJS.Timeout | undefined
  let onAbort: (() => void) | undefined
  const ended = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(tooLate()), seconds * 1000)
    onAbort = () => reject(reasonOf(signal))
    signal.addEventListener('abort', onAbort, { once: true })
  })
  try {
    const result = runWithTimeLimit(() => work(own.signal), seconds * 1000)
    return await Promise.race([result, ended])
  } catch (error) {
    if (signal.aborted) throw reasonOf(signal)
    throw isTimeout(error) ? tooLate() : error
  } finally {
    clearTimeout(timer)
    if (onAbort !== undefined) signal.removeEventListener('abort', onAbort)
    own.abort()
  }
}
