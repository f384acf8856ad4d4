// The built pages, where set-up has put them.
import { readdir, readFile } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { exists, packageRoot, SetupError, setupCall } from '../../core/index.ts'

/** Folder of the built pages, which has this file. @throws SetupError if set-up has not built them */
export const builtPages = async (file: string): Promise<string> => {
  const folder = join(packageRoot(), 'dist', 'web')
  if (await exists(join(folder, file))) return folder
  throw new SetupError(`The pages of the studio are not built: run ${setupCall()}.`)
}

/** A file of the built pages. */
export interface PageFile {
  type: string
  bytes: Uint8Array<ArrayBuffer>
}

const types: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
}

/** The files of the pages by their paths, `/` for the first. In memory, no page waits for the disk behind a thousand runs that are read. */
export const readPages = async (): Promise<Map<string, PageFile>> => {
  const folder = await builtPages('index.html')
  const names = (await readdir(folder)).filter((name) => types[extname(name)] !== undefined)
  const read = async (name: string): Promise<[string, PageFile]> => [
    name === 'index.html' ? '/' : `/${name}`,
    { type: types[extname(name)], bytes: new Uint8Array(await readFile(join(folder, name))) },
  ]
  return new Map(await Promise.all(names.map(read)))
}
