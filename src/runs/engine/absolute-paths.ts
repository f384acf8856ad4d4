// Paths of a recipe made absolute, so that a run means the same wherever it is resumed or compared.
import { isAbsolute, resolve } from 'node:path'
import { isHubData, pinData } from '../../checkpoint/index.ts'
import { exists } from '../../core/index.ts'
import type { RunListener } from './run-listener.ts'

/** A path, pattern or list file (`@files.txt`) of data as an absolute one; a URL or a data set of the Hub stays as it is. */
export const absoluteData = (path: string): string => {
  if (isHubData(path) || /^[a-z][a-z\d+.-]+:\/\//i.test(path)) return path
  return path.startsWith('@') ? `@${resolve(path.slice(1))}` : resolve(path)
}

/** A model that is a file or folder as an absolute path; a Hub id stays as it is. */
export const absoluteModel = async <Path extends string | undefined>(path: Path): Promise<Path> =>
  path === undefined || isAbsolute(path) || !(await exists(path)) ? path : (resolve(path) as Path)

/** Data as it is kept in a recipe: an absolute path, or a data set of the Hub with its commit, whose files are downloaded. */
export const settledData = (path: string, { onNote }: Pick<RunListener, 'onNote'> = {}): Promise<string> =>
  pinData(absoluteData(path), { onProgress: (file) => onNote?.(`Downloading ${file} …`) })
