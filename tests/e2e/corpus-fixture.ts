// Small inputs with known contents, the command line as a child process, and snapshots of folders, for the corpus
// tests.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { gzipSync } from 'node:zlib'
import { createRandom, type Random } from '../../src/core/index.ts'
import { findSparkSubmit } from '../../src/corpus/spark/submit.ts'
import { program } from '../setup/program.ts'

const repository = new URL('../../', import.meta.url).pathname

export interface CliResult {
  code: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
}

export interface CliOptions {
  /** Called with the child process right after its start. */
  onSpawn?: (child: ChildProcess) => void
  /** Called at the first line on stderr, which is when the work proper begins. */
  onStart?: (child: ChildProcess) => void
  /** Runs before the command in the same shell, such as `ulimit -f 100`. */
  shellPrefix?: string
  input?: string | Buffer
}

/** Runs `tunesmith`. */
export const runCli = (
  args: readonly string[],
  { onSpawn, onStart, shellPrefix, input }: CliOptions = {},
): Promise<CliResult> => {
  const command = [process.execPath, ...program, ...args]
  const child =
    shellPrefix === undefined
      ? spawn(command[0]!, command.slice(1), { cwd: repository })
      : spawn('bash', ['-c', `${shellPrefix}; exec "$@"`, 'bash', ...command], { cwd: repository })
  onSpawn?.(child)
  return new Promise((resolve, reject) => {
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (data: Buffer) => {
      stdout += data.toString()
    })
    child.stderr.on('data', (data: Buffer) => {
      if (stderr === '') onStart?.(child)
      stderr += data.toString()
    })
    child.on('error', reject)
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }))
    child.stdin.on('error', () => {}) // a killed child does not read to the end
    child.stdin.end(input)
  })
}

/** Why there is no Spark on this machine; undefined where there is one. */
export const missingSpark = (): string | undefined => {
  if (spawnSync('java', ['-version']).error !== undefined) return 'no java'
  try {
    findSparkSubmit()
    return undefined
  } catch {
    return 'no Spark: set SPARK_HOME or `pip install pyspark`'
  }
}

/** Every file under `folder` with the hash of its bytes. */
export const snapshot = (folder: string): Record<string, string> => {
  const files: Record<string, string> = {}
  const visit = (path: string) => {
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      const inner = join(path, entry.name)
      if (entry.isDirectory()) visit(inner)
      else files[relative(folder, inner)] = createHash('sha256').update(readFileSync(inner)).digest('hex')
    }
  }
  visit(folder)
  return files
}

/** A folder that `dispose` removes. */
export const temporaryFolder = (name: string): { path: string; dispose: () => void } => {
  const path = mkdtempSync(join(tmpdir(), `tunesmith-${name}-`))
  return { path, dispose: () => rmSync(path, { recursive: true, force: true }) }
}

const words =
  'the of and a to in is was that for on as with by he at from his it an were are which this also be had or has their one first its after new been who not but they two have her she all other when there time during into year most world over city some where between later three state such then made used about many university only would more under war name known people family house area work life north south river water early small large number history music public school national government town church land series book film team game player season member group form part line place'.split(
    ' ',
  )

/** Sentences of common English words: unlike one another, and passed by the default filters of prose. */
const inventText = (random: Random, sentences: number): string => {
  const lines: string[] = []
  for (let sentence = 0; sentence < sentences; sentence++) {
    const length = 6 + random.integer(12)
    const chosen = Array.from({ length }, () => words[random.integer(words.length)]!)
    const text = chosen.join(' ')
    lines.push(`${text[0]!.toUpperCase()}${text.slice(1)}.`)
  }
  return lines.join(' ')
}

export interface FixtureCounts {
  documents: number
  exactDuplicates: number
  nearDuplicates: number
  short: number
  broken: number
}

/**
 * JSON lines of invented text in `files` files, some gzipped, the last one large; with planted exact and near
 * duplicates across files, documents that are too short, and lines that are not JSON.
 */
export const writeInventedInputs = (folder: string, seed: number, files = 8, documentsPerFile = 30): FixtureCounts => {
  mkdirSync(folder, { recursive: true })
  const random = createRandom(seed)
  const earlier: string[] = []
  const counts: FixtureCounts = { documents: 0, exactDuplicates: 0, nearDuplicates: 0, short: 0, broken: 0 }
  for (let file = 0; file < files; file++) {
    const lines: string[] = []
    const total = file === files - 1 ? documentsPerFile * 8 : documentsPerFile
    for (let index = 0; index < total; index++) {
      const draw = random.integer(20)
      let text = inventText(random, 8 + random.integer(30))
      if (draw === 0 && earlier.length > 0) {
        text = earlier[random.integer(earlier.length)]!
        counts.exactDuplicates += 1
      } else if (draw === 1 && earlier.length > 0) {
        text = `${earlier[random.integer(earlier.length)]!} One sentence more was added here.`
        counts.nearDuplicates += 1
      } else if (draw === 2) {
        text = 'Too short.'
        counts.short += 1
      } else if (draw === 3) {
        lines.push('{"text": "this line is not whole')
        counts.broken += 1
        continue
      } else earlier.push(text)
      counts.documents += 1
      lines.push(JSON.stringify({ id: `${file}-${index}`, text, url: `https://example.org/${file}/${index}` }))
    }
    const data = Buffer.from(`${lines.join('\n')}\n`)
    const name = `input-${String(file).padStart(2, '0')}.jsonl`
    if (file % 3 === 1) writeFileSync(join(folder, `${name}.gz`), gzipSync(data))
    else writeFileSync(join(folder, name), data)
  }
  return counts
}

/** Sizes that cut even a small input into many pieces of every kind. */
export const smallPieces = [
  ['--group-megabytes', '0.12'],
  ['--large-file-megabytes', '0.08'],
  ['--segment-megabytes', '0.12'],
  ['--part-megabytes', '0.2'],
].flat()
