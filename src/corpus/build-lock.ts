// Keeps two builds out of one folder. A lock names its process and when that process started, so the lock of a killed
// build is recognised as dead even when its process number was given to another.

import { readFileSync } from 'node:fs'
import { open, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { ConfigError } from '../core/index.ts'

const lockName = '.lock'

/** Takes the lock of `folder`; ConfigError when a living build has it. Returns the function that gives it back. */
export async function lockFolder(folder: string): Promise<() => Promise<void>> {
  const path = join(folder, lockName)
  const mine = describeProcess(process.pid)
  for (let attempt = 0; ; attempt++) {
    try {
      const handle = await open(path, 'wx')
      await handle.writeFile(mine)
      await handle.close()
      return () => rm(path, { force: true })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    const owner = await readFile(path, 'utf8').catch(() => '')
    const pid = Number(owner.split(' ')[0])
    if (pid > 0 && pid !== process.pid && isAlive(pid) && describeProcess(pid) === owner) {
      throw new ConfigError(
        `Expected a folder that no other build uses for \`out\`, got ${folder}, which process ${pid} is writing. ` +
          `Wait for it or stop it; if there is no such build, delete ${path}.`,
      )
    }
    if (attempt >= 10)
      throw new ConfigError(`Expected to lock ${folder}, got a lock that keeps coming back. Delete ${path}.`)
    await rm(path, { force: true })
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** The process number and, where the system tells it, the time it started in clock ticks since boot. */
function describeProcess(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The second field is the command in parentheses and may hold spaces; the start time is field 22.
    const started = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
    return `${pid} ${started}`
  } catch {
    return `${pid}`
  }
}
