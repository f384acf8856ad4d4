// One call of a reward function with a time limit: whatever the function does, the result is a finite number, null or a failure for each
// sample. Independent of caches and weights.

import { setMaxListeners } from 'node:events'
import { setTimeout as wait } from 'node:timers/promises'
import { ConfigError, show } from '../../core/index.ts'
import { isTimeout, runWithTimeLimit } from '../../tokenizers/index.ts'
import { RewardError, type RewardFailure, type RewardFunction, type RewardSample, type RewardValues } from './reward.ts'

interface CallLimits {
  seconds: number
  signal: AbortSignal
  /** The error when the time is over. */
  tooLate(): Error
}

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
    onAbort = () => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
  })
  try {
    const result = runWithTimeLimit(() => work(own.signal), seconds * 1000)
    return await Promise.race([result, ended])
  } catch (error) {
    if (signal.aborted) throw signal.reason
    throw isTimeout(error) ? tooLate() : error
  } finally {
    clearTimeout(timer)
    if (onAbort !== undefined) signal.removeEventListener('abort', onAbort)
    own.abort()
  }
}

const defaultTimeoutSeconds = 60
const firstPauseSeconds = 0.1
const longestPauseSeconds = 10

interface RewardCall {
  /** In the order of the samples; undefined where the function failed. */
  values: (number | null | undefined)[]
  /** Calls that were made, repeated ones included. */
  calls: number
  /** Samples that failed at the last attempt, by what failed. */
  failures: Partial<Record<RewardFailure, number>>
  /** The last failure; undefined if every sample has its reward. */
  error?: RewardError
}

const timeoutOf = ({ timeoutSeconds = defaultTimeoutSeconds }: RewardFunction) => timeoutSeconds

const tooLate = (reward: RewardFunction, samples: readonly RewardSample[]): RewardError =>
  new RewardError(
    `Expected the reward \`${reward.name}\` to score ${samples.length} answers within ${timeoutOf(reward)} s, got no result. Raise its \`timeoutSeconds\`, or lower its \`samplesPerCall\`.`,
    { failure: 'timeout' },
  )

const asRewardError = ({ name }: RewardFunction, error: unknown): RewardError => {
  if (error instanceof RewardError) return error
  const message = error instanceof Error ? `${error.name}: ${error.message}` : show(error)
  return new RewardError(`The reward \`${name}\` threw ${message.split('\n')[0]}`)
}

/** Calls the function once. @throws RewardError, ConfigError for wrong settings, or the signal's reason when it is aborted */
const callOnce = async (
  reward: RewardFunction,
  samples: readonly RewardSample[],
  signal: AbortSignal,
): Promise<unknown> => {
  try {
    return await limitedCall<unknown>((own) => reward.score(samples, { signal: own }), {
      seconds: timeoutOf(reward),
      signal,
      tooLate: () => tooLate(reward, samples),
    })
  } catch (error) {
    // Wrong settings fail for every sample, so no policy passes over them.
    if (signal.aborted || error instanceof ConfigError) throw error
    throw asRewardError(reward, error)
  }
}

/** The result as one value per sample. @throws RewardError for anything else */
const asValues = ({ name }: RewardFunction, samples: readonly RewardSample[], result: unknown): readonly unknown[] => {
  const expected = `Expected ${samples.length} rewards from \`${name}\`, one for each answer`
  const advice = 'Return a list with a number or null for each sample, in their order.'
  if (!Array.isArray(result) && !ArrayBuffer.isView(result))
    throw new RewardError(`${expected}, got ${show(result)}. ${advice}`, { failure: 'wrong-count' })
  // A typed array: its classes have no common type with elements.
  const list: unknown[] = Array.isArray(result) ? result : Array.from(result as unknown as ArrayLike<number>)
  if (list.length !== samples.length)
    throw new RewardError(`${expected}, got ${list.length}. ${advice}`, { failure: 'wrong-count' })
  return list
}

const isReward = (value: unknown): value is RewardValues[number] =>
  value === null || (typeof value === 'number' && Number.isFinite(value))

/**
 * Scores samples, with as many attempts as the function has. Only samples that failed are tried again.
 * @throws the signal's reason when it is aborted, RewardError where the function's failures stop the run, ConfigError for wrong settings
 */
export const callReward = async (
  reward: RewardFunction,
  samples: readonly RewardSample[],
  signal: AbortSignal,
): Promise<RewardCall> => {
  const { attempts = 1, onFailure = 'stop' } = reward
  const values: RewardCall['values'] = samples.map(() => undefined)
  let missing = samples.map((_, i) => i)
  let error: RewardError | undefined
  let calls = 0
  while (missing.length > 0 && calls < attempts && error?.retry !== false) {
    if (calls > 0) {
      const pause = Math.min(longestPauseSeconds, firstPauseSeconds * 2 ** (calls - 1))
      await wait(pause * 1000, undefined, { signal }).catch(() => signal.throwIfAborted())
    }
    calls++
    const part = missing.map((i) => samples[i])
    try {
      const list = asValues(reward, part, await callOnce(reward, part, signal))
      const wrong: number[] = []
      for (const [k, i] of missing.entries()) {
        const value = list[k]
        if (isReward(value)) values[i] = value
        else {
          wrong.push(i)
          error = new RewardError(
            `Expected a finite number or null from the reward \`${reward.name}\`, got ${show(value)} for the answer ${show(samples[i].completion)}. Return null for an answer that it cannot score.`,
            { failure: 'not-a-number' },
          )
        }
      }
      missing = wrong
    } catch (thrown) {
      if (!(thrown instanceof RewardError)) throw thrown
      error = thrown
    }
  }
  if (missing.length === 0) return { values, calls, failures: {} }
  if (error !== undefined && onFailure === 'stop') throw error
  return { values, calls, failures: { [error?.failure ?? 'error']: missing.length }, error }
}
