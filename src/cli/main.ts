// The process: arguments in, exit code out, signals to the running command. The rest is in program.ts.
import { readFileSync } from 'node:fs'
import { commands } from './commands.ts'
import { Interruption, runProgram } from './program.ts'

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string
}
const controller = new AbortController()

function interrupt(exitCode: number): void {
  if (controller.signal.aborted) process.exit(exitCode)
  process.stderr.write('\nStopping in order; once more to stop at once.\n')
  controller.abort(new Interruption(exitCode))
}
process.on('SIGINT', () => interrupt(130))
process.on('SIGTERM', () => interrupt(143))
// `tunesmith … | head` closes our stdout early, which is no fault.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})

const exitCode = await runProgram(process.argv.slice(2), {
  commands,
  version,
  signal: controller.signal,
  terminal: {
    stdout: (text) => process.stdout.write(text),
    stderr: (text) => process.stderr.write(text),
  },
})
// Leave only when the last output is written: a pipe takes it later.
process.stdout.write('', () => process.stderr.write('', () => process.exit(exitCode)))
