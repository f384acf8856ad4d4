// The process around the program: signals, the output streams and the exit code. Independent of the commands it runs.
import { readlinkSync } from 'node:fs'
import { constants } from 'node:os'
import { basename } from 'node:path'
import { systemFault } from '../core/index.ts'
import type { Catalogue } from './command-help.ts'
import { type CommandRegistry, Interruption, runProgram } from './program.ts'

export interface ProcessOptions {
  commands: CommandRegistry
  version: string
  catalogue?: Catalogue
  installEngine?: () => void
}

/**
 * The signals that stop a program: a closed terminal sends SIGHUP, and a scheduler SIGUSR1 before the time of a job is over.
 */
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR1'] as const

/** The file that an output stream goes to, where the system tells (Linux). */
const fileOfStream = (descriptor: number): string | undefined => {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`)
  } catch {
    return undefined
  }
}

/**
 * Whether the process was started by `nohup`, to outlive its terminal. `nohup` makes a process ignore SIGHUP, but Node resets what is
 * ignored at its start, so two traces are left: bash and zsh name the command in `_`, and `nohup` writes the output of a terminal to
 * nohup.out.
 */
const startedByNohup = (): boolean =>
  basename(process.env._ ?? '') === 'nohup' ||
  [1, 2].some((descriptor) => basename(fileOfStream(descriptor) ?? '') === 'nohup.out')

/** Runs one command line as this process: signals stop it, and its exit code is that of the process. */
export const runAsProcess = async (argv: readonly string[], options: ProcessOptions): Promise<void> => {
  const controller = new AbortController()
  const stdout = new Output(process.stdout)
  const stderr = new Output(process.stderr)
  const outlivesTerminal = startedByNohup()
  let stopping = 'Stopping after the current step'
  for (const signal of signals) {
    const exitCode = 128 + constants.signals[signal]
    process.on(signal, () => {
      if (signal === 'SIGHUP' && outlivesTerminal) return
      if (controller.signal.aborted) process.exit(exitCode)
      stderr.write(`\n${stopping}. Press Ctrl-C again to quit now.\n`)
      controller.abort(new Interruption(exitCode))
    })
  }
  // Node ends a process whose promises nothing can settle, without a word. Another listener has its own message.
  process.on('beforeExit', () => {
    if (process.listenerCount('beforeExit') > 1) return
    stderr.write('error: The command ended before it was done: it waits for a promise that never settles.\n')
    process.exit(1)
  })
  const terminal = {
    stdout: (text: string) => {
      // The reader of a stream of answers has left: stop making more of them.
      if (stdout.closed && !controller.signal.aborted) controller.abort(new Interruption(0))
      stdout.write(text)
    },
    stderr: (text: string) => stderr.write(text),
  }
  const exitCode = await runProgram(argv, {
    ...options,
    signal: controller.signal,
    terminal,
    onCommand: (command) => {
      stopping = command.stopping ?? stopping
    },
  })
  // Leave only when the last output is written: a pipe takes it later.
  await stdout.flushed()
  await stderr.flushed()
  if (stdout.fault === undefined) process.exit(exitCode)
  stderr.write(`error: Cannot write the output: ${stdout.fault}.\n`)
  await stderr.flushed()
  process.exit(exitCode === 0 ? 1 : exitCode)
}

/** A stream to which nothing more is written once its reader is gone: `… | head`, or a terminal that was closed. */
class Output {
  readonly #stream: NodeJS.WriteStream
  closed = false
  /** Why the output is incomplete; undefined also where the reader chose to read no more. */
  fault: string | undefined

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream
    stream.on('error', (error: NodeJS.ErrnoException) => this.#fail(error))
  }

  write(text: string): void {
    if (this.closed) return
    try {
      this.#stream.write(text)
    } catch (error) {
      // Files are written synchronously, and some kinds of them throw.
      this.#fail(error as NodeJS.ErrnoException)
    }
  }

  flushed(): Promise<void> {
    if (this.closed) return Promise.resolve()
    return new Promise((resolve) => {
      this.#stream.once('error', () => resolve())
      this.#stream.write('', () => resolve())
    })
  }

  #fail(error: NodeJS.ErrnoException): void {
    this.closed = true
    // EIO: the terminal of a background process was closed.
    if (error.code !== 'EPIPE' && error.code !== 'EIO') this.fault ??= systemFault(error)?.words ?? error.message
  }
}
