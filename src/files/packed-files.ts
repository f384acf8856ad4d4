// The files below a path that a user names: a folder, a tar archive (also compressed), or a zip archive. In the order of their names; knows
// nothing of what they hold.
import { stat } from 'node:fs/promises'
import { relative } from 'node:path'
import { DataError } from '../core/index.ts'
import { expandFiles } from './paths.ts'
import { tarFiles } from './tar-files.ts'
import { wholeFile } from './text-lines.ts'
import { zipFiles } from './zip-files.ts'

export interface PackedFile {
  /** Inside of the folder or archive, with slashes. */
  name: string
  /** Where it is, for errors. */
  file: string
  data: Buffer
}

const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)

/** @throws DataError for a path without such files, or an archive that is damaged */
export const packedFiles = async (
  path: string,
  extensions: readonly string[],
  signal?: AbortSignal,
): Promise<PackedFile[]> => {
  const wanted = ({ name }: { name: string }) => extensions.some((ending) => name.toLowerCase().endsWith(ending))
  const found: PackedFile[] = []
  const there = await stat(path).catch(() => undefined)
  if (there?.isDirectory()) {
    for (const file of await expandFiles(path, [...extensions])) {
      signal?.throwIfAborted()
      found.push({ name: relative(path, file).replaceAll('\\', '/'), file, data: await wholeFile(file, signal) })
    }
  } else {
    const archive = await wholeFile(path, signal)
    const files = archive.length > 3 && archive.readUInt32LE(0) === 0x04034b50 ? zipFiles : tarFiles
    for (const { name, data } of files(archive, path))
      if (wanted({ name })) found.push({ name, file: `${path}:${name}`, data })
  }
  if (found.length === 0)
    throw new DataError(`Expected files ending in ${extensions.join(' or ')}, got none. Check the path.`, path)
  return found.sort(byName)
}
