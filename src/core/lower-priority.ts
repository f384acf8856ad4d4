// Lower priority for work that gives way to runs that train on the same machine.
import { setPriority } from 'node:os'

/** As `nice` counts. */
const lowPriority = 10

/** Lowers the priority of a process (default: this one). Where the system does not allow it, the process keeps its own. */
export const lowerPriority = (pid = 0): void => {
  try {
    setPriority(pid, lowPriority)
  } catch {
    // It is slower for others then, and as right.
  }
}
