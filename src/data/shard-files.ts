// Checks the files of token shards: their size on every opening, their SHA-256 once per change of a file.
import { closeSync, fstatSync, openSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { DataError, sha256File, writeFileAtomic } from '../core/index.ts'
import type { ShardFile } from './shard-manifest.ts'

// Records the verified state of each file, so that reopening large shards does not hash them again.
const VERIFIED = '.verified.json'

/** Opens a file of `bytes` bytes for reading; returns its descriptor. Throws DataError for another size. */
export const openChecked = (path: string, bytes: number): number => {
  let file: number
  try {
    file = openSync(path, 'r')
  } catch (error) {
    throw new DataError(`Expected a token shard, got ${(error as NodeJS.ErrnoException).code}. Encode again.`, path)
  }
  const { size } = fstatSync(file)
  if (size === bytes) return file
  closeSync(file)
  throw new DataError(`Expected ${bytes} bytes, got ${size}. The file is truncated or was changed: encode again.`, path)
}

/** Compares a file's size and SHA-256 with the manifest. Throws DataError. */
export const verifyFile = async (folder: string, file: ShardFile): Promise<void> => {
  const path = join(folder, file.path)
  closeSync(openChecked(path, file.bytes))
  const sha256 = await sha256File(path)
  if (sha256 !== file.sha256)
    throw new DataError(
      `Expected the SHA-256 ${file.sha256}, got ${sha256}. The file was changed after encoding: encode again.`,
      path,
    )
}

/** Verifies files, except those that have not changed since they were last verified. Throws DataError. */
export const verifyFiles = async (folder: string, files: readonly ShardFile[]): Promise<void> => {
  const verified = await readVerified(folder)
  let changed = false
  for (const file of files) {
    closeSync(openChecked(join(folder, file.path), file.bytes))
    const state = await stateOf(folder, file)
    if (verified[file.path] === state) continue
    await verifyFile(folder, file)
    verified[file.path] = state
    changed = true
  }
  // A folder without write permission is verified again at the next opening.
  if (changed) await writeFileAtomic(join(folder, VERIFIED), `${JSON.stringify(verified, null, 2)}\n`).catch(() => {})
}

/** Changes whenever the file's content or the manifest's hash may have changed. */
const stateOf = async (folder: string, { path, sha256 }: ShardFile): Promise<string> => {
  const { size, mtimeMs, ctimeMs } = await stat(join(folder, path))
  return [sha256, size, mtimeMs, ctimeMs].join(' ')
}

const readVerified = async (folder: string): Promise<Record<string, unknown>> => {
  try {
    const value: unknown = JSON.parse(await readFile(join(folder, VERIFIED), 'utf8'))
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {}
  } catch {
    return {}
  }
}
