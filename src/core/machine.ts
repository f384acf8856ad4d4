// This machine: the cache folder of the user, the processor, and the priority of a process.
import { cpus, homedir, setPriority } from 'node:os'
import { join } from 'node:path'

/** A path in the cache, where Tunesmith keeps what it can make again: below XDG_CACHE_HOME, or ~/.cache where that is not set. */
export const userCache = (...parts: string[]): string =>
  join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'tunesmith', ...parts)

/** The name of this machine's processor. */
export const processorName = (): string => cpus()[0]?.model.trim() || 'unknown'

/** As `nice` counts. */
const lowPriority = 10

/** Lowers the priority of a process (default: this one), whose work gives way to runs that train. Where the system does not allow it, the process keeps its own. */
export const lowerPriority = (pid = 0): void => {
  try {
    setPriority(pid, lowPriority)
  } catch {
    // It is slower for others then, and as right.
  }
}
