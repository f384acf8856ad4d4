// `npm run bench -- NAME [--smoke] [options]`: runs one benchmark, or lists them. Each is a file that exports `run`.
import { readdirSync } from 'node:fs'
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
const { run } = (await import(join(folder, `${name}.ts`))) as { run: (options: BenchOptions) => Promise<void> }
try {
  await run({ smoke: rest.includes('--smoke'), rest: rest.filter((word) => word !== '--smoke') })
} catch (error) {
  // Where the settings or the machine are wrong, the line says it all.
  if (!(error instanceof ConfigError)) throw error
  console.error(error.message)
  process.exitCode = 1
}
