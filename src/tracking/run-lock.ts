// The lock of a run's folder, which keeps a second process from writing in it.
import { mkdir } from 'node:fs/promises'
import { folderOwner, lockFolder } from '../core/index.ts'

/** Locks a run's folder and returns the function that unlocks it. @throws ConfigError when a living process has the lock */
export const lockRun = async (folder: string): Promise<() => Promise<void>> => {
  await mkdir(folder, { recursive: true })
  return lockFolder(
    folder,
    (owner) => `The run in \`${folder}\` is being written by process ${owner}: wait for it, or stop it.`,
  )
}

/** The id of the living process that writes in a run's folder, if there is one. */
export const runOwner = folderOwner
