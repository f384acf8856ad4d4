// Folders that hold several runs of one kind, such as a sweep or a grid: a file in them says what they are.
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ConfigError } from '../../core/index.ts'

/**
 * The text of the file that says what a folder is; undefined for a folder that is new or empty.
 * @param kind what the folder holds, such as `sweep`
 * @throws ConfigError for a folder with other files
 */
export const readMark = async (out: string, file: string, kind: string): Promise<string | undefined> => {
  const text = await readFile(join(out, file), 'utf8').catch(() => undefined)
  if (text !== undefined) return text
  const present: string[] = await readdir(out).catch(() => [])
  if (present.length > 0)
    throw new ConfigError(
      `Expected a new folder or that of a ${kind} for \`out\`, found ${present.length} other files in ${out}. Name another folder.`,
    )
  return undefined
}
