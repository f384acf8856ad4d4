// The running package: its folder, its version, where set-up leaves the addon, and what builds the addon when it is
// missing. scripts/setup/places.mjs has the same rules for folders, because set-up runs before anything is compiled.
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { SetupError } from './errors.ts'
import { userCache } from './machine.ts'

/** The folder with the package's package.json: the clone, or node_modules/tunesmith. */
export const packageRoot = (): string => {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'package.json'))) {
    const parent = dirname(folder)
    if (parent === folder)
      throw new SetupError('Expected package.json above the program, found none. Reinstall tunesmith.')
    folder = parent
  }
  return folder
}

/** The package's version, from package.json. */
export const packageVersion = (root = packageRoot()): string =>
  (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }).version

/** Folders where set-up may have left the addon: the user's own build, then the package's. */
export const buildFolders = (root = packageRoot()): string[] => {
  const cache = process.env.TUNESMITH_CACHE || userCache()
  const place = createHash('sha256').update(root).digest('hex').slice(0, 12)
  return [join(cache, 'builds', `${packageVersion(root)}-${place}`), join(root, 'build')]
}

let installer: (() => void) | undefined

/** Sets what builds a missing addon at its first use: the command line runs set-up, a library reports an error. */
export const setAddonInstaller = (install: (() => void) | undefined): void => {
  installer = install
}

/** Builds the addon with the installer of this process, if it has one. Returns whether it has. */
export const installAddon = (): boolean => {
  installer?.()
  return installer !== undefined
}
