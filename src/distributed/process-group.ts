// A group of processes that train together, as training sees it: what they exchange, tell each other and agree on. `ConnectedGroup` is one
// of running processes, `PlannedGroup` one that a plan takes for granted.
import { ConfigError, NativeError } from '../core/index.ts'
import type { Tensor } from '../tensor/index.ts'

/** Facts of a group and of this process in it. */
export interface GroupFacts {
  rank: number
  size: number
  /** What messages call each process, by rank. */
  members: readonly string[]
  /** Bytes of gradients that are exchanged together. */
  bucketBytes: number
  /** Whether gradients are sent during the backward pass. */
  overlaps: boolean
}

/** Bytes of the messages of `gather`: those that need one exchange, as longer ones need a second, and the length in front. */
export const messageRoom = { short: 2048, header: 4 }

/** The processes of a run. Every method but `abort` must be called by all of them, in the same order. */
export abstract class ProcessGroup {
  readonly rank: number
  readonly size: number
  readonly members: readonly string[]
  readonly bucketBytes: number
  readonly overlaps: boolean
  /** Whether the other processes are in a plan only, and give what this one gives. */
  readonly planned: boolean = false

  constructor({ rank, size, members, bucketBytes, overlaps }: GroupFacts) {
    this.rank = rank
    this.size = size
    this.members = members
    this.bucketBytes = bucketBytes
    this.overlaps = overlaps
  }

  /** Whether this is the process that writes and shows. */
  get first(): boolean {
    return this.rank === 0
  }

  /** The value that each process gives, by rank: plain data, typed arrays too. */
  abstract gather<Value>(value: Value): Promise<Value[]>

  /** Begins to sum a tensor over the group, in place. `arrived` waits for it. */
  abstract beginSum_(tensor: Tensor): Tensor

  /** Begins to sum [size * n] over the group, of which each process gets its part [n]. `arrived` waits for it. */
  abstract beginSumParts(tensor: Tensor): Tensor

  /** Begins to collect the parts [n] of all processes as [size * n]. `arrived` waits for it. */
  abstract beginCollect(tensor: Tensor): Tensor

  /** Waits for a tensor that is on its way. */
  abstract arrived(begun: Tensor): Promise<Tensor>

  /** The same where nothing else can run. @throws GroupError, which `named` explains */
  abstract arrivedNow(begun: Tensor): Tensor

  /** Sums tensors over the group, in place; all are on their way at once. */
  abstract sum_(tensors: Iterable<Tensor>): Promise<void>

  /** The parts [n] of all processes as [size * n]. */
  abstract collect(tensor: Tensor): Promise<Tensor>

  /** Copies the tensor of the process `source` to all, in place. */
  abstract copyFrom_(source: number, tensor: Tensor): Promise<void>

  /**
   * What the first process makes, plain data, while the others wait for as long as it takes. An error there ends all of them.
   */
  abstract fromFirst<Result>(work: () => Promise<Result> | Result): Promise<Result>

  /** Waits until all processes are here, for as long as it takes: an exchange has a deadline. */
  abstract assemble(): Promise<void>

  /** The error of a collective with the process that ended it. */
  abstract named(error: Error): Promise<GroupError>

  /**
   * Ends the other processes with this one's error. Also where the error is that another process is silent: perhaps only
   * this process sees it, and the others would wait forever for one that has left.
   */
  abstract abort(error: Error): void

  /** Leaves the group in order, the process that serves the store last. After an error nothing is waited for. */
  abstract leave(how: { failed: boolean }): Promise<void>

  /** Runs work on the first process before the others do, which find its caches then. */
  async firstBefore<Result>(work: () => Promise<Result>): Promise<Result> {
    const done = this.first ? await work() : undefined
    await this.fromFirst(() => null)
    return this.first ? (done as Result) : work()
  }

  /** @throws ConfigError that names facts which differ between processes, and where */
  async expectEqual(facts: Readonly<Record<string, string>>): Promise<void> {
    const all = await this.gather(facts)
    const names = [...new Set(all.flatMap((one) => Object.keys(one)))]
    const faults = names.flatMap((name) => {
      const other = all.findIndex((one) => one[name] !== all[0][name])
      if (other < 0) return []
      return `Expected the same ${name} on every process, got ${all[0][name] ?? 'none'} on ${this.members[0]} and ${all[other][name] ?? 'none'} on ${this.members[other]}.`
    })
    if (faults.length > 0) throw new ConfigError(faults)
  }
}

/** The end of a group because of another process. */
export class GroupError extends NativeError {
  override name = 'GroupError'
}

// How processes exchange gradients: environment variables, which must be the same on every process.

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
