// Names of entries in archives: only paths inside the archive are accepted.
import { DataError } from '../core/index.ts'

/** The name of an archive's entry as it is. @throws DataError for an absolute path or one that leaves the archive */
export const checkedEntryName = (name: string, archive: string): string => {
  const isAbsolute = /^(?:[\\/]|[A-Za-z]:[\\/])/.test(name)
  if (isAbsolute || name.split(/[\\/]/).includes('..'))
    throw new DataError(
      `Expected entries with paths inside the archive, got \`${name}\`. Pack the files again with relative paths.`,
      archive,
    )
  return name
}
