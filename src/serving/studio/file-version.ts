// Which version of a file is there, by what the file system says of it.
import { stat } from 'node:fs/promises'

/** Text that changes when the file is written or replaced; undefined for a missing one. */
export const fileVersion = async (path: string): Promise<string | undefined> => {
  const facts = await stat(path).catch(() => undefined)
  return facts && [facts.dev, facts.ino, facts.size, facts.mtimeMs].join(' ')
}
