// Keeps two processes out of one folder. A lock names its process and when that process started, so the lock of a killed one is
// seen to be dead even when its process number was given away again.
import { readFileSync } from 'node:fs'
import { open, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { ConfigError } from './errors.ts'

export const FOLDER_LOCK = '.lock'

/**
 * Takes the lock of a folder. Returns the function that gives it back.
 * @param refuse what to say when a living process has it
 * @throws ConfigError
 */
export async function lockFolder(
  folder: string,
  refuse: (owner: number, path: string) => string,
): Promise<() => Promise<void>> {
  const path = join(folder, FOLDER_LOCK)
  for (let attempt = 0; attempt < 10; attempt++) {
    try {
      const file = await open(path, 'wx')
      await file.writeFile(describeProcess(process.pid))
      await file.close()
      return () => rm(path, { force: true })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    const owner = await folderOwner(folder)
    if (owner !== undefined) throw new ConfigError(refuse(owner, path))
    await rm(path, { force: true })
  }
  throw new ConfigError(`Expected to lock \`${folder}\`, got a lock that keeps coming back. Delete ${path}.`)
}

/** The number of the living process that holds a folder, if there is one. */
export async function folderOwner(folder: string): Promise<number | undefined> {
  const owner = await readFile(join(folder, FOLDER_LOCK), 'utf8').catch(() => '')
  const pid = Number(owner.split(' ')[0])
  return Number.isSafeInteger(pid) && pid > 0 && isAlive(pid) && describeProcess(pid) === owner ? pid : undefined
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return !isEnded(pid)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Fields of /proc from the third on; none where the system has no such file. */
function statOf(pid: number): string[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The second field is the command in parentheses and may hold spaces.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  } catch {
    return []
  }
}

/** An orphan that nobody waits for keeps its number after its end, in containers for good. */
const isEnded = (pid: number): boolean => ['Z', 'X'].includes(statOf(pid)[0])

/** The process number and, where the system tells it, the time it started in clock ticks since boot. */
function describeProcess(pid: number): string {
  const started = statOf(pid)[19]
  return started === undefined ? `${pid}` : `${pid} ${started}`
}
