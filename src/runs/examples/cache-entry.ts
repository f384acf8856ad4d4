// Folders of a cache on disk: each is named by a hash of what it was made from, the program included, written whole or not at all, checked before
// it is used, and made again when it is damaged. Does not know what is in it.
import { mkdir, readdir, readFile, rm, stat, statfs, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  ConfigError,
  diskFault,
  lockFolder,
  parseJson,
  removeUnfinished,
  sha256,
  sha256File,
  userCache,
  writeFolderAtomic,
} from '../../core/index.ts'
import { expandFiles } from '../../files/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'

export const exampleCache = (): string => userCache('examples')

const manifestFile = 'manifest.json'
const version = 1
/** Largest size of the cache; half of the space on the disk where that is less. */
const mostBytes = 64 * 2 ** 30

interface Manifest<Meta> {
  version: number
  meta: Meta
  files: { [name: string]: { bytes: number; sha256: string } }
  /** SHA-256 of the other fields. */
  sha256: string
}

const sealed = <Meta>(content: Omit<Manifest<Meta>, 'sha256'>): string => sha256(JSON.stringify(content))

/** The manifest of a folder whose files are all as they were written, or what is wrong with them. */
const verified = async <Meta>(folder: string): Promise<{ meta: Meta } | { problem: string }> => {
  try {
    const path = join(folder, manifestFile)
    const { sha256: seal, ...content } = parseJson(await readFile(path, 'utf8'), { path }) as Manifest<Meta>
    if (content.version !== version) return { problem: 'of another version' }
    if (sealed(content) !== seal) return { problem: `damaged (${manifestFile})` }
    for (const [name, { bytes, sha256: hash }] of Object.entries(content.files)) {
      const found = await stat(join(folder, name)).catch(() => undefined)
      if (found?.size !== bytes) return { problem: `damaged (${name} has ${found?.size ?? 0} of ${bytes} bytes)` }
      if ((await sha256File(join(folder, name))) !== hash) return { problem: `damaged (checksum of ${name})` }
    }
    return { meta: content.meta }
  } catch {
    return { problem: `damaged (${manifestFile})` }
  }
}

const sizeOf = async (folder: string): Promise<number> => {
  const names = await readdir(folder).catch(() => [])
  const sizes = await Promise.all(names.map((name) => stat(join(folder, name)).catch(() => undefined)))
  return sizes.reduce((sum, found) => sum + (found?.size ?? 0), 0)
}

/** Removes the entries that were used longest ago until the others fit. */
const makeRoom = async (root: string, keep: string): Promise<void> => {
  await removeUnfinished(root)
  const entries = await Promise.all(
    (await readdir(root))
      .filter((name) => !name.startsWith('.'))
      .map(async (name) => ({
        name,
        bytes: await sizeOf(join(root, name)),
        used: (await stat(join(root, name, manifestFile)).catch(() => undefined))?.mtimeMs ?? 0,
      })),
  )
  let total = entries.reduce((sum, { bytes }) => sum + bytes, 0)
  const { bavail, bsize } = await statfs(root)
  const most = Math.min(mostBytes, (total + bavail * bsize) / 2)
  for (const { name, bytes } of entries.sort((a, b) => a.used - b.used)) {
    if (total <= most) return
    if (name === keep) continue
    await rm(join(root, name), { recursive: true, force: true })
    total -= bytes
  }
}

const filesOf = async (folder: string): Promise<Manifest<unknown>['files']> => {
  const files: Manifest<unknown>['files'] = {}
  for (const name of (await readdir(folder)).filter((one) => one !== '.lock').sort()) {
    const path = join(folder, name)
    files[name] = { bytes: (await stat(path)).size, sha256: await sha256File(path) }
  }
  return files
}

const elsewhere = 'set XDG_CACHE_HOME to a folder on another disk, or set `exampleCache` off'

/** @throws ConfigError for a folder that cannot be made, such as on a disk that is read-only */
const makeRoot = async (root: string): Promise<void> => {
  try {
    await mkdir(root, { recursive: true })
  } catch (error) {
    const { code = (error as Error).message } = error as NodeJS.ErrnoException
    throw new ConfigError(`Cannot make the folder ${root} for the cache of encoded examples (${code}): ${elsewhere}.`)
  }
}

/**
 * The folder with a name, checked byte by byte, or made by `build` where it is missing, damaged or unfinished. `problem` says why an earlier one
 * could not be used.
 * @param build fills an empty folder, and returns what is stored in the manifest
 * @throws ConfigError when the disk is full or cannot be written
 */
export const cacheEntry = async <Meta>(
  root: string,
  name: string,
  build: (folder: string) => Promise<Meta>,
): Promise<{ folder: string; meta: Meta; built: boolean; problem?: string | undefined }> => {
  const folder = join(root, name)
  await makeRoot(root)
  let problem = (await removeUnfinished(root, name)) ? 'unfinished' : undefined
  if ((await stat(folder).catch(() => undefined)) !== undefined) {
    const found = await verified<Meta>(folder)
    if ('meta' in found) {
      const now = new Date()
      await utimes(join(folder, manifestFile), now, now)
      return { folder, meta: found.meta, built: false }
    }
    problem = found.problem
    await rm(folder, { recursive: true, force: true })
  }
  let meta: Meta | undefined
  try {
    await writeFolderAtomic(folder, async (temporary) => {
      const unlock = await lockFolder(temporary, (owner) => `Process ${owner} writes ${temporary}.`)
      meta = await build(temporary)
      const content = { version, meta, files: await filesOf(temporary) }
      await writeFile(join(temporary, manifestFile), JSON.stringify({ ...content, sha256: sealed(content) }))
      await unlock()
    })
  } catch (error) {
    const fault = diskFault(error)
    if (fault === undefined) throw error
    throw new ConfigError(`${fault} while writing the cache of encoded examples in ${root}. Free space, ${elsewhere}.`)
  }
  await makeRoom(root, name)
  return { folder, meta: meta as Meta, built: true, problem }
}

/** SHA-256 of every file below a path, by its path. */
export const contentOf = async (path: string): Promise<{ [file: string]: string }> => {
  const hashes: { [file: string]: string } = {}
  for (const file of await expandFiles(path, [''])) hashes[file] = await sha256File(file)
  return hashes
}

/**
 * Folders of the code that reads and encodes records. In a built package they hold what is exported and started, which
 * imports the rest by names that are hashes of it.
 */
const codeFolders = ['../../files/', '../../tokenizers/', '../../tasks/', './']
let code: Promise<string> | undefined

/** A hash of the code that reads and encodes, so that another version of it does not use what this one made. */
export const codeHash = (): Promise<string> => {
  code ??= (async () => {
    const hashes: string[] = []
    for (const folder of codeFolders) {
      const files = await expandFiles(fileURLToPath(new URL(folder, import.meta.url)), ['.ts', '.js'])
      for (const file of files) if (!/\.d\.ts$|\.test\.\w+$/.test(file)) hashes.push(sha256(await readFile(file)))
    }
    return sha256(hashes.join())
  })()
  return code
}

/** A hash of all of a tokenizer that changes ids. */
export const tokenizerHash = (tokenizer: Tokenizer): string => {
  const { special, maxLength, truncationSide, chatTemplate, config } = tokenizer
  return sha256(JSON.stringify([tokenizer.toJson(), special, maxLength, truncationSide, chatTemplate, config]))
}

export const keyOf = (...parts: readonly unknown[]): string => sha256(JSON.stringify(parts)).slice(0, 32)
