// Settings and statistics of the engine in this process: threads, memory, determinism, libtorch's build.

import { ConfigError, show } from '../core/index.ts'
import { expectDevice } from './device.ts'
import { withTypedErrors } from './error-messages.ts'
import { type BuildFacts, type MemoryStatistics, native } from './native.ts'

const expectCount = (name: string, unit: string, value: number): void => {
  if (!Number.isSafeInteger(value) || value < 1)
    throw new ConfigError(`Expected a positive whole number of ${unit} for \`${name}\`, got ${show(value)}.`)
}

/**
 * Sets the number of libtorch's compute threads, for the calling thread. Results are bit-identical only with the same number.
 * @throws ConfigError for anything but a positive whole number
 */
export const setThreads = (count: number): void => {
  expectCount('setThreads', 'threads', count)
  withTypedErrors('setThreads', () => native.setThreads(count))
}

/** Number of libtorch's compute threads. */
export const getThreads = (): number => native.threads()

/** Whether operators without a deterministic implementation throw an error (default: false). */
export const setDeterministic = (deterministic: boolean): void => native.setDeterministic(deterministic)

/** What `setDeterministic` has set. */
export const isDeterministic = (): boolean => native.deterministic()

/** Version and features of the loaded libtorch. */
export const buildFacts = (): BuildFacts => native.buildFacts()

/** CPU memory of the tensors in this process, in bytes. */
export const memoryStatistics = (): MemoryStatistics => native.memoryStatistics()

/**
 * Limits the memory of tensors in bytes, on the CPU or on one accelerator: beyond it, operators throw an OutOfMemoryError. Undefined removes the
 * limit. An accelerator is checked after each operator and backward pass, so it holds more for as long as one of these takes.
 * @throws ConfigError for anything but a positive whole number, and for a device whose memory libtorch does not count
 */
export const setMemoryLimit = (bytes: number | undefined, device = 'cpu'): void => {
  if (bytes !== undefined) expectCount('setMemoryLimit', 'bytes', bytes)
  const wanted = expectDevice(device)
  if (wanted === 'cpu') {
    native.setMemoryLimit(bytes)
    return
  }
  const counted = withTypedErrors('setMemoryLimit', () => native.setDeviceMemoryLimit?.(wanted, bytes) ?? false)
  if (!counted && bytes !== undefined)
    throw new ConfigError(
      `Expected a device whose memory libtorch counts for a limit of memory, got ${wanted} with libtorch ${buildFacts().torchVersion}. Leave the limit out.`,
    )
}

/** Returns freed memory that is cached for reuse to the system. */
export const emptyCache = (): void => native.trimMemory()

/** Restarts the `peak` of `memoryStatistics` from the memory in use. */
export const resetPeakMemory = (): void => native.resetPeakMemory()
