// `NAME=FOLDER` values of a flag that is repeated.
import { ConfigError } from '../../core/index.ts'

/** Folders by name. @throws ConfigError for another form, or a name that is given twice */
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
