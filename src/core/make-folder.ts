// Creates a folder for output with its missing parents, or explains why that is impossible.
import { mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { ConfigError } from './errors.ts'

/**
 * Creates `path` and its missing parents one by one: a recursive `mkdir` of Node never returns where the system refuses
 * folders with ENOENT, as /proc does. Other faults, such as missing permission, are thrown as the system gave them.
 * @throws ConfigError naming `option` when a file is in the way or the system has no folders there
 */
export const makeFolder = async (path: string, option: string): Promise<void> => {
  const found = await stat(path).catch(() => undefined)
  if (found?.isDirectory()) return
  if (found !== undefined)
    throw new ConfigError(`Expected a folder for \`${option}\`, got ${path}, which is a file. Name another.`)
  const parent = dirname(path)
  if (parent !== path) await makeFolder(parent, option)
  await mkdir(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EEXIST') return
    if (error.code !== 'ENOENT') throw error
    throw new ConfigError(`Expected a folder that can be created for \`${option}\`, got ${path}. Name another.`)
  })
}
