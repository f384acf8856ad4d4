// One corpus build in a process of its own; prints its time, processor time and peak memory as JSON.
import { buildCorpus } from '../../src/corpus/index.ts'

const [out, source, ...more] = process.argv.slice(2)
const before = process.cpuUsage()
const started = performance.now()
const { manifest } = await buildCorpus({ out, source: [source], ...JSON.parse(more[0] ?? '{}') })
const cpu = process.cpuUsage(before)
console.log(
  JSON.stringify({
    seconds: (performance.now() - started) / 1000,
    cpuSeconds: (cpu.user + cpu.system) / 1e6,
    // Kilobytes on Linux and macOS alike in Node, threads and native memory included.
    peakMb: process.resourceUsage().maxRSS / 1024,
    documents: manifest.documents,
    textMb: manifest.textBytes / 1e6,
    stages: manifest.stages.map(({ stage, documentsIn, documentsOut }) => ({ stage, documentsIn, documentsOut })),
  }),
)
