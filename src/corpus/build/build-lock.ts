// Keeps two builds out of one folder.
import { lockFolder as lock } from '../../core/index.ts'

/** Takes the lock of `folder`; ConfigError when a living build has it. Returns the function that gives it back. */
export const lockFolder = (folder: string): Promise<() => Promise<void>> =>
  lock(
    folder,
    (owner, path) =>
      `Expected a folder that no other build uses for \`out\`, got ${folder}, which process ${owner} is writing. ` +
      `Wait for it or stop it; if there is no such build, delete ${path}.`,
  )
