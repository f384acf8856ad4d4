// Rewards by content: in memory with a limit, and optionally in a file that later runs read. A key is a hash of the function's identity and of
// everything in the sample, so a reward is never taken from another function, another record or other tokens.
import { createHash } from 'node:crypto'
import { appendFile, readFile } from 'node:fs/promises'
import { writeFileAtomic } from '../../core/index.ts'
import type { RewardSample } from './reward.ts'

/** Settings of `openRewardCache`. */
export interface RewardCacheOptions {
  /** Maximum number of rewards in memory; the one that was used least recently is dropped (default: 200,000). */
  limit?: number
  /** File of rewards, one line of JSON each (default: memory only). */
  path?: string
}

/** Rewards by key. */
export interface RewardCache {
  /** undefined where it is not known. */
  get(key: string): number | null | undefined
  set(key: string, value: number | null): void
  /** Writes new rewards to the file. */
  flush(): Promise<void>
  readonly size: number
}

const defaultLimit = 200_000

/** The rewards of a file; lines that a crash left unfinished are skipped. */
const readLines = (text: string): [string, number | null][] =>
  text.split('\n').flatMap((line): [string, number | null][] => {
    if (line === '') return []
    try {
      const pair: unknown = JSON.parse(line)
      if (!Array.isArray(pair) || pair.length !== 2) return []
      const [key, value]: unknown[] = pair
      return typeof key === 'string' && (value === null || typeof value === 'number') ? [[key, value]] : []
    } catch {
      return []
    }
  })

const lineOf = ([key, value]: readonly [string, number | null]) => `${JSON.stringify([key, value])}\n`

/** Opens a cache of rewards. The file is rewritten when more than half of it is unused. */
export const openRewardCache = async ({
  limit = defaultLimit,
  path,
}: RewardCacheOptions = {}): Promise<RewardCache> => {
  const known = new Map<string, number | null>()
  let fresh: [string, number | null][] = []
  if (path !== undefined) {
    const text = await readFile(path, 'utf8').catch(() => '')
    const pairs = readLines(text)
    for (const [key, value] of pairs.slice(-limit)) known.set(key, value)
    const isTorn = text !== '' && !text.endsWith('\n')
    if (isTorn || pairs.length > 2 * known.size) await writeFileAtomic(path, [...known].map(lineOf).join(''))
  }
  return {
    get size() {
      return known.size
    },
    get(key) {
      const value = known.get(key)
      if (value === undefined) return undefined
      known.delete(key)
      known.set(key, value)
      return value
    },
    set(key, value) {
      if (!known.has(key) && path !== undefined) fresh.push([key, value])
      known.delete(key)
      known.set(key, value)
      if (known.size > limit) for (const oldest of known.keys()) return void known.delete(oldest)
    },
    async flush() {
      if (path === undefined || fresh.length === 0) return
      const lines = fresh.map(lineOf).join('')
      fresh = []
      await appendFile(path, lines)
    },
  }
}

/** Values of rows that JSON does not have, such as large integers and dates of Parquet files. */
const plainValue = (_: string, value: unknown): unknown => (typeof value === 'bigint' ? `${value}n` : value)

const rowKeys = new WeakMap<object, string>()

/** The columns of a record, which all answers of a group share. */
const rowKey = ({ fields }: RewardSample['record']): string => {
  const found = rowKeys.get(fields)
  if (found !== undefined) return found
  const key = createHash('sha256').update(JSON.stringify(fields, plainValue)).digest('hex')
  rowKeys.set(fields, key)
  return key
}

/** A hash of everything in a sample that a reward can read, and of the function's identity. */
export const rewardKey = (identity: string, sample: RewardSample): string => {
  const { prompt, completion, completionIds, promptIds, record, finishReason, episode } = sample
  const content = [
    identity,
    prompt,
    completion,
    Array.from(promptIds),
    Array.from(completionIds),
    finishReason,
    record.reference ?? null,
    rowKey(record),
    episode ?? null,
  ]
  return createHash('sha256').update(JSON.stringify(content)).digest('hex').slice(0, 32)
}
