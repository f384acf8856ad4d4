// Two processes of one thread. `--parts throughput` (default): tokens a second of GPT-2-small beside those of one process of two threads, by
// turns; a line for each pair at once: --rows 8 --length 512 --precision bfloat16 --minutes 4, after a minute of start and until a pair ends.
// Nothing else may run meanwhile.
// `--parts communication`: what they spend on it beside what a plan says, in bytes on the wire and CPU time, as both share cores with whatever
// else runs. Loopback is in a network namespace of its own where that is allowed, so that no other bytes are counted:
// --shards none,optimizer,gradients,parameters --steps 8
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { planRun } from '../src/runs/index.ts'
import { makeSmallData, smallRecipe } from '../tests/training/small-run.ts'
import type { BenchOptions } from './main.ts'
import type { RankReport } from './processes/rank.ts'
import { compareThroughput } from './processes/throughput.ts'
import { chosenParts, printTable } from './side-by-side.ts'

const launcher = fileURLToPath(new URL('./processes/launch.ts', import.meta.url))

/** Runs a script in a network namespace that has loopback only, or in that of the machine where none can be made. */
const inNamespace = (script: string, args: readonly string[]): { status: number | null; isolated: boolean } => {
  const words = [process.execPath, '--import', 'tsx', script, ...args]
  const isolated = spawnSync('unshare', ['-n', 'ip', 'link', 'set', 'lo', 'up']).status === 0
  const shell = ['-n', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh', ...words]
  const { status } = isolated
    ? spawnSync('unshare', shell, { stdio: 'inherit' })
    : spawnSync(words[0], words.slice(1), { stdio: 'inherit' })
  return { status, isolated }
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`
const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1)

/** Communication of a few steps, for each way to divide a run. */
const compareCommunication = async (shards: readonly string[], steps: number, smoke: boolean): Promise<void> => {
  const data = await makeSmallData('bpe')
  const folder = mkdtempSync(join(tmpdir(), 'tunesmith-communication-'))
  try {
    const model = smoke ? { preset: 'test' } : { preset: '10m' }
    const recipes = shards.map((shard) => ({
      ...smallRecipe(data, join(folder, shard), {
        ...{ model: { type: 'gpt2', ...model }, objective: { type: 'causal-lm' }, maxLength: smoke ? 32 : 256, shard },
        ...{ batch: { sequences: 8, microTokens: 512 }, budget: { steps }, average: undefined },
        ...{ evaluate: {}, checkpoint: {}, keep: { last: 1 }, validationExamples: 0 },
      }),
      command: 'pretrain',
    }))
    const [file, out] = [join(folder, 'recipes.json'), join(folder, 'report.json')]
    writeFileSync(file, JSON.stringify(recipes))
    const { status, isolated } = inNamespace(launcher, [file, out])
    if (status !== 0) throw new Error(`The processes ended with exit code ${status}.`)
    const { bandwidth, latency, runs } = JSON.parse(readFileSync(out, 'utf8')) as RankReport
    console.info(
      `Sums of 25 MB take ${(1e-9 * bandwidth).toFixed(2)} GB a CPU second, small messages ${(1e6 * latency).toFixed(0)} µs of CPU time${isolated ? '' : '; bytes are those of the whole machine'}.`,
    )
    const rows: string[][] = []
    for (const [i, recipe] of recipes.entries()) {
      const { computing, communicating, bytes } = runs[i]
      const { rows: planned } = await planRun(recipe, { count: 2, rank: 1, story: false })
      const { collectives = [], flopsPerStep = 0 } = planned[0].processes ?? {}
      const sent = collectives.reduce((sum, one) => sum + one.sentBytes, 0)
      const calls = collectives.reduce((sum, one) => sum + one.calls, 0)
      const seconds = sent / bandwidth + calls * latency
      rows.push([
        recipe.shard ?? 'none',
        megabytes(sent),
        megabytes(bytes),
        percent(bytes / sent - 1),
        percent(seconds / (seconds + computing)),
        percent(communicating / (communicating + computing)),
        (flopsPerStep / computing / 1e9).toFixed(1),
      ])
    }
    const head = ['shard', 'sent a step by the plan, MB', 'measured', 'difference', 'communication by the plan']
    printTable([[...head, 'measured', 'GFLOP a CPU second'], ...rows])
  } finally {
    data.dispose()
    rmSync(folder, { recursive: true, force: true })
  }
}

export const run = async ({ smoke, rest }: BenchOptions): Promise<void> => {
  const { values } = parseArgs({
    args: rest,
    options: {
      parts: { type: 'string', default: smoke ? 'throughput,communication' : 'throughput' },
      preset: { type: 'string', default: smoke ? 'test' : 'small' },
      rows: { type: 'string', default: '8' },
      length: { type: 'string', default: smoke ? '32' : '512' },
      precision: { type: 'string', default: 'bfloat16' },
      minutes: { type: 'string', default: smoke ? '0' : '4' },
      shards: { type: 'string', default: 'none,optimizer,gradients,parameters' },
      steps: { type: 'string', default: '8' },
    },
  })
  const { preset, precision } = values
  const [rows, length, minutes] = [values.rows, values.length, values.minutes].map(Number)
  const parts: Record<string, () => Promise<void>> = {
    throughput: () => compareThroughput({ preset, rows, length, precision, minutes }),
    communication: () => compareCommunication(values.shards.split(','), Number(values.steps), smoke),
  }
  for (const part of chosenParts(values.parts, Object.keys(parts))) await parts[part]()
}
