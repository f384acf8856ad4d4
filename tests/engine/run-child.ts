// Starts a TypeScript file in a Node process of its own and reads the one JSON document it prints.
import { spawn } from 'node:child_process'
import { bundledChild } from '../setup/bundled-child.ts'

export interface ChildResult<Result> {
  /** What the child printed, parsed; undefined when it printed no JSON. */
  result: Result | undefined
  exitCode: number | null
  /** Set when the process was killed: SIGSEGV and the like are crashes. */
  signal: NodeJS.Signals | null
  errors: string
}

/** Runs `name` (a file beside this one) with `args`; kills it after `timeoutMs`. */
export const runChild = async <Result>(
  name: string,
  args: readonly string[],
  timeoutMs = 600_000,
): Promise<ChildResult<Result>> => {
  const file = await bundledChild(new URL(name, import.meta.url))
  const child = spawn(process.execPath, [file, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
    // Waiting threads sleep: spinning ones would starve each other on a busy machine.
    env: { ...process.env, OMP_WAIT_POLICY: 'passive' },
  })
  let output = ''
  let errors = ''
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk
  })
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk
  })
  const [exitCode, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((done, fail) => {
    child.on('error', fail)
    child.on('close', (code, by) => done([code, by]))
  })
  let result: Result | undefined
  try {
    result = JSON.parse(output.trim().split('\n').at(-1) ?? '') as Result
  } catch {
    errors += output
  }
  return { result, exitCode, signal, errors }
}
