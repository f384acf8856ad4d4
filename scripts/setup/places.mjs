// Folders that set-up reads and writes: the package's build/, the user's cache, and what replaces them when they are
// read-only. src/core/installation.ts looks for the record of the build in the same places.
import { createHash } from 'node:crypto'
import { accessSync, constants, existsSync, mkdirSync, readFileSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join, sep } from 'node:path'
import { SetupFault } from './report.mjs'

/** True when npm installed the package into a project (or globally), false in a clone of the repository. */
export const isDependency = (root) => root.split(sep).includes('node_modules')

/** The command that runs set-up where the user is: a clone has an npm script, a project has npx. */
export const setupCommand = (root) => {
  // The program knows how it was called and passes that on; started alone, the script is called through npm.
  if (isDependency(root)) return `\`${process.env.TUNESMITH_CALL ?? 'npx tunesmith'} setup\``
  return process.cwd().startsWith(root) ? '`npm run setup`' : `\`npm run setup\` in \`${root}\``
}

/** Folders that may hold copies of libtorch, best first. */
export const cacheFolders = (root) => [userCache(), join(root, 'build')]

/** The folder that new copies of libtorch and build tools are written to. */
export const writableCache = (root) => {
  if (process.env.TUNESMITH_CACHE) {
    if (canWrite(process.env.TUNESMITH_CACHE)) return process.env.TUNESMITH_CACHE
    throw new SetupFault(
      `Expected a writable folder in TUNESMITH_CACHE, got \`${process.env.TUNESMITH_CACHE}\`. Name another folder.`,
    )
  }
  const beside = join(root, 'build')
  // An image is built by root and run by another user, who cannot read root's home: there the copy goes beside the package.
  const closedHome = isDependency(root) && process.getuid?.() === 0 && !othersCanEnter(homedir())
  if (closedHome && canWrite(beside)) return beside
  for (const folder of cacheFolders(root)) if (canWrite(folder)) return folder
  throw new SetupFault(
    `Expected a writable folder for libtorch: \`${userCache()}\` and \`${beside}\` are read-only. ` +
      'Set TUNESMITH_CACHE to a folder that you can write to.',
  )
}

/** The folder of the addon and of native.json: the package's build/, or one of the user's own where that is read-only. */
export const buildFolder = (root) => {
  const own = join(root, 'build')
  return canWrite(own) ? own : userBuildFolder(root, writableCache(root))
}

/** The user's own build of the package at `root`, named by its version and place. */
export const userBuildFolder = (root, cache = userCache()) => {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const place = createHash('sha256').update(root).digest('hex').slice(0, 12)
  return join(cache, 'builds', `${version}-${place}`)
}

const userCache = () =>
  process.env.TUNESMITH_CACHE || join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'tunesmith')

/** Makes the folder if it can, and tells whether files can be written into it. */
const canWrite = (folder) => {
  try {
    mkdirSync(folder, { recursive: true })
    accessSync(folder, constants.W_OK | constants.X_OK)
    return true
  } catch {
    return false
  }
}

const othersCanEnter = (folder) => {
  for (let place = folder; place !== dirname(place); place = dirname(place)) {
    if (existsSync(place) && (statSync(place).mode & 0o001) === 0) return false
  }
  return true
}
