// Keeps two processes from writing in one folder. A lock names its process and when that process started, so that the lock of a killed
// process is recognised even if its id was given to another one.
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { ConfigError } from './errors.ts'
import { sha256 } from './hashing.ts'

/** Name of the lock in a folder. */
export const lockName = '.lock'
/** A lock can be given back, or taken over, while it is looked at. */
const maxAttempts = 50

/**
 * Locks a folder and returns the function that unlocks it.
 * @param refuse the error message when a living process has the lock
 * @throws ConfigError
 */
export const lockFolder = async (
  folder: string,
  refuse: (owner: number, path: string) => string,
): Promise<() => Promise<void>> => {
  const path = join(folder, lockName)
  const owner = await take(path)
  if (owner !== undefined) throw new ConfigError(refuse(owner, path))
  return () => rm(path, { force: true })
}

/** Takes a lock file; returns the id of the living process that has it, or undefined if it is ours now. */
const take = async (path: string): Promise<number | undefined> => {
  // Written beside the lock and then linked to its name, so that nobody ever reads an empty lock.
  const own = `${path}.${randomBytes(6).toString('hex')}.tmp`
  await writeFile(own, describeProcess(process.pid), { flag: 'wx' })
  try {
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      try {
        await link(own, path)
        return undefined
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      }
      const content = await contentOf(path)
      const owner = livingOwner(content)
      if (owner !== undefined) return owner
      if (content !== undefined && (await replaceDead(path, content, own))) return undefined
      await setTimeout(5)
    }
  } finally {
    await rm(own, { force: true })
  }
  throw new ConfigError(`The lock ${path} keeps coming back: stop the other processes, or delete it.`)
}

/** Replaces the lock of a dead process. A second lock, named after the dead one, lets only one process do so. */
const replaceDead = async (path: string, content: string, own: string): Promise<boolean> => {
  const claim = `${path}.${sha256(content).slice(0, 12)}`
  if ((await take(claim)) !== undefined) return false
  try {
    // Another process may have replaced it before the claim was ours.
    if ((await contentOf(path)) !== content) return false
    await rename(own, path)
    return true
  } finally {
    await rm(claim, { force: true })
  }
}

const contentOf = (path: string): Promise<string | undefined> => readFile(path, 'utf8').catch(() => undefined)

/** The id of the living process that has the lock of a folder, if there is one. */
export const folderOwner = async (folder: string): Promise<number | undefined> =>
  livingOwner(await contentOf(join(folder, lockName)))

const livingOwner = (content = ''): number | undefined => {
  const pid = Number(content.split(' ')[0])
  return Number.isSafeInteger(pid) && pid > 0 && isAlive(pid) && describeProcess(pid) === content ? pid : undefined
}

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return !isEnded(pid)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Fields of /proc/PID/stat from the third on; none where the system has no such file. */
const statOf = (pid: number): string[] => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The second field is the command in parentheses and may contain spaces.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  } catch {
    return []
  }
}

/** An ended process that no parent waits for keeps its id, in containers for good. */
const isEnded = (pid: number): boolean => ['Z', 'X'].includes(statOf(pid)[0])

/** The process id and, where the system knows it, the time when the process started in clock ticks since boot. */
const describeProcess = (pid: number): string => {
  const started = statOf(pid)[19]
  return started === undefined ? `${pid}` : `${pid} ${started}`
}
