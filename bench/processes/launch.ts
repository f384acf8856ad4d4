// Starts the two processes of the benchmark: its arguments are the file of recipes and that of the report.
import { fileURLToPath } from 'node:url'
import { launchProcesses } from '../../src/distributed/index.ts'

const rank = fileURLToPath(new URL('./rank.ts', import.meta.url))
Object.assign(process.env, { OMP_NUM_THREADS: '1', TUNESMITH_HEARTBEAT_SECONDS: '120' })
const { processes } = await launchProcesses({
  processes: 2,
  command: [process.execPath, '--import', 'tsx', rank, ...process.argv.slice(2)],
  graceMs: 30_000,
  onLine: (from, line) => {
    if (/error/i.test(line)) process.stderr.write(`${from} ${line}\n`)
  },
})
process.exitCode = processes.every(({ exitCode }) => exitCode === 0) ? 0 : 1
