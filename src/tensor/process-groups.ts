// Stores and process groups of torch.distributed's c10d, and its collectives. Independent of who starts the processes.
import { NativeError, SetupError } from '../core/index.ts'
import { toOneLine } from './error-messages.ts'
import { native } from './native.ts'
import { callable } from './operator.ts'
import type { Tensor } from './tensor.ts'

const expectGloo = (): void => {
  if (native.openStore === undefined)
    throw new SetupError(
      'Expected a libtorch with Gloo for training in several processes, got one without. Set LIBTORCH to another build.',
    )
}

/** @throws NativeError in one line, without the source locations that c10d and Gloo add */
const inOneLine = <Result>(work: () => Result): Result => {
  try {
    return work()
  } catch (error) {
    const text = toOneLine((error as Error).message).replace(/\s*\[[^\]]*\.(cc|cpp|h|hpp):\d+\]\s*/g, ' ')
    throw new NativeError(text.replace(/\s*Exception raised from.*$/, '').trim())
  }
}

/** A key-value store that all processes of a group reach: torch's TCPStore or FileStore. */
export class ProcessStore {
  readonly #external: object

  private constructor(open: () => object) {
    expectGloo()
    this.#external = inOneLine(open)
  }

  /**
   * Serves a store, or connects to one.
   * @param port 0 lets the system choose the port of a server
   * @throws NativeError for a port in use, or a store that does not answer
   */
  static overTcp(
    host: string,
    port: number,
    { server, timeoutMs }: { server: boolean; timeoutMs: number },
  ): ProcessStore {
    return new ProcessStore(() => native.openStore(host, port, server, timeoutMs))
  }

  /** A store in a file that all processes reach. The last one that closes it removes it. @param processes their number */
  static inFile(path: string, processes: number, timeoutMs: number): ProcessStore {
    return new ProcessStore(() => native.openFileStore(path, processes, timeoutMs))
  }

  /** The port of a store over TCP. */
  get port(): number {
    return native.storePort(this.#external)
  }

  /** Another connection to the same store. */
  again(timeoutMs: number): ProcessStore {
    return new ProcessStore(() => native.openStoreAgain(this.#external, timeoutMs))
  }

  set(key: string, value: string): void {
    inOneLine(() => native.storeSet(this.#external, key, value))
  }

  /** The value of a key, undefined while there is none. */
  get(key: string): string | undefined {
    return inOneLine(() => native.storeGet(this.#external, key))
  }

  delete(key: string): void {
    inOneLine(() => native.storeDelete(this.#external, key))
  }

  /** Adds to a counter, which begins at 0, and returns it. */
  add(key: string, amount: number): number {
    return inOneLine(() => native.storeAdd(this.#external, key, amount))
  }

  /** Ends the connection, and the store where this process serves it. */
  close(): void {
    native.closeStore(this.#external)
  }

  /** Registers a Gloo group under a name, by which collectives find it. Waits until every process of the group does so. */
  makeGroup(name: string, place: GroupPlace): void {
    const { prefix, rank, size, address, networkInterface = '', connectMs, timeoutMs } = place
    inOneLine(() =>
      native.makeGroup(name, this.#external, prefix, rank, size, address, networkInterface, connectMs, timeoutMs),
    )
  }

  /**
   * Watches the processes of a group from threads of their own. After a failure, collectives fail, and the process ends
   * with exit code 1 unless it does so by itself.
   * @param names what messages call each process, by rank
   */
  watch(prefix: string, rank: number, names: readonly string[], times: WatchTimes): void {
    const { beatMs, deadlineMs, urgentMs, graceMs } = times
    inOneLine(() =>
      native.startWatch(this.#external, prefix, rank, [...names], [beatMs, deadlineMs, urgentMs, graceMs]),
    )
  }
}

/** A process's place in a group. */
export interface GroupPlace {
  /** Prefix of the group's keys in the store. */
  prefix: string
  rank: number
  size: number
  /** Address of this machine that the other processes reach. */
  address: string
  /** Network interface in place of the address. */
  networkInterface?: string | undefined
  /** Time in which the processes must connect to each other. */
  connectMs: number
  /** Time after which a collective fails that not every process takes part in. */
  timeoutMs: number
}

/** Times of the watch over processes. */
export interface WatchTimes {
  beatMs: number
  /** Silence that counts as the end of a process. */
  deadlineMs: number
  /** The same, once a collective has failed. */
  urgentMs: number
  /** Time in which the main thread may end by itself after a failure. */
  graceMs: number
}

/** Removes a group: its connections close. */
export const dropGroup = (name: string): void => native.dropGroup(name)

/** What ended the watched group, undefined while all processes answer. `urgent`: a collective has failed. */
export const watchFailure = (urgent: boolean): string | undefined => native.watchFailure(urgent)

/** Leaves the watched group in order. */
export const stopWatch = (): void => native.stopWatch()

// Not in the table of operators: a libtorch without Gloo lacks them.
const collective = <Signature>(name: string, overload: string): Signature => {
  const call = callable(name, { overloads: [overload] })
  return ((...values: unknown[]) => inOneLine(() => call(...values))) as Signature
}

/** Begins to sum a tensor over the group, in place; `waitTensor` ends it. */
export const allReduce_ = collective<(tensor: Tensor, operation: 'sum', group: string) => Tensor>(
  'allReduce_',
  '_c10d_functional::all_reduce_(input, reduce_op, group_name)',
)

/** Begins to collect the tensors [n,…] of all processes into [size * n,…]. */
export const allGather = collective<(tensor: Tensor, size: number, group: string) => Tensor>(
  'allGather',
  '_c10d_functional::all_gather_into_tensor(input, group_size, group_name)',
)

/** Begins to sum [size * n,…] over the group; each process gets its part [n,…]. */
export const reduceScatter = collective<(tensor: Tensor, operation: 'sum', size: number, group: string) => Tensor>(
  'reduceScatter',
  '_c10d_functional::reduce_scatter_tensor(input, reduce_op, group_size, group_name)',
)

/** Begins to copy a tensor of the process `source` to all, in place. */
export const broadcast_ = collective<(tensor: Tensor, source: number, group: string) => Tensor>(
  'broadcast_',
  '_c10d_functional::broadcast_(input, src, group_name)',
)

/** Waits for a collective. @throws NativeError when a process is gone, or the group's timeout is over */
export const waitTensor = collective<(tensor: Tensor) => Tensor>('waitTensor', '_c10d_functional::wait_tensor(tensor)')
