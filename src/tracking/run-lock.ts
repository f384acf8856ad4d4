// The lock of a run's folder, which keeps a second process from writing in it.
import { rmdir } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { folderOwner, lockFolder, makeFolder } from '../core/index.ts'
import { clearRequests } from './run-requests.ts'

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
