// The entry of the program.
import { readFileSync } from 'node:fs'
import { commands } from './commands/index.ts'
import { runAsProcess } from './process.ts'

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string
}
await runAsProcess(process.argv.slice(2), commands, version)
