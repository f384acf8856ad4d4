// Says whether a living process works in a run's folder, and keeps a second one out.
import { mkdir } from 'node:fs/promises'
import { FOLDER_LOCK, folderOwner, lockFolder } from '../core/index.ts'

export const RUN_LOCK = FOLDER_LOCK

/** Takes the lock of a run's folder; ConfigError when a living process has it. Returns the function that gives it back. */
export async function lockRun(folder: string): Promise<() => Promise<void>> {
  await mkdir(folder, { recursive: true })
  return lockFolder(
    folder,
    (owner) =>
      `Expected a run that nothing works on for \`${folder}\`, got one that process ${owner} is writing. Wait for it or stop it.`,
  )
}

/** The number of the living process that works in a run's folder, if there is one. */
export const runOwner = folderOwner
