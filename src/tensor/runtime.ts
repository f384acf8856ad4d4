// The engine's settings and facts for this process: threads, memory, determinism, what libtorch was built with.
import { type BuildFacts, type MemoryStatistics, native } from './native.ts'
import { attempt } from './wording.ts'

/** Compute threads of libtorch; process-wide. The count is part of what makes a result reproducible to the bit. */
export const setThreads = (count: number): void => attempt('setThreads', () => native.setThreads(count))
export const getThreads = (): number => native.threads()

/** Makes libtorch refuse operators that have no deterministic form. */
export const setDeterministic = (deterministic: boolean): void => native.setDeterministic(deterministic)

export const buildFacts = (): BuildFacts => native.buildFacts()

/** CPU memory of tensors in this process, in bytes. */
export const memoryStatistics = (): MemoryStatistics => native.memoryStatistics()

/** Caps the CPU memory of tensors; going over is an OutOfMemoryError. Undefined lifts the cap. */
export const setMemoryLimit = (bytes: number | undefined): void =>
  attempt('setMemoryLimit', () => native.setMemoryLimit(bytes))

/** Gives blocks that are kept for reuse back to the system. */
export const emptyCache = (): void => native.trimMemory()

export const resetPeakMemory = (): void => native.resetPeakMemory()
