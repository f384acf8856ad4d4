// Test files that run in processes which they share, one after another. A process of its own takes a file 0.4 to 0.8 CPU seconds before its
// first test, more than most of these take for their tests. Files that change what others in their process would see stay alone.
import { readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { listFiles } from './setup/hashes.mjs'
import { importsOf } from './tested-modules.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const sources = join(root, 'src')

/** Of tests/. */
const suites =
  'adapters alignment checkpoint features inference language-modelling objectives tasks tokenizers tracking training'
const folders = ['src', ...suites.split(' ').map((name) => `tests/${name}`)]

/** Suites with all threads: libtorch takes their number once in a process. */
const allThreads = /^src\/(?:tensor|nn|optim|generation)\//

/** What a file changes for others in its process. */
const changes = [
  // Modules and clocks that it replaces, and definitions that it registers.
  /\bvi\.|\bspyOn\b|\bregister[A-Z]\w*\(/,
  // The process and its environment.
  /\bprocess\.(?:chdir|on|once)\b|\bprocess\.env(?:\.\w+|\[[^\]]*\])\s*(?:\?\?)?=(?!=)|\b(?:delete|assign\()\s*process\.env/,
  // Settings; one thread is what all have here.
  /\bset(?:Threads\((?!1\))|Deterministic\(|MemoryLimit\(|FlagsFromString\()|\b(?:enableStrictDevice|useByDefault)\b/,
  // Memory that it measures, and messages that a process shows once.
  /\bprocess\.memoryUsage\b|\bmemoryStatistics\b|\bemitWarning\b/,
]

/** The file and its helpers, which are all that it imports beside modules under test. */
export const withHelpers = (path, found = new Set()) => {
  if (found.has(path)) return found
  found.add(path)
  for (const imported of importsOf(path)) {
    const isModule = imported.startsWith(`${sources}/`) && !imported.includes('/fixtures/')
    if (!isModule) withHelpers(imported, found)
  }
  return found
}

const changesNothing = (path) => {
  const text = readFileSync(path, 'utf8')
  return changes.every((change) => !change.test(text))
}

/** Paths of the files from the root. */
export const sharedFiles = () =>
  listFiles(
    folders.map((folder) => join(root, folder)),
    (path) => path.endsWith('.test.ts'),
  )
    .filter((path) => !allThreads.test(relative(root, path)))
    .filter((path) => [...withHelpers(path)].every(changesNothing))
    .map((path) => relative(root, path))
