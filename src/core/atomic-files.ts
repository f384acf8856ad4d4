// Files and folders that are either there whole or not there at all, whatever happens to the process in between.
import { randomBytes } from 'node:crypto'
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { ConfigError } from './errors.ts'
import { folderOwner, lockName } from './folder-lock.ts'

/**
 * Writes a file through a temporary one in the same folder, with fsync before and after the rename.
 * @param data all of it, or pieces that are written as they come
 */
export const writeFileAtomic = async (
  path: string,
  data: string | Uint8Array | AsyncIterable<string | Uint8Array>,
): Promise<void> => {
  const target = resolve(path)
  await makeFolder(dirname(target))
  const temporary = temporaryBeside(target)
  try {
    const file = await open(temporary, 'wx')
    try {
      if (typeof data === 'string' || data instanceof Uint8Array) await file.writeFile(data)
      else for await (const piece of data) await file.writeFile(piece)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, target)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
  await syncFolder(dirname(target))
}

/**
 * For work that ends with a file: whether it can be written, known before the work begins.
 * @throws ConfigError for a file that cannot be made there
 */
export const expectWritable = async (path: string, setting: string): Promise<void> => {
  const target = resolve(path)
  await makeFolder(dirname(target), setting)
  const temporary = temporaryBeside(target)
  try {
    await (await open(temporary, 'wx')).close()
  } catch (error) {
    const { code = (error as Error).message } = error as NodeJS.ErrnoException
    throw new ConfigError(`Cannot write \`${setting}\` ${path} (${code}): choose another place.`)
  }
  await rm(temporary, { force: true })
}

/**
 * Lets `fill` write into a temporary folder beside `path`, fsyncs all of it, then puts it in the place of `path`. When
 * `fill` throws, an existing folder stays as it was.
 */
export const writeFolderAtomic = async (
  path: string,
  fill: (temporaryPath: string) => Promise<void>,
): Promise<void> => {
  const target = resolve(path)
  await makeFolder(dirname(target))
  const temporary = temporaryBeside(target)
  try {
    await mkdir(temporary)
    await fill(temporary)
    await syncTree(temporary)
    await replaceFolder(temporary, target)
  } catch (error) {
    await rm(temporary, { recursive: true, force: true })
    throw error
  }
  await syncFolder(dirname(target))
}

const replaceFolder = async (temporary: string, target: string): Promise<void> => {
  if (!(await exists(target))) return rename(temporary, target)
  // A full folder cannot be renamed over, so the old one steps aside first and comes back if the second rename fails.
  // Its name tells `removeUnfinished` to put it back after a kill between the two renames.
  const old = temporaryBeside(target, '.old')
  await rename(target, old)
  try {
    await rename(temporary, target)
  } catch (error) {
    await rename(old, target)
    throw error
  }
  // The new folder is in place: what is left of the old one is removed by the next `removeUnfinished`.
  await rm(old, { recursive: true, force: true }).catch(() => {})
}

/** What a temporary folder or file was made for. */
export interface TemporaryName {
  /** Name of what was written. */
  target: string
  /** Whether it is the complete old folder, moved aside while a new one takes its place. */
  isOld: boolean
}

/** Reads the name of what `writeFileAtomic` and `writeFolderAtomic` leave when they are killed; undefined for other names. */
export const temporaryName = (name: string): TemporaryName | undefined => {
  const [, target, old] = /^\.(.+)\.[0-9a-f]{12}(\.old)?\.tmp$/.exec(name) ?? []
  return target === undefined ? undefined : { target, isOld: old !== undefined }
}

/** Younger folders may belong to a process that writes at this moment. */
const oldEnoughMs = 60_000

/**
 * Removes temporary folders that killed processes left half-written: those that a dead process has locked, and old ones
 * without a lock. A complete folder that was moved aside comes back if its place is still empty.
 * @param name beginning of the names of the folders that were written (default: all)
 * @returns whether there were half-written ones
 */
export const removeUnfinished = async (root: string, name = ''): Promise<boolean> => {
  let found = false
  for (const entry of await readdir(root)) {
    const path = join(root, entry)
    if (!(entry.startsWith(`.${name}`) && entry.endsWith('.tmp')) || (await folderOwner(path)) !== undefined) continue
    const written = temporaryName(entry)
    const isOld = written?.isOld === true
    const info = await stat(path).catch(() => undefined)
    // Only ctime knows when a folder was renamed.
    const changed = (isOld ? info?.ctimeMs : info?.mtimeMs) ?? Date.now()
    const isLocked = !isOld && (await exists(join(path, lockName)))
    if (!isLocked && Date.now() - changed < oldEnoughMs) continue
    if (isOld && !(await exists(join(root, written.target)))) await rename(path, join(root, written.target))
    else await rm(path, { recursive: true, force: true })
    found ||= !isOld
  }
  return found
}

const temporaryBeside = (target: string, kind: '' | '.old' = ''): string =>
  join(dirname(target), `.${basename(target).slice(0, 200)}.${randomBytes(6).toString('hex')}${kind}.tmp`)

const syncTree = async (folder: string): Promise<void> => {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) await syncTree(path)
    else if (entry.isFile()) await syncPath(path)
  }
  await syncFolder(folder)
}

const syncPath = async (path: string): Promise<void> => {
  const file = await open(path, 'r')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

const syncFolder = async (folder: string): Promise<void> => {
  try {
    await syncPath(folder)
  } catch (error) {
    // Some file systems cannot fsync a folder; the rename is then as durable as they make it.
    const code = (error as NodeJS.ErrnoException).code
    if (code !== 'EINVAL' && code !== 'EPERM' && code !== 'EISDIR' && code !== 'ENOTSUP') throw error
  }
}

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

/** False too where it cannot be looked at. */
export const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )
