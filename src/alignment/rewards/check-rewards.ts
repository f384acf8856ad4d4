// The pre-flight check of rewards: the same answers are scored together, and again one at a time in the opposite order. A reward that depends on
// its neighbours, on padding or on the order would make the advantages of a group wrong without any error.
import { ConfigError } from '../../core/index.ts'
import { RewardError, type RewardFunction, type RewardLimits, type RewardSample } from './reward.ts'
import { scoreSamples } from './score-samples.ts'

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
