// One process of the benchmark of communication. CPU time of Gloo's threads is communication, that of the others computing; while a process
// waits, it has none.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { type ConnectedGroup, joinProcesses } from '../../src/distributed/index.ts'
import { type PretrainInput, pretrain } from '../../src/runs/index.ts'
import { setThreads, zeros } from '../../src/tensor/index.ts'
import { onReport } from '../../tests/distributed/fixtures/on-report.ts'

/** What the second process measured. */
export interface RankReport {
  /** Bytes that a sum sends in a CPU second, and CPU seconds of a message. */
  bandwidth: number
  latency: number
  /** Of a step of each run: CPU seconds, and bytes that the process sent. */
  runs: { computing: number; communicating: number; bytes: number }[]
}

const tick = 1 / 100
/** CPU seconds of threads of this process, by whether they are Gloo's. */
const cpuSeconds = (): { gloo: number; others: number } => {
  const sums = { gloo: 0, others: 0 }
  for (const id of readdirSync('/proc/self/task')) {
    const text = readFileSync(`/proc/self/task/${id}/stat`, 'utf8')
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    const seconds = tick * (Number(fields[11]) + Number(fields[12]))
    if (/gloo|pt_/i.test(text.slice(text.indexOf('('), text.lastIndexOf(')')))) sums.gloo += seconds
    else sums.others += seconds
  }
  return sums
}
/** Bytes that both processes have sent over loopback, halved. */
const sentBytes = (): number => {
  const line = readFileSync('/proc/net/dev', 'utf8')
    .split('\n')
    .find((one) => one.trim().startsWith('lo:'))
  return Number(line?.split(':')[1].trim().split(/\s+/)[8] ?? 0) / 2
}
const measure = () => ({ ...cpuSeconds(), bytes: sentBytes() })

setThreads(1)
const [file, out] = process.argv.slice(2)
const recipes = JSON.parse(readFileSync(file, 'utf8')) as PretrainInput[]
const report: RankReport = { bandwidth: 0, latency: 0, runs: [] }

const group = (await joinProcesses()) as ConnectedGroup
const bucket = zeros([25 * 2 ** 18])
const [sums, messages] = [40, 2000]
await group.sum_([bucket])
const before = measure()
for (let i = 0; i < sums; i++) await group.sum_([bucket])
const between = measure()
for (let i = 0; i < messages; i++) await group.gather(0)
const after = measure()
// A sum over two processes sends as many bytes as the tensor has. Gloo's threads count: the main thread only waits.
const spent = (from: typeof before, to: typeof before) => to.gloo - from.gloo
report.bandwidth = (sums * bucket.size * 4) / spent(before, between)
report.latency = spent(between, after) / messages
bucket.free()
await group.leave({ failed: false })

/** Reports of gradients between which a run is measured: neither building nor export. */
let [first, last, count] = [0, 0, 0]
let marks: ReturnType<typeof measure>[] = []
onReport(() => {
  count++
  if (count === first || count === last) marks.push(measure())
})
for (const recipe of recipes) {
  marks = []
  count = 0
  first = 2
  last = recipe.budget?.steps ?? 0
  await pretrain(recipe)
  const [from, to] = marks
  const steps = last - first
  report.runs.push({
    computing: (to.others - from.others) / steps,
    communicating: (to.gloo - from.gloo) / steps,
    bytes: (to.bytes - from.bytes) / steps,
  })
}
if (process.env.RANK === '1') writeFileSync(out, JSON.stringify(report))
