// `npm run bench -- NAME [--smoke] [options]`: runs one benchmark, or lists them. Each is a file that exports `run`; `--help` prints its
// `help`, or the comment that it begins with.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ConfigError } from '../src/core/index.ts'

export interface BenchOptions {
  /** Two iterations on tiny inputs: shows that the benchmark works, measures nothing. */
  smoke: boolean
  /** What follows the name on the command line, without --smoke. */
  rest: string[]
}

const folder = dirname(fileURLToPath(import.meta.url))
const names = readdirSync(folder)
  .filter((file) => file.endsWith('.ts') && file !== 'main.ts' && file !== 'side-by-side.ts')
  .map((file) => file.slice(0, -3))

const [name, ...rest] = process.argv.slice(2)
if (name === undefined || !names.includes(name)) {
  console.error(
    `Expected a benchmark (${names.join(', ')}), got ${name ?? 'none'}. Example: npm run bench -- engine --smoke`,
  )
  process.exit(name === undefined ? 0 : 1)
}
/** The comment that a file begins with, without its marks. */
const firstComment = (file: string): string => {
  const lines = readFileSync(file, 'utf8').split('\n')
  return lines
    .slice(
      0,
      lines.findIndex((line) => !line.startsWith('//')),
    )
    .map((line) => line.slice(3))
    .join('\n')
}

const file = join(folder, `${name}.ts`)
const { run, help } = (await import(file)) as { run: (options: BenchOptions) => Promise<void>; help?: string }
if (rest.includes('--help')) {
  console.log(help ?? firstComment(file))
  process.exit()
}
try {
  await run({ smoke: rest.includes('--smoke'), rest: rest.filter((word) => word !== '--smoke') })
} catch (error) {
  // Where the settings or the machine are wrong, the line says it all.
  if (!(error instanceof ConfigError)) throw error
  console.error(error.message)
  process.exitCode = 1
}
