// Signals and the end of the process: what main.ts needs of Node, apart from the commands it runs.
import { type CommandRegistry, Interruption, runProgram } from './program.ts'

/** Runs one command line as this process: signals stop it, and its exit code is that of the process. */
export async function runAsProcess(argv: readonly string[], commands: CommandRegistry, version: string): Promise<void> {
  const controller = new AbortController()
  const interrupt = (exitCode: number) => {
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
  const terminal = {
    stdout: (text: string) => void process.stdout.write(text),
    stderr: (text: string) => void process.stderr.write(text),
  }
  const exitCode = await runProgram(argv, { commands, version, signal: controller.signal, terminal })
  // Leave only when the last output is written: a pipe takes it later.
  process.stdout.write('', () => process.stderr.write('', () => process.exit(exitCode)))
}
