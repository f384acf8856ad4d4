// The lock of a run's folder, which keeps a second process from writing in it, and requests to a running run from another process. A checkpoint is asked for by a file in the run's folder, which reaches runs of any
// program, also one that a signal would end; a stop is the SIGINT of Ctrl-C, noted in a file so that it is sent once.
import { statSync, unlinkSync } from 'node:fs'
import { readFile, rm, rmdir, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { folderOwner, lockFolder, makeFolder } from '../core/index.ts'
import { runFiles } from './run-files.ts'

/** Asks the run in a folder for a checkpoint after its current step. */
export const requestCheckpoint = (folder: string): Promise<void> =>
  writeFile(join(folder, runFiles.checkpointRequest), '')

/** Whether a checkpoint was asked for since the last call. The run calls it between steps. */
export const takeCheckpointRequest = (folder: string): boolean => {
  const path = join(folder, runFiles.checkpointRequest)
  if (statSync(path, { throwIfNoEntry: false }) === undefined) return false
  try {
    unlinkSync(path)
    return true
  } catch {
    // A folder that cannot be written any more gives an error of its own when the run writes there.
    return false
  }
}

/** What a stop did: `sent`, `sent before` by this or another program, or `ended` because nothing runs. */
export type StopAnswer = 'sent' | 'sent before' | 'ended'

/**
 * Sends Ctrl-C to the process that writes in a run's folder: it finishes its step, saves and ends. A second Ctrl-C would end it without
 * saving, so only the first call for a process sends one. @throws the system's error for a process of another user
 * @param now - sends it even if it was sent before, which ends the process without saving
 */
export const stopRun = async (folder: string, { now = false }: { now?: boolean } = {}): Promise<StopAnswer> => {
  const owner = await folderOwner(folder)
  if (owner === undefined) return 'ended'
  const isFirst = await claimStop(join(folder, runFiles.stopRequest), String(owner))
  if (!isFirst && !now) return 'sent before'
  try {
    process.kill(owner, 'SIGINT')
    return 'sent'
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return 'ended'
    throw error
  }
}

/** Whether a stop was sent to the process that writes in a run's folder. */
export const isStopping = async (folder: string): Promise<boolean> => {
  const noted = await readFile(join(folder, runFiles.stopRequest), 'utf8').catch(() => undefined)
  return noted !== undefined && noted === String(await folderOwner(folder))
}

/** Notes the stop of a process; false if that was done before. */
const claimStop = async (path: string, owner: string): Promise<boolean> => {
  for (;;) {
    try {
      await writeFile(path, owner, { flag: 'wx' })
      return true
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    const noted = await readFile(path, 'utf8').catch(() => undefined)
    // Empty while another program is just writing it.
    if (noted === owner || noted === '') return false
    await rm(path, { force: true })
  }
}

/** Removes what was asked of an earlier process. */
const clearRequests = async (folder: string): Promise<void> => {
  for (const name of [runFiles.checkpointRequest, runFiles.stopRequest]) await rm(join(folder, name), { force: true })
}

/**
 * Locks a run's folder and returns the function that unlocks it, and that removes the folder again if the lock made it and the run wrote
 * nothing. @throws ConfigError when a living process has the lock
 */
export const lockRun = async (folder: string): Promise<() => Promise<void>> => {
  const made = await makeFolder(folder, 'out')
  const unlock = await lockFolder(
    folder,
    (owner) => `The run in \`${folder}\` is being written by process ${owner}: wait for it, or stop it.`,
  )
  // A killed process may have left them.
  await clearRequests(folder)
  return async () => {
    await clearRequests(folder)
    await unlock()
    if (made !== undefined) await removeEmpty(resolve(folder), resolve(made))
  }
}

const isRemoved = (folder: string): Promise<boolean> =>
  rmdir(folder).then(
    () => true,
    () => false,
  )

/** Removes folders from the innermost to the outermost that was made; one that is not empty stays, with those around it. */
const removeEmpty = async (inner: string, outer: string): Promise<void> => {
  for (let folder = inner; folder.startsWith(outer); folder = dirname(folder)) if (!(await isRemoved(folder))) return
}

/** The id of the living process that writes in a run's folder, if there is one. */
export const runOwner = folderOwner
