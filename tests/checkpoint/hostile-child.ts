// Opens damaged files, one after the other: `hostile-child.ts SUITE FROM TO JOURNAL`. Each must give an error of ours
// or load right. The mutant at work stands in JOURNAL, for when the process dies; a thread kills it when one takes too
// long or too much memory.
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { createRandom, type Random, TunesmithError } from '../../src/core/index.ts'
import { setMemoryLimit, setThreads } from '../../src/tensor/index.ts'
import { type Suite, suites } from './hostile-suites.ts'

export interface HostileReport {
  mutants: number
  loaded: number
  /** Refusals by class. */
  refused: Record<string, number>
  /** `SEED: what went wrong`. */
  faults: string[]
}

const [name, from, to, journalPath] = [
  process.argv[2],
  Number(process.argv[3]),
  Number(process.argv[4]),
  process.argv[5],
]
const suite: Suite = suites[name]
const journal = openSync(journalPath, 'w')
const folder = mkdtempSync(join(tmpdir(), 'tunesmith-hostile-'))
const maxMessage = 3000
const maxGrowthBytes = 400 * 2 ** 20

setThreads(1)
setMemoryLimit(256 * 2 ** 20)

// Counts processor time, not the clock: the machine may be busy.
const shared = new Int32Array(new SharedArrayBuffer(4))
const watchdog = new Worker(
  `const { workerData } = require('node:worker_threads')
const { writeSync } = require('node:fs')
const { shared, journal } = workerData
let seen = -1, cpu = 0, wall = 0, rss = 0
const used = () => { const { user, system } = process.cpuUsage(); return (user + system) / 1e3 }
const stop = (why) => { writeSync(journal, ' ' + why, 100); process.kill(process.pid, 'SIGKILL') }
setInterval(() => {
  const now = Atomics.load(shared, 0)
  if (now !== seen) { seen = now; cpu = used(); wall = Date.now(); rss = process.memoryUsage.rss(); return }
  if (used() - cpu > 2000) stop('took more than 2 s of processor time')
  if (Date.now() - wall > 60000) stop('did not end in 60 s')
  if (process.memoryUsage.rss() - rss > ${maxGrowthBytes}) stop('took more than ${maxGrowthBytes} bytes')
}, 20)`,
  { eval: true, workerData: { shared, journal } },
)

const report: HostileReport = { mutants: 0, loaded: 0, refused: {}, faults: [] }

const attempt = async (seed: string, random: Random): Promise<void> => {
  const path = join(folder, suite.file)
  const mutant = suite.mutate(random)
  writeFileSync(path, mutant)
  const before = process.resourceUsage().maxRSS
  try {
    const check = await suite.open(path, mutant)
    if (check !== undefined) report.faults.push(`${seed}: ${check}`)
    report.loaded++
  } catch (error) {
    const { message, name: kind } = error as Error
    if (!(error instanceof TunesmithError))
      report.faults.push(`${seed}: ${(error as Error).stack ?? error}`.slice(0, 600))
    else if (message.length > maxMessage) report.faults.push(`${seed}: a message of ${message.length} characters`)
    else if (/\.(cpp|h):\d/.test(message)) report.faults.push(`${seed}: C++ sources in "${message.slice(0, 200)}"`)
    report.refused[kind] = (report.refused[kind] ?? 0) + 1
  }
  const growth = (process.resourceUsage().maxRSS - before) * 1024
  if (growth > maxGrowthBytes) report.faults.push(`${seed}: took ${growth} bytes`)
}

for (let i = from; i < to; i++) {
  const seed = `${name} ${i}`
  writeSync(journal, seed.padEnd(100), 0)
  Atomics.store(shared, 0, i)
  await attempt(seed, createRandom(seed))
  report.mutants++
}
await watchdog.terminate()
closeSync(journal)
rmSync(folder, { recursive: true })
console.log(JSON.stringify(report))
