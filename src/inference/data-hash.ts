// What tells apart the data of an evaluation on several machines.
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { sha256, sha256File } from '../core/index.ts'

/** Files up to this many bytes count by their content, larger ones by their size. */
const wholeBytes = 64 << 20

const fileFacts = async (path: string): Promise<string> => {
  const found = await stat(path)
  if (!found.isFile()) return 'folder'
  return found.size <= wholeBytes ? sha256File(path) : `${found.size} bytes`
}

/** A short hash of files and folders; of what is neither, such as the name of a data set, the name counts. */
export const dataHash = async (paths: readonly string[]): Promise<string> => {
  const facts: string[] = []
  for (const path of paths) {
    const found = await stat(path).catch(() => undefined)
    if (found?.isFile()) facts.push(await fileFacts(path))
    else if (found?.isDirectory()) {
      for (const name of (await readdir(path, { recursive: true })).sort())
        facts.push(`${name} ${await fileFacts(join(path, name))}`)
    } else facts.push(path)
  }
  return sha256(facts.join('\n')).slice(0, 12)
}
