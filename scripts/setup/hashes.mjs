// Digests of files and source trees. Set-up compares them to know that nothing has changed.
import { createHash } from 'node:crypto'
import { createReadStream, existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join, relative } from 'node:path'

export const digest = (...parts) => {
  const hash = createHash('sha256')
  // The lengths make ('ab', 'c') differ from ('a', 'bc').
  for (const part of parts) hash.update(`${part.length}:`).update(part)
  return hash.digest('hex')
}

export const digestFile = async (path) => {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk)
  return hash.digest('hex')
}

/** The files below the given files and folders, as sorted paths. Paths that do not exist are left out. */
export const listFiles = (paths, accept = () => true) => {
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
export const digestTree = (root, paths, accept) => {
  const parts = []
  for (const file of listFiles(paths, accept)) parts.push(relative(root, file), readFileSync(file))
  return digest(...parts)
}
