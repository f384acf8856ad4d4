// For vitest: threads and processes that src starts begin with the compiled file, as users have it, where dist is as new as the sources. A
// source goes through a loader module by module, which takes three to four CPU seconds each time, the compiled file a half.
import { existsSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import process from 'node:process'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { startedFile } from './setup/bundle.mjs'
import { isCompiled } from './setup/typescript.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const sources = join(root, 'src')
// The device of tests is set in the sources alone.
const used = process.env.TUNESMITH_TEST_DEVICE === undefined && isCompiled(root)

/** The code of the file at `path`, with the addresses of files that it starts in dist. */
export const startCompiled = (code, path) => {
  if (!used || !path.startsWith(sources) || path.endsWith('.test.ts')) return code
  return code.replaceAll(startedFile, (whole, _quote, name) => {
    const compiled = join(root, 'dist', `${relative(sources, resolve(dirname(path), name))}.js`)
    return existsSync(compiled) ? `new URL(${JSON.stringify(pathToFileURL(compiled).href)})` : whole
  })
}

export const compiledWorkers = {
  name: 'compiled-workers',
  enforce: 'pre',
  transform: (code, id) => startCompiled(code, id),
}
