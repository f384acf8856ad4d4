// Digests of files and source trees: what set-up compares to know that nothing has to be done.
import { createHash } from 'node:crypto'
import { createReadStream, existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join, relative } from 'node:path'

export function digest(...parts) {
  const hash = createHash('sha256')
  // Lengths keep ('ab', 'c') and ('a', 'bc') apart.
  for (const part of parts) hash.update(`${part.length}:`).update(part)
  return hash.digest('hex')
}

export async function digestFile(path) {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk)
  return hash.digest('hex')
}

/** The files below the given files and folders, as sorted paths; what is not there is left out. */
export function listFiles(paths, accept = () => true) {
  const found = []
  const visit = (path) => {
    if (!existsSync(path)) return
    if (statSync(path).isDirectory()) for (const name of readdirSync(path)) visit(join(path, name))
    else if (accept(path)) found.push(path)
  }
  for (const path of paths) visit(path)
  return found.sort()
}

/** One digest of names and contents. */
export function digestTree(root, paths, accept) {
  const parts = []
  for (const file of listFiles(paths, accept)) parts.push(relative(root, file), readFileSync(file))
  return digest(...parts)
}
