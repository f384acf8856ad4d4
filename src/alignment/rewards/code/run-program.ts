// Runs a JavaScript program that a model wrote, with tests, in a child process with limits.
//
// What keeps the program away from this machine, from the inside out:
// 1. An empty context (node:vm): no `process`, no `import`, no timers, no `fetch`; only the language itself.
// 2. Code from strings is off outside that context, built-in objects there are frozen, and the functions of sockets, name
//    look-ups and signals are replaced, so that a program that leaves its context finds nothing to call.
// 3. Node's permissions: no file can be read or written, no process, worker or addon can be started. They do not cover the
//    databases of Node, so these are off.
// 4. No environment variables, no inherited file descriptors but three pipes, and `/` as the working folder.
// 5. Limits of the system (`ulimit`, where there is a shell): memory, processor time, no file of any size. On Linux the
//    process is also in a network namespace without any interface, where unprivileged ones are allowed.
// 6. A time limit, after which the process is killed, and a limit on what it may write.
// A result counts only on a line that begins with a random word which the program does not see, so printing "passed" or ending
// the process with status 0 is a failure. Values of tests with an expected value are compared outside the process.
//
// What this is not: a virtual machine. node:vm is no security boundary by itself, and a fault in V8 that lets JavaScript run
// machine code would have the rights of the user, less what 4 and 5 take away; on systems other than Linux, 5 is weaker and
// network access is stopped by 1 and 2 alone. A program can also pass tests of the form of assertions without solving the
// task, for example by recognising them. Run untrusted models in a container as well.
import { spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { platform } from 'node:process'
import { fileURLToPath } from 'node:url'
import { invariant } from '../../../core/index.ts'

export interface ProgramLimits {
  /** Time of the program and all its tests together. */
  seconds: number
  /** MiB that the program may use beside what Node itself needs. */
  memory: number
}

/** The outcome of a test: whether it ran without an error and gave something else than false, and its value as JSON. */
interface TestOutcome {
  passed: boolean
  /** undefined where the value has no JSON, such as a function. */
  json: string | undefined
}

/** Why a program ended before all its tests had an outcome. */
type ProgramEnd = 'finished' | 'time' | 'output' | 'ended-early'

export interface ProgramResult {
  /** In the order of the tests; one that has no outcome did not pass. */
  outcomes: TestOutcome[]
  end: ProgramEnd
}

/** Bytes that a program may write, its results included. */
const maxOutput = 1 << 20
/** MiB that Node has reserved once it has started, where the system does not say. */
const usualStartMemory = 54
/** MiB that Node may reserve after its start beside the memory of a program: young objects, compilers, stacks of threads. */
const spareMemory = 74

let harness: string | undefined
const harnessSource = (): string => {
  harness ??= readFileSync(fileURLToPath(new URL('./harness.mjs', import.meta.url)), 'utf8')
  return harness
}

const flags = process.allowedNodeEnvironmentFlags
/**
 * The flags that take files, processes, workers and addons away. `--permission` has a longer name in older versions. Node's permissions
 * do not cover databases of `node:sqlite`, so a Node that has this module is started without it.
 */
const permissionFlags = (): string[] => [
  flags.has('--permission') ? '--permission' : '--experimental-permission',
  ...(flags.has('--no-experimental-sqlite') ? ['--no-experimental-sqlite'] : []),
]

let namespace: string[] | undefined
/** The command that puts a program into a network namespace of its own; empty where that is not allowed. */
const networkNamespace = (): string[] => {
  if (namespace === undefined) {
    const program = ['/usr/bin/unshare', '/bin/unshare'].find((path) => platform === 'linux' && existsSync(path))
    const command = program === undefined ? [] : [program, '--user', '--net', '--']
    const works =
      program !== undefined && spawnSync(command[0], [...command.slice(1), process.execPath, '-v']).status === 0
    namespace = works ? command : []
  }
  return namespace
}

/** Windows starts no program without its own folder. */
const { SystemRoot } = process.env
const emptyEnvironment = platform === 'win32' ? { SystemRoot } : {}

const nodeFlags = ['--no-warnings', '--disallow-code-generation-from-strings', '--frozen-intrinsics']

let startKibibytes: number | undefined
/**
 * KiB that the running Node has reserved once it has started, counted as the system's limit on data counts them.
 *
 * It is measured, because it varies by version. V8 of Node 24 and newer makes its whole range of machine code writable at the
 * start: 512 MiB of addresses, without which Node does not start. A program cannot keep data there, and the limit on the heap
 * includes machine code, so a program may take as much memory with every version.
 */
const measuredStartKibibytes = (): number => {
  if (startKibibytes === undefined) {
    const script = `import { readFileSync } from 'node:fs'; process.stdout.write(readFileSync('/proc/self/status', 'utf8'))`
    const args = [...nodeFlags, '--input-type=module', '--eval', script]
    const { stdout } = spawnSync(process.execPath, args, { cwd: '/', env: emptyEnvironment, encoding: 'utf8' })
    const reserved = /^VmData:\s+(\d+) kB$/m.exec(stdout)
    startKibibytes = reserved === null ? usualStartMemory * 1024 : Number(reserved[1])
  }
  return startKibibytes
}

/** The command that runs a source in a child process with all limits but those of time and output. */
export const sandboxCommand = (
  { seconds, memory }: ProgramLimits,
  source: string,
): [program: string, ...args: string[]] => {
  const node: [string, ...string[]] = [
    process.execPath,
    ...permissionFlags(),
    ...nodeFlags,
    `--max-old-space-size=${memory}`,
    '--input-type=module',
    '--eval',
    source,
  ]
  if (!existsSync('/bin/sh')) return node
  const kibibytes = measuredStartKibibytes() + (spareMemory + memory) * 1024
  // Each limit by itself: a system may not know one of them.
  const limits = ['-c 0', '-f 0', `-d ${kibibytes}`, `-t ${Math.ceil(seconds) + 1}`]
  const script = `${limits.map((limit) => `ulimit ${limit} 2>/dev/null;`).join(' ')} exec "$@"`
  return ['/bin/sh', '-c', script, 'sh', ...networkNamespace(), ...node]
}

/** The outcomes in what the process wrote: the first one of each test counts. */
const readOutcomes = (output: string, nonce: string, tests: number): (TestOutcome | undefined)[] => {
  const outcomes: (TestOutcome | undefined)[] = Array.from({ length: tests }, () => undefined)
  for (const line of output.split('\n').slice(0, -1)) {
    if (!line.startsWith(`${nonce} `)) continue
    const [, index, state, ...rest] = line.split(' ')
    const test = Number(index)
    if (!(test in outcomes) || outcomes[test] !== undefined) continue
    const json = rest.join(' ')
    outcomes[test] = { passed: state === 'done', json: json === '' || state === 'failed' ? undefined : json }
  }
  return outcomes
}

/**
 * Runs a program and its tests, each an expression or statements of JavaScript that may await.
 * @throws an Error where no process can be started, or where it ends before it runs the program; the signal's reason when it is aborted
 */
export const runProgram = (
  program: string,
  tests: readonly string[],
  limits: ProgramLimits,
  signal?: AbortSignal,
): Promise<ProgramResult> =>
  new Promise((resolve, reject) => {
    signal?.throwIfAborted()
    const [command, ...args] = sandboxCommand(limits, harnessSource())
    const nonce = randomBytes(16).toString('hex')
    const child = spawn(command, args, {
      cwd: '/',
      env: emptyEnvironment,
      stdio: ['pipe', 'pipe', 'ignore'],
      windowsHide: true,
    })
    const { stdin, stdout } = child
    invariant(stdin !== null && stdout !== null, 'a child process has the pipes that it was given.')
    let end: ProgramEnd = 'finished'
    const pieces: Buffer[] = []
    let size = 0
    const stop = (why: ProgramEnd) => {
      end = why
      child.kill('SIGKILL')
    }
    const timer = setTimeout(() => stop('time'), limits.seconds * 1000)
    const onAbort = () => child.kill('SIGKILL')
    signal?.addEventListener('abort', onAbort, { once: true })
    stdout.on('data', (piece: Buffer) => {
      size += piece.length
      if (size <= maxOutput) pieces.push(piece)
      else stop('output')
    })
    // A process that ends before it has read its job.
    stdin.on('error', () => {})
    const finish = (settle: () => void) => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
      settle()
    }
    child.on('error', (error) => finish(() => reject(error)))
    child.on('close', (status, killedBy) =>
      finish(() => {
        if (signal?.aborted) return reject(signal.reason)
        const output = Buffer.concat(pieces).toString('utf8')
        // Not the program's fault, so no failure of its tests: a sandbox that cannot start would score every program 0.
        if (end === 'finished' && !output.startsWith(`${nonce} ready\n`))
          return reject(new Error(`it ended with ${killedBy ?? `exit status ${status}`} before it ran the program`))
        const found = readOutcomes(output, nonce, tests.length)
        const early = end === 'finished' && found.includes(undefined)
        resolve({
          outcomes: found.map((outcome) => outcome ?? { passed: false, json: undefined }),
          end: early ? 'ended-early' : end,
        })
      }),
    )
    stdin.end(JSON.stringify({ nonce, program, tests }))
  })
