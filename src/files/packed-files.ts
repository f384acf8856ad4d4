// The files of a folder, a tar archive (also compressed) or a zip archive, sorted by name.
import { stat } from 'node:fs/promises'
import { relative } from 'node:path'
import { byCodeUnits, DataError } from '../core/index.ts'
import { expandFiles } from './paths.ts'
import { tarFiles } from './tar-files.ts'
import { wholeFile } from './whole-file.ts'
import { zipFiles, zipSignature } from './zip-files.ts'

/** A file of a folder or archive, in memory. */
export interface PackedFile {
  /** Path inside the folder or archive, with slashes. */
  name: string
  /** Path for error messages. */
  file: string
  data: Buffer
}

/**
 * The files with one of the extensions in a folder or archive, sorted by name.
 * @throws DataError for a path without such files, or a damaged archive
 */
export const packedFiles = async (
  path: string,
  extensions: readonly string[],
  signal?: AbortSignal,
): Promise<PackedFile[]> => {
  const wanted = ({ name }: { name: string }) => extensions.some((ending) => name.toLowerCase().endsWith(ending))
  const found: PackedFile[] = []
  const info = await stat(path).catch(() => undefined)
  if (info?.isDirectory()) {
    for (const file of await expandFiles(path, [...extensions])) {
      signal?.throwIfAborted()
      found.push({ name: relative(path, file).replaceAll('\\', '/'), file, data: await wholeFile(file, { signal }) })
    }
  } else {
    const archive = await wholeFile(path, { signal })
    const files = archive.length > 3 && archive.readUInt32LE(0) === zipSignature ? zipFiles : tarFiles
    for (const { name, data } of files(archive, path))
      if (wanted({ name })) found.push({ name, file: `${path}:${name}`, data })
  }
  if (found.length === 0)
    throw new DataError(`Expected files ending in ${extensions.join(' or ')}, got none. Check the path.`, path)
  return found.sort((a, b) => byCodeUnits(a.name, b.name))
}
