// How processes exchange gradients: environment variables, which must be the same on every process.
import { ConfigError } from '../core/index.ts'
import type { GroupFacts } from './process-group.ts'

/** A number of something from an environment variable. */
export const numberFrom = (env: NodeJS.ProcessEnv, name: string, noun: string, otherwise: number): number => {
  const text = env[name]
  if (text === undefined || text === '') return otherwise
  const value = Number(text)
  if (Number.isFinite(value) && value > 0) return value
  throw new ConfigError(`Expected ${noun} above 0 for the environment variable ${name}, got "${text}".`)
}

/** On or off from an environment variable (default: on). */
const onOrOff = (env: NodeJS.ProcessEnv, name: string): boolean => {
  const text = env[name] || 'on'
  if (text === 'on' || text === 'off') return text === 'on'
  throw new ConfigError(`Expected on or off for the environment variable ${name}, got "${text}".`)
}

/** Size of gradient buckets, and whether they are sent during the backward pass. */
export const exchangeSettings = (env: NodeJS.ProcessEnv): Pick<GroupFacts, 'bucketBytes' | 'overlaps'> => ({
  bucketBytes: 2 ** 20 * numberFrom(env, 'TUNESMITH_BUCKET_MEGABYTES', 'megabytes', 25),
  overlaps: onOrOff(env, 'TUNESMITH_OVERLAP'),
})
