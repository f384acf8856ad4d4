// Test files that run in processes which they share, one after another. A process of its own takes a file 0.5 to 0.8 CPU seconds before its
// first test, more than most of these take for their tests. Files that change what others in their process would see stay alone.
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { listFiles } from './setup/hashes.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))

const folders = [
  'src',
  ...['adapters', 'alignment', 'checkpoint', 'features', 'inference', 'language-modelling', 'objectives'],
  ...['tasks', 'tokenizers', 'tracking', 'training'],
].map((name) => (name === 'src' ? name : `tests/${name}`))
/** Suites with all threads: libtorch takes their number once in a process. */
const allThreads = /^src\/(?:tensor|nn|optim|generation)\//

/** Replaced modules and clocks, registered definitions, settings of the process, its memory, and messages that it shows once. */
const changes =
  /\bvi\.|\bregister[A-Z]\w*\(|\bprocess\.(?:chdir|on|once|memoryUsage)\b|\bprocess\.env(?:\.\w+|\[[^\]]*\])\s*(?:\?\?)?=(?!=)|\b(?:delete|assign\()\s*process\.env|\bset(?:Threads\((?!1\))|Deterministic\(|MemoryLimit\(|FlagsFromString\()|\b(?:enableStrictDevice|useByDefault|memoryStatistics|emitWarning|spyOn)\b/

const importedFile = /(?:\bfrom\s*|\bimport\s*\(?\s*)(['"])(\.{1,2}\/[^'"]+\.(?:ts|mjs))\1/g

/** The file and its helpers, which are all that it imports beside modules under test. */
const withHelpers = (path, found = new Set()) => {
  if (found.has(path)) return found
  found.add(path)
  for (const [, , name] of readFileSync(path, 'utf8').matchAll(importedFile)) {
    const imported = resolve(dirname(path), name)
    const isModule = imported.startsWith(join(root, 'src/')) && !imported.includes('/fixtures/')
    if (!isModule && existsSync(imported)) withHelpers(imported, found)
  }
  return found
}

/** Paths of the files from the root. */
export const sharedFiles = () =>
  listFiles(
    folders.map((folder) => join(root, folder)),
    (path) => path.endsWith('.test.ts'),
  )
    .filter((path) => !allThreads.test(relative(root, path)))
    .filter((path) => [...withHelpers(path)].every((file) => !changes.test(readFileSync(file, 'utf8'))))
    .map((path) => relative(root, path))
