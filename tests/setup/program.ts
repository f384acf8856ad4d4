// How tests start the program as a process of its own.
import { appendFileSync, cpSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { loadScript } from './load-script.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const compiled = await loadScript<{ isCompiled(root: string): boolean }>('typescript.mjs')
const isCompiled = compiled.isCompiled(root)

const programIn = (folder: string): readonly string[] =>
  isCompiled
    ? [join(folder, 'bin', 'tunesmith.js')]
    : ['--import', import.meta.resolve('tsx'), join(folder, 'src', 'cli', 'main.ts')]

/** The sources on the device of the tests, which only they can be told of. */
const onTestDevice = (): readonly string[] => {
  const modules = [import.meta.resolve('tsx'), import.meta.resolve('../../scripts/test-device.mjs')]
  return [...modules.flatMap((module) => ['--import', module]), join(root, 'src', 'cli', 'main.ts')]
}

/**
 * Words after `node` that start the program: the compiled one, as users have it, which starts in half the time, or the sources
 * where they are newer than dist/ or tests are on another device than the CPU.
 */
export const program: readonly string[] = process.env.TUNESMITH_TEST_DEVICE ? onTestDevice() : programIn(root)

/** Words after `node` that start a copy of the program in an empty folder, whose code differs by a comment. */
export const changedProgram = (folder: string): readonly string[] => {
  const code = isCompiled ? 'dist' : 'src'
  for (const name of [code, 'bin', 'package.json']) cpSync(join(root, name), join(folder, name), { recursive: true })
  for (const name of ['node_modules', 'build']) symlinkSync(join(root, name), join(folder, name))
  appendFileSync(join(folder, code, 'cli', isCompiled ? 'catalogue.js' : 'catalogue.ts'), '\n// changed\n')
  return programIn(folder)
}
