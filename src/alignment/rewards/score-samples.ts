// Scores samples with several reward functions: their weighted sum, with caches, limits on calls, and counts for monitoring. The rewards of a
// sample do not depend on the other samples, nor on the order in which calls end.
import { ConfigError } from '../../core/index.ts'
import { callReward } from './call-reward.ts'
import { RewardError, type RewardFailure, type RewardFunction, type RewardLimits, type RewardSample } from './reward.ts'
import { type RewardCache, rewardKey } from './reward-cache.ts'

/** How samples are scored. */
export interface ScoreSamplesOptions {
  /** Maximum calls of all functions at the same time (default: 8). */
  concurrency?: number
  /** Rewards of functions with an identity are looked up and kept here (default: only within this call). */
  cache?: RewardCache
  signal?: AbortSignal | undefined
}

/** The rewards of a sample. */
export interface SampleRewards {
  /** By function, in their order; null where a function does not apply, or failed. */
  rewards: (number | null)[]
  /**
   * Weighted sum of the rewards, without those of functions that do not apply. Null where none applies, and where a function failed: a sum
   * with a part missing would be a wrong reward. The same for an episode whose environment failed.
   */
  reward: number | null
}

/** What one function did. */
export interface RewardStatistics {
  name: string
  samples: number
  /** Samples whose reward came from the cache, or from an equal sample. */
  cached: number
  /** Samples that the function does not apply to. */
  unscored: number
  /** Samples that failed at the last attempt. */
  failed: number
  /** `failed` by what failed. */
  failures: Partial<Record<RewardFailure, number>>
  /** The message of the last failure. */
  lastFailure?: string
  /** Calls of the function, repeated ones included. */
  calls: number
  /** Sum over the calls. */
  seconds: number
  /** Over the samples with a reward; NaN without any. */
  mean: number
  deviation: number
}

/** The result of `scoreSamples`. */
export interface ScoredSamples {
  /** In the order of the samples. */
  scores: SampleRewards[]
  /** In the order of the functions. */
  functions: RewardStatistics[]
}

const defaultConcurrency = 8

interface PlannedCall {
  reward: RewardFunction
  run(signal: AbortSignal): Promise<void>
}

/** Runs calls in their order, as many at a time as all limits allow. The first error aborts the others. */
const runCalls = async (
  calls: readonly PlannedCall[],
  limit: number,
  signal: AbortSignal | undefined,
): Promise<void> => {
  const own = new AbortController()
  const onAbort = () => own.abort(signal?.reason)
  signal?.addEventListener('abort', onAbort, { once: true })
  const waiting = [...calls]
  const running = new Map<RewardFunction, number>()
  const active = new Set<Promise<void>>()
  let failure: { error: unknown } | undefined
  const mayStart = ({ reward }: PlannedCall) =>
    (running.get(reward) ?? 0) < (reward.concurrency ?? Number.POSITIVE_INFINITY)
  const start = (call: PlannedCall) => {
    running.set(call.reward, (running.get(call.reward) ?? 0) + 1)
    const done: Promise<void> = call
      .run(own.signal)
      .catch((error: unknown) => {
        failure ??= { error }
        own.abort()
      })
      .finally(() => {
        running.set(call.reward, (running.get(call.reward) ?? 1) - 1)
        active.delete(done)
      })
    active.add(done)
  }
  while (failure === undefined && waiting.length + active.size > 0) {
    for (let next = 0; active.size < limit && (next = waiting.findIndex(mayStart)) >= 0; )
      start(waiting.splice(next, 1)[0])
    await Promise.race(active)
  }
  await Promise.all(active)
  signal?.removeEventListener('abort', onAbort)
  if (failure !== undefined) throw failure.error
}

class FunctionScores {
  readonly reward: RewardFunction
  readonly statistics: RewardStatistics
  /** undefined: not known yet, or failed. */
  readonly values: (number | null | undefined)[]
  readonly #samples: readonly RewardSample[]
  readonly #cache: RewardCache | undefined
  readonly #keys: readonly string[] | undefined

  constructor(reward: RewardFunction, samples: readonly RewardSample[], cache: RewardCache | undefined) {
    const { name, identity } = reward
    this.reward = reward
    this.#samples = samples
    this.#cache = cache
    this.#keys = identity === undefined ? undefined : samples.map((sample) => rewardKey(identity, sample))
    this.values = samples.map((_, i) => (this.#keys === undefined ? undefined : cache?.get(this.#keys[i])))
    this.statistics = {
      name,
      samples: samples.length,
      cached: 0,
      unscored: 0,
      failed: 0,
      failures: {},
      calls: 0,
      seconds: 0,
      mean: Number.NaN,
      deviation: Number.NaN,
    }
  }

  /** The calls that are needed, each with a part of the samples. */
  plan(): PlannedCall[] {
    const keys = this.#keys
    const equal = new Map<string | number, number[]>()
    for (const [i, value] of this.values.entries()) {
      if (value !== undefined) continue
      const key = keys?.[i] ?? i
      const same = equal.get(key)
      if (same === undefined) equal.set(key, [i])
      else same.push(i)
    }
    const groups = [...equal.values()]
    this.statistics.cached = this.#samples.length - groups.length
    const size = this.reward.samplesPerCall ?? Math.max(1, groups.length)
    return Array.from({ length: Math.ceil(groups.length / size) }, (_, part) => ({
      reward: this.reward,
      run: (signal) => this.#call(groups.slice(part * size, (part + 1) * size), signal),
    }))
  }

  async #call(groups: readonly number[][], signal: AbortSignal): Promise<void> {
    const started = performance.now()
    const { statistics } = this
    try {
      const part = groups.map(([first]) => this.#samples[first])
      const { values, calls, error } = await callReward(this.reward, part, signal)
      statistics.calls += calls
      for (const [k, group] of groups.entries()) {
        const value = values[k]
        if (value === undefined) this.#countFailure(error, group.length)
        else if (this.#keys !== undefined) this.#cache?.set(this.#keys[group[0]], value)
        for (const i of group) this.values[i] = value
      }
    } finally {
      statistics.seconds += (performance.now() - started) / 1000
    }
  }

  #countFailure(error: RewardError | undefined, samples: number): void {
    const { failure = 'error', message } = error ?? {}
    this.statistics.failed += samples
    this.statistics.failures[failure] = (this.statistics.failures[failure] ?? 0) + samples
    this.statistics.lastFailure = message
  }

  finish(): RewardStatistics {
    const found = this.values.filter((value) => typeof value === 'number')
    const mean = found.reduce((sum, value) => sum + value, 0) / found.length
    const variance = found.reduce((sum, value) => sum + (value - mean) ** 2, 0) / found.length
    const unscored = this.values.filter((value) => value === null).length
    return Object.assign(this.statistics, { unscored, mean, deviation: Math.sqrt(variance) })
  }
}

const sumOf = (columns: readonly FunctionScores[], sample: number, { episode }: RewardSample): number | null => {
  if (episode?.failed === true) return null
  let sum: number | null = null
  for (const { reward, values } of columns) {
    const value = values[sample]
    if (value === undefined) return null
    if (value !== null) sum = (sum ?? 0) + reward.weight * value
  }
  return sum
}

/**
 * Scores samples with all functions.
 * @throws RewardError for a function whose failures stop the run, the signal's reason when it is aborted
 */
export const scoreSamples = async (
  functions: readonly RewardFunction[],
  samples: readonly RewardSample[],
  { concurrency = defaultConcurrency, cache, signal }: ScoreSamplesOptions = {},
): Promise<ScoredSamples> => {
  signal?.throwIfAborted()
  if (!Number.isInteger(concurrency) || concurrency < 1)
    throw new ConfigError(`Expected a whole number above 0 for \`concurrency\` of rewards, got ${concurrency}.`)
  const columns = functions.map((reward) => new FunctionScores(reward, samples, cache))
  try {
    await runCalls(
      columns.flatMap((column) => column.plan()),
      concurrency,
      signal,
    )
  } finally {
    // What was scored before a failure need not be scored again.
    await cache?.flush()
  }
  return {
    scores: samples.map((sample, i) => ({
      rewards: columns.map(({ values }) => values[i] ?? null),
      reward: sumOf(columns, i, sample),
    })),
    functions: columns.map((column) => column.finish()),
  }
}

/** How rewards are checked. */
export interface CheckRewardsOptions {
  /** Largest difference that is accepted, as a share of the reward where that is above 1 (default: 1e-4). */
  tolerance?: number
  concurrency?: number
  signal?: AbortSignal | undefined
}

/** What was found about one function. */
export interface RewardCheck {
  name: string
  samples: number
  /** Samples that it does not apply to. */
  unscored: number
  failed: number
  /** Between the two scores of a sample; 0 where all are equal to the bit. */
  largestDifference: number
  /** Whether all samples have one reward, from which nothing can be learned. */
  constant: boolean
  /** Seconds per sample of the batch. */
  seconds: number
}

/** The function without its identity, so that equal samples are scored again. */
const uncached = (reward: RewardFunction, limits: RewardLimits = {}): RewardFunction => ({
  name: reward.name,
  weight: reward.weight,
  score: (samples, options) => reward.score(samples, options),
  timeoutSeconds: reward.timeoutSeconds,
  attempts: reward.attempts,
  onFailure: reward.onFailure,
  samplesPerCall: reward.samplesPerCall,
  concurrency: reward.concurrency,
  ...limits,
})

const difference = (one: number | null, other: number | null): number => {
  if (one === null || other === null) return one === other ? 0 : Number.POSITIVE_INFINITY
  return Math.abs(one - other) / Math.max(1, Math.abs(one))
}

/**
 * Scores samples twice, without a cache, and compares.
 * @throws ConfigError for a reward that depends on the batch or on the order, RewardError for functions whose failures stop the run
 */
export const checkRewards = async (
  functions: readonly RewardFunction[],
  samples: readonly RewardSample[],
  { tolerance = 1e-4, ...options }: CheckRewardsOptions = {},
): Promise<RewardCheck[]> => {
  const together = await scoreSamples(
    functions.map((reward) => uncached(reward)),
    samples,
    options,
  )
  const alone = await scoreSamples(
    functions.map((reward) => uncached(reward, { samplesPerCall: 1, concurrency: 1 })),
    [...samples].reverse(),
    options,
  )
  const faults: string[] = []
  const checks = functions.map(({ name }, f): RewardCheck => {
    const first = together.scores.map(({ rewards }) => rewards[f])
    const second = alone.scores.map(({ rewards }) => rewards[f]).reverse()
    const differences = first.map((value, i) => difference(value, second[i]))
    const largest = differences.reduce((high, value) => Math.max(high, value), 0)
    if (largest > tolerance) {
      const at = differences.indexOf(largest)
      faults.push(
        `Expected a reward \`${name}\` that depends on the answer alone, got ${first[at]} in a batch of ${samples.length} and ${second[at]} alone for answer ${at}. Score each sample by itself, without randomness.`,
      )
    }
    const { unscored, failed, seconds } = together.functions[f]
    const found = first.filter((value) => value !== null)
    return {
      name,
      samples: samples.length,
      unscored,
      failed,
      largestDifference: largest,
      constant: found.every((value) => value === found[0]),
      seconds: samples.length === 0 ? 0 : seconds / samples.length,
    }
  })
  if (faults.length > 0) throw new ConfigError(faults)
  if (samples.length > 0 && functions.length > 0 && together.scores.every(({ reward }) => reward === null))
    throw new RewardError(
      `Expected a reward for at least one of ${samples.length} answers from ${functions.map(({ name }) => `\`${name}\``).join(', ')}, got none. Check the settings of the rewards and the columns of the data.`,
    )
  return checks
}
