// Paths of a recipe made absolute, so that a run means the same wherever it is resumed or compared.
import { isAbsolute, resolve } from 'node:path'
import { exists } from '../../core/index.ts'

/** A path, pattern or list file (`@files.txt`) of data as an absolute one; a URL stays as it is. */
export const absoluteData = (path: string): string => {
  if (/^[a-z][a-z\d+.-]+:\/\//i.test(path)) return path
  return path.startsWith('@') ? `@${resolve(path.slice(1))}` : resolve(path)
}

/** A model that is a file or folder as an absolute path; a Hub id stays as it is. */
export const absoluteModel = async <Path extends string | undefined>(path: Path): Promise<Path> =>
  path === undefined || isAbsolute(path) || !(await exists(path)) ? path : (resolve(path) as Path)
