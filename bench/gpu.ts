// A machine with a GPU in at most ten minutes: the suites against the CPU, then speed beside PyTorch eager, torch.compile, transformers'
// Trainer and its `generate`, in bfloat16, in one run. `npm run bench -- gpu --help` has the options. Every way is a process of its own with a
// time of its own. `--device strict` runs all of it with tiny shapes on the test device, and the peers on the CPU: it measures nothing.
import { writeFileSync } from 'node:fs'
import { arch, cpus, platform } from 'node:os'
import { parseArgs } from 'node:util'
import { everyTime } from '../scripts/strict-suites.mjs'
import { ConfigError } from '../src/core/index.ts'
import { buildFacts, isGpu } from '../src/tensor/index.ts'
import { lastJson, PartClock, runWithin } from './gpu/budget.ts'
import { type Card, expectCard, peakOf } from './gpu/card.ts'
import { decoding, gpuJob } from './gpu/jobs.ts'
import type { ParityRow } from './gpu/parity.ts'
import type { BenchOptions } from './main.ts'
import { chosenParts, median, peersPython, printTable } from './side-by-side.ts'

/** What `--help` prints. */
export const help = `Usage: npm run bench -- gpu [options]

  --device NAME   cuda (default), cuda:N, mps, or strict: tiny shapes on the test device, peers on the CPU
  --parts LIST    parity,suites,gpt2-small,bert-base,llama-1b-lora,decode (default: all)
  --minutes N     time of all parts together (default: 10)
  --out FILE      results as JSON
  --smoke         --device strict without peers, and few suites

Example: npm run bench -- gpu --out gpu.json`

const training = ['gpt2-small', 'bert-base', 'llama-1b-lora'] as const
const allParts = ['parity', 'suites', ...training, 'decode']
/** Share of the time of each part. */
const shares: Record<string, number> = {
  ...{ parity: 0.1, suites: 0.25, 'gpt2-small': 0.17, 'bert-base': 0.17, 'llama-1b-lora': 0.16, decode: 0.15 },
}

/** A way of doing the work of a part, and what it came to. */
interface Measured {
  part: string
  way: string
  tokensPerSecond?: number
  /** Median of the steps or runs after the first. */
  ms?: number
  /** Tokens per second of ours over those of this way. */
  ratio?: number
  /** Share of the card's peak, by the FLOPs of its matrix products; ours only. */
  shareOfPeak?: number
  /** Why there is no figure. */
  fault?: string
}

interface Results {
  time: string
  device: string
  card?: Card & { peakFlops?: number }
  libtorch: string
  machine: string
  peers?: { torch: string; transformers: string }
  minutes: number
  seconds: number
  parity: ParityRow[]
  suites?: { files: number; passed: number; failed: number; failures: string[]; seconds: number }
  speed: Measured[]
  faults: string[]
}

interface Context {
  device: string
  smoke: boolean
  /** Tiny shapes, which measure nothing. */
  small: boolean
  python: string | undefined
  peak: number | undefined
  results: Results
}

const ours = (file: string, args: readonly string[]): string[] => [process.execPath, '--import', 'tsx', file, ...args]

/** The largest difference of each suite. */
const parity = async ({ device, smoke, results }: Context, clock: PartClock): Promise<void> => {
  const outcome = await runWithin(clock, ours('bench/gpu/parity.ts', [device, ...(smoke ? ['--smoke'] : [])]))
  const lines = 'lines' in outcome ? outcome.lines : (outcome.printed ?? [])
  results.parity = lines.map((line) => JSON.parse(line) as ParityRow)
  if ('fault' in outcome) results.faults.push(`parity: ${outcome.fault}`)
  console.log(`\nLargest difference of ${device} to the CPU, relative to the largest value of a case`)
  printTable([
    ['suite', 'cases', 'largest', 'at', 'allowed', 'seconds'],
    ...results.parity.map(({ suite, cases, largest, where, tolerance, seconds }) => [
      ...[suite, cases, largest.toExponential(1), where, tolerance, seconds.toFixed(1)],
    ]),
  ])
  for (const { suite, largest, tolerance, where } of results.parity)
    if (!(largest <= tolerance))
      results.faults.push(`parity: ${suite} differ by ${largest.toExponential(1)} at ${where}`)
}

/** What bench/gpu/file-reporter.mjs prints of a file. */
interface FileResult {
  file: string
  passed: boolean
}

/** The project's own suites with the device as that of all models. Those that do not end within the time are counted, not waited for. */
const suites = async ({ device, smoke, results }: Context, clock: PartClock): Promise<void> => {
  const files = smoke ? everyTime.filter((file) => /heads\.test|average\.test/.test(file)) : everyTime
  const workers = Math.max(2, Math.min(8, cpus().length >> 1))
  const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--reporter=./bench/gpu/file-reporter.mjs']
  const words = [process.execPath, ...vitest, `--maxWorkers=${workers}`, ...files]
  const started = performance.now()
  const outcome = await runWithin(clock, words, { TUNESMITH_TEST_DEVICE: device })
  const seconds = (performance.now() - started) / 1000
  const lines = 'lines' in outcome ? outcome.lines : (outcome.printed ?? [])
  const ended = lines.filter((line) => line.startsWith('{"file":')).map((line) => JSON.parse(line) as FileResult)
  const failures = ended.filter(({ passed }) => !passed).map(({ file }) => file)
  const passed = ended.length - failures.length
  results.suites = { files: files.length, passed, failed: failures.length, failures, seconds }
  for (const file of failures) results.faults.push(`suites: ${file} failed on ${device}`)
  if (ended.length === 0 && 'fault' in outcome) results.faults.push(`suites: ${outcome.fault}`)
  const left = files.length - ended.length
  console.log(
    `\nSuites on ${device}: ${passed} of ${files.length} files passed in ${seconds.toFixed(0)} s, ${failures.length} failed${left === 0 ? '' : `, ${left} did not end in that time`}`,
  )
}

interface Steps {
  steps: { ms: number; loss: number }[]
  tokensPerStep: number
  flopsPerToken?: number
}

/** Adds what a way came to, and its ratio to ours, which comes first. */
const add = (results: Results, row: Measured): void => {
  const own = results.speed.find(({ part, way }) => part === row.part && way === 'Tunesmith')?.tokensPerSecond
  const ratio = own !== undefined && row.tokensPerSecond !== undefined ? { ratio: own / row.tokensPerSecond } : {}
  results.speed.push({ ...row, ...(row.way === 'Tunesmith' ? {} : ratio) })
  if (row.fault !== undefined) results.faults.push(`${row.part}, ${row.way}: ${row.fault}`)
}

/** The device of PyTorch. */
const peerDevice = (device: string): string => (isGpu(device) ? device : 'cpu')

const train = async (name: string, context: Context, clock: PartClock): Promise<void> => {
  const { device, small, python, peak, results } = context
  const steps = small ? 3 : 12
  const job = JSON.stringify(gpuJob(name, small))
  const ways: [string, string[]][] = [
    ['Tunesmith', ours('bench/gpu/train.ts', [name, device, String(steps), ...(small ? ['--smoke'] : [])])],
  ]
  if (python !== undefined)
    for (const engine of ['eager', 'trainer', 'compile'])
      ways.push([
        { eager: 'PyTorch eager', trainer: 'Trainer', compile: 'torch.compile' }[engine] as string,
        [python, 'bench/peers/gpu.py', 'train', engine, peerDevice(device), String(steps), job],
      ])
  for (const [way, words] of ways) {
    const found = lastJson<Steps>(await runWithin(clock, words))
    if ('fault' in found) {
      add(results, { part: name, way, fault: found.fault })
      continue
    }
    // The first steps allocate, choose kernels and compile.
    const warm = found.steps.slice(Math.min(3, found.steps.length - 1))
    const ms = median(warm.map((step) => step.ms))
    const tokensPerSecond = (1000 * found.tokensPerStep) / ms
    const { flopsPerToken } = found
    add(results, {
      ...{ part: name, way, ms, tokensPerSecond },
      ...(found.steps.every(({ loss }) => Number.isFinite(loss)) ? {} : { fault: 'a loss is not finite' }),
      ...(peak === undefined || flopsPerToken === undefined
        ? {}
        : { shareOfPeak: (flopsPerToken * tokensPerSecond) / peak }),
    })
  }
}

interface Decoded {
  seconds: number[]
  tokens: number
}

const decode = async (context: Context, clock: PartClock): Promise<void> => {
  const { device, small, python, results } = context
  const job = JSON.stringify(gpuJob(decoding.job, small))
  const runs = small ? 2 : 3
  const [prompt, newTokens] = small ? [8, 8] : [decoding.prompt, decoding.newTokens]
  for (const rows of small ? [2] : decoding.rows) {
    const numbers = [rows, runs].map(String)
    const ways: [string, string[]][] = [
      ['Tunesmith', ours('bench/gpu/decode.ts', [device, ...numbers, ...(small ? ['--smoke'] : [])])],
    ]
    if (python !== undefined) {
      const given = [peerDevice(device), ...numbers, String(prompt), String(newTokens), job]
      ways.push(['transformers', [python, 'bench/peers/gpu.py', 'decode', ...given]])
    }
    for (const [way, words] of ways) {
      const part = `decode, ${rows} ${rows === 1 ? 'row' : 'rows'}`
      const found = lastJson<Decoded>(await runWithin(clock, words))
      if ('fault' in found) add(results, { part, way, fault: found.fault })
      else {
        const seconds = median(found.seconds)
        add(results, { part, way, ms: 1000 * seconds, tokensPerSecond: found.tokens / seconds })
      }
    }
  }
}

const printSpeed = ({ speed }: Results, small: boolean): void => {
  if (speed.length === 0) return
  console.log(`\nSpeed in bfloat16${small ? ' of tiny shapes, which says nothing' : ''}`)
  printTable([
    ['part', 'way', 'tokens/s', 'ms', 'Tunesmith is', 'share of peak'],
    ...speed.map(({ part, way, tokensPerSecond, ms, ratio, shareOfPeak, fault }) => [
      ...[part, way, tokensPerSecond?.toFixed(0) ?? fault ?? '', ms?.toFixed(1) ?? ''],
      ...[ratio === undefined ? '' : `${ratio.toFixed(2)}x`],
      ...[shareOfPeak === undefined ? '' : `${(100 * shareOfPeak).toFixed(1)} %`],
    ]),
  ])
}

/** The peers' versions, or why they are not measured. */
const checkPeers = async (
  python: string | undefined,
  device: string,
  results: Results,
): Promise<string | undefined> => {
  const setUp = 'node bench/peers/setup.mjs'
  if (python === undefined) {
    console.log(`Python peers are missing: ours is measured alone. Install them with \`${setUp}\`.`)
    return undefined
  }
  type Check = { torch: string; transformers: string; usable: boolean }
  const words = [python, 'bench/peers/gpu.py', 'check', peerDevice(device)]
  const found = lastJson<Check>(await runWithin(new PartClock(90), words))
  if ('fault' in found || !found.usable) {
    const why = 'fault' in found ? found.fault : `their torch ${found.torch} has no ${device}`
    console.log(`Python peers cannot be used (${why}): ours is measured alone.`)
    return undefined
  }
  results.peers = { torch: found.torch, transformers: found.transformers }
  return python
}

export const run = async ({ smoke, rest }: BenchOptions): Promise<void> => {
  const { values } = parseArgs({
    args: rest,
    options: {
      device: { type: 'string', default: smoke ? 'strict' : 'cuda' },
      parts: { type: 'string', default: allParts.join(',') },
      minutes: { type: 'string', default: '10' },
      out: { type: 'string' },
    },
  })
  const parts = chosenParts(values.parts, allParts)
  const { device } = values
  const minutes = Number(values.minutes)
  if (!(minutes > 0)) throw new ConfigError(`Expected a positive number for \`--minutes\`, got ${values.minutes}.`)
  if (device !== 'strict' && !isGpu(device))
    throw new ConfigError(`Expected cuda, cuda:N, mps or strict for \`--device\`, got ${device}.`)
  const started = performance.now()
  const card = device === 'strict' ? undefined : expectCard(device)
  const peak = card && peakOf(card.name)
  const results: Results = {
    ...{ time: new Date().toISOString(), device },
    ...(card && { card: { ...card, ...(peak !== undefined && { peakFlops: peak }) } }),
    libtorch: buildFacts().torchVersion,
    machine: `${platform()} ${arch()}, ${cpus().length} × ${cpus()[0]?.model ?? 'unknown processor'}`,
    ...{ minutes, seconds: 0, parity: [], speed: [], faults: [] },
  }
  console.log(card === undefined ? `Device ${device}: nothing is measured` : `${card.name}, driver ${card.driver}`)
  const python = smoke ? undefined : await checkPeers(peersPython(), device, results)
  const context: Context = { device, smoke, small: device === 'strict', python, peak, results }
  const total = parts.reduce((sum, part) => sum + shares[part], 0)
  for (const part of parts) {
    // What a part leaves of its time, those after it have.
    const after = parts.slice(parts.indexOf(part) + 1).reduce((sum, one) => sum + shares[one], 0)
    const left = 60 * minutes - (performance.now() - started) / 1000
    const clock = new PartClock(left - (60 * minutes * after) / total)
    console.error(`${part}: up to ${Math.round(clock.left)} s`)
    if (part === 'parity') await parity(context, clock)
    else if (part === 'suites') await suites(context, clock)
    else if (part === 'decode') await decode(context, clock)
    else await train(part, context, clock)
  }
  printSpeed(results, context.small)
  results.seconds = (performance.now() - started) / 1000
  if (values.out !== undefined) writeFileSync(values.out, `${JSON.stringify(results, null, 2)}\n`)
  for (const fault of results.faults) console.log(`fault: ${fault}`)
  console.log(`\n${results.seconds.toFixed(0)} s of ${60 * minutes}`)
  if (results.faults.length > 0) process.exitCode = 1
}
