// How tests start the program as a process of its own.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { loadScript } from './load-script.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const { sourceDigest } = await loadScript<{ sourceDigest(root: string): string }>('typescript.mjs')

const compiled = (): string => {
  const stamp = join(root, 'dist', '.source-digest')
  return existsSync(stamp) ? readFileSync(stamp, 'utf8') : ''
}

/**
 * Words after `node` that start the program: the compiled one, as users have it, which starts in half the time, or the sources
 * where they are newer than dist/.
 */
export const program: readonly string[] =
  compiled() === sourceDigest(root)
    ? [join(root, 'bin', 'tunesmith.js')]
    : ['--import', import.meta.resolve('tsx'), join(root, 'src', 'cli', 'main.ts')]
