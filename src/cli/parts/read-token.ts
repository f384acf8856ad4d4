// The token of a server, from a file: on the command line every user of the machine could read it.
import { readFile } from 'node:fs/promises'
import { ConfigError } from '../../core/index.ts'

/**
 * The token in a file, without the line break at its end; undefined without a file.
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
