// The lock of a build's output folder.
import { lockFolder as lock } from '../../core/index.ts'

/** Locks `folder` and returns the function that unlocks it. @throws ConfigError when a running build has the lock */
export const lockFolder = (folder: string): Promise<() => Promise<void>> =>
  lock(
    folder,
    (owner, path) =>
      `Expected a folder that no other build uses for \`out\`, got ${folder}, which process ${owner} is writing. ` +
      `Wait for that build or stop it; if it does not exist, delete ${path}.`,
  )
