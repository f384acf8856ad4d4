// Creates a folder for output with its missing parents, or explains why that is impossible.
import { mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { ConfigError } from './errors.ts'

/**
 * Creates `path` and its missing parents one by one: a recursive `mkdir` of Node never returns where the system refuses
 * folders with ENOENT, as /proc does. Other faults, such as missing permission, are thrown as the system gave them.
 * @param option setting that named the path, for the message
 * @returns the outermost folder that was created, if any
 * @throws ConfigError naming `option` when a file is in the way or the system has no folders there
 */
export const makeFolder = async (path: string, option?: string): Promise<string | undefined> => {
  const named = option === undefined ? '' : ` for \`${option}\``
  const found = await stat(path).catch(() => undefined)
  if (found?.isDirectory()) return undefined
  if (found !== undefined)
    throw new ConfigError(`Expected a folder${named}, got ${path}, which is a file. Name another.`)
  const parent = dirname(path)
  const outermost = parent === path ? undefined : await makeFolder(parent, option)
  try {
    await mkdir(path)
    return outermost ?? path
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') return outermost
    if (code !== 'ENOENT') throw error
    throw new ConfigError(`Expected a folder that can be created${named}, got ${path}. Name another.`)
  }
}
