// Flags and arguments of commands that serve models or show runs.
import { readFile } from 'node:fs/promises'
import { ConfigError } from '../../core/index.ts'

/**
 * The token of a server in a file, as on the command line every user of the machine could read it: without the line break at its end;
 * undefined without a file.
 * @throws ConfigError for a file that is missing or has more than a token
 */
export const readToken = async (file: string | undefined): Promise<string | undefined> => {
  if (file === undefined) return undefined
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new ConfigError(`Expected a file with a token for \`--token-file\`, got ${error.code} for \`${file}\`.`)
  })
  const token = text.trim()
  if (token !== '' && !/\s/.test(token)) return token
  throw new ConfigError(`Expected one line with a token in \`${file}\`, got something else.`)
}

/** Folders by name, of the `NAME=FOLDER` values of a flag that is repeated. @throws ConfigError for another form, or a name that is given twice */
export const namedFolders = (given: readonly string[], flag: string): Record<string, string> => {
  const folders: Record<string, string> = {}
  for (const text of given) {
    const [, name, folder] = /^([A-Za-z][\w-]*)=(.+)$/.exec(text) ?? []
    if (name === undefined || Object.hasOwn(folders, name))
      throw new ConfigError(
        `Expected NAME=FOLDER with different names for \`${flag}\`, got ${JSON.stringify(text)}. Names have letters, digits, _ and -.`,
      )
    folders[name] = folder
  }
  return folders
}

/** Waits for Ctrl-C, or another signal that stops a server. */
export const untilStopped = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })

/** The argument of commands that show runs. */
export const runsArgument = {
  name: 'runs',
  description: 'run folders, or folders that contain runs (default: runs)',
  variadic: true,
  optional: true,
} as const

/** The folders that were given, or the default. */
export const rootsOf = (runs: readonly string[] | undefined): readonly string[] => (runs?.length ? runs : ['runs'])
