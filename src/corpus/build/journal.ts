// The finished work of a build that may be killed: one folder per task, named by the hash of everything its result
// depends on. The entry is written last and atomically, and lists every file with its hash, so a folder with a valid
// entry is complete and any other folder can be deleted.

import { mkdir, readdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { sha256, sha256File, writeFileAtomic } from '../../core/index.ts'
import type { WrittenFile } from '../part-file.ts'

/** A file of an entry; `path` is relative to the entry's base folder. */
export interface EntryFile extends WrittenFile {
  path: string
}

export interface JournalEntry<Result> {
  key: string
  files: EntryFile[]
  result: Result
}

/** A task of a worker, with the folder and the key of its entry. */
export interface Task<Type extends string> {
  type: Type
  key: string
  folder: string
}

const entryName = 'entry.json'

/** A short key of a JSON value, independent of the order of object keys. */
export const keyOf = (facts: unknown): string => sha256(canonicalJson(facts)).slice(0, 24)

/** JSON with sorted keys and without undefined fields. */
export const canonicalJson = (value: unknown): string =>
  JSON.stringify(value, (_, inner: unknown) => {
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) return inner
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
  })

/** The entry in `folder`, or undefined; with `base`, every file must exist below it with its size and hash. */
export const readEntry = async <Result>(
  folder: string,
  key: string,
  base: string | undefined,
): Promise<JournalEntry<Result> | undefined> => {
  const entry = await parseEntry<Result>(folder)
  if (entry === undefined || entry.key !== key) return undefined
  if (base !== undefined) {
    for (const file of entry.files) if (!(await isIntact(join(base, file.path), file))) return undefined
  }
  return entry
}

/** Whether a file has the given size and SHA-256. */
export const isIntact = async (
  path: string,
  { bytes, sha256: hash }: { bytes: number; sha256: string },
): Promise<boolean> => {
  const size = await stat(path).then(
    (info) => info.size,
    () => -1,
  )
  return size === bytes && (await sha256File(path)) === hash
}

const parseEntry = async <Result>(folder: string): Promise<JournalEntry<Result> | undefined> => {
  let text: string
  try {
    text = await readFile(join(folder, entryName), 'utf8')
  } catch {
    return undefined
  }
  try {
    const { checksum, entry } = JSON.parse(text) as { checksum: string; entry: JournalEntry<Result> }
    return checksum === sha256(JSON.stringify(entry)) ? entry : undefined
  } catch {
    return undefined
  }
}

/** Creates `folder`, or empties it before its task runs again. */
export const clearFolder = async (folder: string): Promise<void> => {
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true })
}

/** Marks the task of `folder` as finished. */
export const writeEntry = async <Result>(folder: string, entry: JournalEntry<Result>): Promise<void> => {
  await writeFileAtomic(join(folder, entryName), JSON.stringify({ checksum: sha256(JSON.stringify(entry)), entry }))
}

/** Removes the folders in `parent` whose names are not in `wanted`. */
export const pruneFolders = async (parent: string, wanted: ReadonlySet<string>): Promise<void> => {
  const names = await readdir(parent).catch(() => [])
  for (const name of names) if (!wanted.has(name)) await rm(join(parent, name), { recursive: true, force: true })
}
