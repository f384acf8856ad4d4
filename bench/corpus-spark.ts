// A corpus of a dump, WARC files, books and JSON lines (paragraphs of books in another order) on Spark and by the embedded engine: time, CPU
// time and memory of both, and whether the documents are the same. A worker is killed while it filters.
// Options: --sizes 100,1000 (MB of JSON lines) --master local-cluster[2,1,2048] --conf NAME=VALUE --no-kill
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { gunzipSync } from 'node:zlib'
import { readManifest } from '../src/corpus/index.ts'
import { program } from '../tests/setup/program.ts'
import { writePerturbedBooks } from './corpus/perturbed-books.ts'
import type { BenchOptions } from './main.ts'
import { dataFolder, printTable } from './side-by-side.ts'

interface Measured {
  seconds: number
  cpuSeconds: number
  /** Largest resident memory of one process, and of all together. */
  largestMb: number
  allMb: number
  killed: boolean
}

interface Running {
  pid: number
  parent: number
  rssMb: number
  cpuSeconds: number
  words: string
}

const running = (): Running[] =>
  spawnSync('ps', ['-eo', 'pid=,ppid=,rss=,cputimes=,args='], { encoding: 'utf8', maxBuffer: 2 ** 26 })
    .stdout.split('\n')
    .flatMap((line) => {
      const [, pid, parent, rss, cpu, words] = /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+(.*)$/.exec(line) ?? []
      return pid === undefined ? [] : [{ pid: +pid, parent: +parent, rssMb: +rss / 1024, cpuSeconds: +cpu, words }]
    })

/** A process and all that it has started. */
const treeOf = (root: number): Running[] => {
  const all = running()
  const own = new Set([root])
  // Parents may be listed after their children.
  for (let before = 0; before !== own.size; ) {
    before = own.size
    for (const { pid, parent } of all) if (own.has(parent)) own.add(pid)
  }
  return all.filter(({ pid }) => own.has(pid))
}

/** CPU seconds of `times` of a shell: user and system time of all that it has waited for. */
const cpuOf = (text: string): number => {
  const line = text.trim().split('\n').at(-1) ?? ''
  return [...line.matchAll(/(\d+)m([\d.]+)s/g)].reduce((sum, [, minutes, rest]) => sum + 60 * +minutes + +rest, 0)
}

/** Builds a corpus in a process of its own. @param kill whether a worker that filters is killed once */
const build = async (words: readonly string[], kill: boolean): Promise<Measured> => {
  const command = [process.execPath, ...program, 'corpus', 'build', ...words]
  const shell = ['-c', '"$@"; code=$?; times >&3; exit "$code"', 'bash', ...command]
  const started = performance.now()
  const child = spawn('bash', shell, { stdio: ['ignore', 'ignore', 'pipe', 'pipe'] })
  let [times, errors] = ['', '']
  child.stdio[3]?.on('data', (data) => (times += data))
  child.stderr?.on('data', (data) => (errors = (errors + data).slice(-4000)))
  let code: number | null | undefined
  child.once('close', (own) => (code = own))
  let [largestMb, allMb, killed] = [0, 0, false]
  // A shell does not count processes that nobody waited for, such as executors that end after their master.
  const seen = new Map<number, number>()
  for (; code === undefined; await setTimeout(200)) {
    const tree = treeOf(child.pid as number)
    for (const { pid, cpuSeconds } of tree) seen.set(pid, cpuSeconds)
    largestMb = Math.max(largestMb, ...tree.map(({ rssMb }) => rssMb))
    allMb = Math.max(
      allMb,
      tree.reduce((sum, { rssMb }) => sum + rssMb, 0),
    )
    const worker = kill && !killed ? tree.find(({ words: own }) => own.endsWith('worker.mjs documents')) : undefined
    if (worker !== undefined) killed = process.kill(worker.pid, 'SIGKILL')
  }
  if (code !== 0) throw new Error(`The build ended with ${code}: ${errors}`)
  const sampled = [...seen.values()].reduce((sum, one) => sum + one, 0)
  const cpuSeconds = Math.max(cpuOf(times), sampled)
  return { seconds: (performance.now() - started) / 1000, cpuSeconds, largestMb, allMb, killed }
}

/** Expects the same lines in all parts and drop lists, counts and report. @returns number of documents */
const expectSame = async (one: string, other: string): Promise<number> => {
  const [first, second] = [await readManifest(one), await readManifest(other)]
  if (JSON.stringify(first.stages) !== JSON.stringify(second.stages)) throw new Error('The counts of stages differ.')
  for (const kind of ['parts', 'dropped'] as const) {
    if (first[kind].length !== second[kind].length) throw new Error(`The numbers of ${kind} differ.`)
    for (const [i, file] of first[kind].entries()) {
      const [a, b] = [join(one, file.path), join(other, second[kind][i].path)].map((path) =>
        gunzipSync(readFileSync(path)),
      )
      if (!a.equals(b)) throw new Error(`The lines of ${file.path} differ.`)
    }
  }
  const [a, b] = [join(one, first.report.path), join(other, second.report.path)].map((path) => readFileSync(path))
  if (!a.equals(b)) throw new Error('The reports differ.')
  return first.documents
}

export const run = async ({ smoke, rest }: BenchOptions): Promise<void> => {
  const { values } = parseArgs({
    args: rest,
    options: {
      sizes: { type: 'string', default: smoke ? '1' : '100,1000' },
      master: { type: 'string', default: smoke ? 'local[2,4]' : 'local-cluster[2,1,2048]' },
      conf: { type: 'string', multiple: true, default: [] },
      'no-kill': { type: 'boolean', default: false },
    },
  })
  const data = dataFolder()
  const folder = mkdtempSync(join(tmpdir(), 'tunesmith-corpus-spark-'))
  const dump = readdirSync(join(data, 'wikipedia-dump')).find((name) => name.startsWith('enwiki')) ?? ''
  const sources = [
    `wikipedia:${join(data, 'wikipedia-dump', dump)}`,
    `warc:${join(data, 'warc')}`,
    `books:${join(data, 'books')}`,
  ]
  const head = [
    'input MB',
    'engine',
    'documents',
    'seconds',
    'CPU s',
    'MB/CPU s',
    'largest process MB',
    'all MB',
    'worker killed',
  ]
  const table: (string | number)[][] = [head]
  try {
    for (const megabytes of values.sizes.split(',').map(Number)) {
      const [input, ...outs] = ['input', 'duckdb', 'spark'].map((name) => join(folder, `${name}-${megabytes}`))
      await writePerturbedBooks(input, megabytes)
      const words = ['--source', ...sources, `jsonl:${input}`]
      const conf = ['spark.ui.enabled=false', ...values.conf].flatMap((one) => ['--spark-conf', one])
      const engines = { duckdb: [], spark: ['--engine', 'spark', '--master', values.master, ...conf] }
      const found = Object.entries(engines).map(([name, more], i) => ({
        name,
        words: ['--out', outs[i], ...words, ...more],
      }))
      const measured: [string, Measured][] = []
      for (const { name, words: own } of found)
        measured.push([name, await build(own, name === 'spark' && !values['no-kill'])])
      const documents = await expectSame(outs[0], outs[1])
      for (const [name, { seconds, cpuSeconds, largestMb, allMb, killed }] of measured) {
        const rate = (megabytes / cpuSeconds).toFixed(2)
        table.push([
          megabytes,
          name,
          documents,
          seconds.toFixed(0),
          cpuSeconds.toFixed(0),
          rate,
          largestMb.toFixed(0),
          allMb.toFixed(0),
          killed ? 'yes' : 'no',
        ])
      }
      console.info(`${megabytes} MB: the same ${documents} documents, drop lists, counts and report`)
      for (const path of [input, ...outs]) rmSync(path, { recursive: true })
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  printTable(table)
}
