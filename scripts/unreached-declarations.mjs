// Writes dist/.npmignore, with which npm leaves out of the package the declarations that none of its exports reaches.
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import { listFiles } from './setup/hashes.mjs'

/** Paths of the declarations that the exports' declarations import, at any depth, and of those themselves. */
const reachedDeclarations = async (root) => {
  const { default: typescript } = await import('typescript')
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const reached = new Set()
  const waiting = Object.values(exports).flatMap(({ types }) => (types === undefined ? [] : [join(root, types)]))
  for (const file of waiting) {
    if (reached.has(file)) continue
    reached.add(file)
    for (const { fileName } of typescript.preProcessFile(readFileSync(file, 'utf8')).importedFiles)
      if (fileName.startsWith('.')) waiting.push(join(dirname(file), fileName.replace(/\.[jt]s$/, '.d.ts')))
  }
  return reached
}

export const ignoreUnreachedDeclarations = async (root) => {
  const dist = join(root, 'dist')
  const reached = await reachedDeclarations(root)
  const unreached = listFiles([dist], (path) => path.endsWith('.d.ts') && !reached.has(path))
  const lines = unreached.map((path) => `/${relative(dist, path).replaceAll(sep, '/')}\n`)
  writeFileSync(join(dist, '.npmignore'), lines.join(''))
}
