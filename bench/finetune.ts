// Fine-tuning MiniLM-L6 beside Hugging Face's Trainer, PEFT and a hand-written bottleneck: SST-2 and SQuAD from equal weights and rows, all
// in fp32 or all in bf16 (PyTorch: autocast; on a CPU without bf16 arithmetic it is hundreds of times slower), in turn and several times in
// one run. Options: --dtype bfloat16 --parts loss,train,evaluate --jobs a,b --rounds N --steps N --base FOLDER
// Both sides pad SST-2 rows to the longest of a batch at most (ours not at all); SQuAD is padded to 384 there, as run_qa.py does unless told
// otherwise, and to the longest besides.
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { bundledData } from './book-lines.ts'
import { type Job, type JobName, jobNamed, jobs, smallened } from './finetune/jobs.ts'
import { prepare } from './finetune/prepare.ts'
import type { BenchOptions } from './main.ts'
import {
  chosenParts,
  dataFolder,
  expectDtype,
  median,
  miniLmFolder,
  peersPython,
  printTable,
  runJson,
  runOurs,
  tunedEnvironment,
} from './side-by-side.ts'

interface TrainRun {
  steps: { ms: number; cpuMs: number; examples: number; loss: number }[]
  peakMb: number
}
interface EvaluationRun {
  seconds: number
  cpuSeconds: number
  examples: number
  peakMb: number
}

interface Measured {
  examplesPerSecond: number
  cpuMs: number
  peakMb: number
  /** Of the last five steps. */
  loss: number
}

const warmUp = 3

const trained = (runs: readonly TrainRun[]): Measured => {
  const steps = runs.flatMap(({ steps: all }) => all.slice(all.length > warmUp ? warmUp : 0))
  const late = runs[0].steps.slice(-5).map(({ loss }) => loss)
  return {
    // Batches differ in length: the sum over all of them, not a median, is what an epoch takes.
    examplesPerSecond:
      (1000 * steps.reduce((sum, { examples }) => sum + examples, 0)) / total(steps.map(({ ms }) => ms)),
    cpuMs: total(steps.map(({ cpuMs }) => cpuMs)) / steps.length,
    peakMb: Math.max(...runs.map(({ peakMb }) => peakMb)),
    loss: total(late) / late.length,
  }
}

const evaluated = (runs: readonly EvaluationRun[]): Measured => ({
  examplesPerSecond: median(runs.map(({ examples, seconds }) => examples / seconds)),
  cpuMs: 1000 * median(runs.map(({ cpuSeconds }) => cpuSeconds)),
  peakMb: Math.max(...runs.map(({ peakMb }) => peakMb)),
  loss: Number.NaN,
})

const total = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0)

const methods: Record<string, string> = { full: 'full', lora: 'lora', pfeiffer: 'adapter' }

const peerArguments = (
  job: Job,
  folder: string,
  engine: string,
  steps: number,
  dtype: string,
  padTo?: number,
): string[] => [
  'bench/peers/finetune.py',
  folder,
  ...['--data', job.data, '--method', methods[job.adapter.type], '--batch', String(job.batch)],
  ...['--engine', engine, '--steps', String(steps), '--learning-rate', String(job.learningRate)],
  ...(padTo === undefined ? [] : ['--pad-to', String(padTo)]),
  ...(dtype === 'bfloat16' ? ['--bf16'] : []),
]

type Way<Run> = [name: string, go: () => Promise<Run>]

const waysOf = <Run>(
  python: string | undefined,
  { name, job, folder, smoke, dtype }: Named,
  engine: 'trainer' | 'evaluate',
  steps: number,
): Way<Run>[] => {
  const flags = [...(smoke ? ['--smoke'] : []), ...(engine === 'evaluate' ? ['--evaluate'] : [])]
  const ways: Way<Run>[] = [
    [
      'Tunesmith',
      () => runOurs<Run>('bench/finetune/train.ts', [folder, name, String(steps), '--dtype', dtype, ...flags]),
    ],
  ]
  if (python === undefined) return ways
  const padTo = job.data === 'squad' ? job.length : undefined
  const go = (environment: Record<string, string>, to: number | undefined) => () =>
    runJson<Run>(python, peerArguments(job, folder, engine, steps, dtype, to), environment)
  const called = { full: 'Trainer', lora: 'PEFT', pfeiffer: 'by hand' }[job.adapter.type as 'full']
  ways.push([`${called}, as installed`, go({}, padTo)], [`${called}, tuned`, go(tunedEnvironment(), padTo)])
  if (padTo !== undefined) ways.push([`${called}, tuned, padded to the longest`, go(tunedEnvironment(), undefined)])
  return ways
}

/** All ways in turn, round after round. */
const inTurn = async <Run>(label: string, ways: readonly Way<Run>[], rounds: number): Promise<Map<string, Run[]>> => {
  const runs = new Map<string, Run[]>(ways.map(([way]) => [way, []]))
  for (let round = 0; round < rounds; round++)
    for (const [way, go] of ways) {
      runs.get(way)?.push(await go())
      console.log(`  ${label}, round ${round + 1} of ${rounds}, ${way}: done`)
    }
  return runs
}

const show = (measured: ReadonlyMap<string, Measured>, unit: string, wanted: (way: string) => number | undefined) => {
  const ours = measured.get('Tunesmith') as Measured
  const rows: (string | number)[][] = [
    ['run', 'examples/s', `CPU ms/${unit}`, 'peak MB', 'late loss', 'Tunesmith is', 'by CPU time', 'wanted', 'memory'],
  ]
  for (const [way, row] of measured)
    rows.push([
      way,
      row.examplesPerSecond.toFixed(1),
      row.cpuMs.toFixed(0),
      row.peakMb.toFixed(0),
      Number.isNaN(row.loss) ? '' : row.loss.toFixed(4),
      ...(row === ours
        ? []
        : [
            `${(ours.examplesPerSecond / row.examplesPerSecond).toFixed(2)}x`,
            `${(row.cpuMs / ours.cpuMs).toFixed(2)}x`,
            wanted(way) === undefined ? '' : `${wanted(way)}x`,
            `${(ours.peakMb / row.peakMb).toFixed(2)}x`,
          ]),
    ])
  printTable(rows)
  console.log('')
}

interface Named {
  name: string
  job: Job
  folder: string
  smoke: boolean
  /** Of the weights that compute, on both sides. */
  dtype: string
}

/** The loss of the first batch without dropout, from equal weights and rows: ours without padding, theirs with it. */
const compareLoss = async (python: string | undefined, { name, job, folder, smoke }: Named) => {
  const flags = ['--check', ...(smoke ? ['--smoke'] : [])]
  const ours = await runOurs<{ loss: number }>('bench/finetune/train.ts', [folder, name, '0', ...flags])
  if (!Number.isFinite(ours.loss)) throw new Error(`${name}: the loss is not finite.`)
  if (python === undefined) return console.log(`  ${name}: loss of the first batch ${ours.loss.toFixed(6)}`)
  const theirs = await runJson<{ loss: number }>(python, peerArguments(job, folder, 'check', 1, 'float32'))
  const difference = Math.abs(ours.loss - theirs.loss)
  console.log(
    `  ${name}: loss of the first batch ${ours.loss.toFixed(6)}, PyTorch ${theirs.loss.toFixed(6)}, difference ${difference.toExponential(1)}`,
  )
  if (difference > 1e-4) throw new Error(`${name}: Expected losses within 1e-4, got ${ours.loss} and ${theirs.loss}.`)
}

const allParts = ['loss', 'train', 'evaluate']

export const run = async ({ smoke, rest }: BenchOptions): Promise<void> => {
  const { values } = parseArgs({
    args: rest,
    options: {
      parts: { type: 'string', default: allParts.join() },
      jobs: { type: 'string', default: smoke ? 'sst2-lora,squad-full' : Object.keys(jobs).join(',') },
      rounds: { type: 'string', default: smoke ? '1' : '2' },
      steps: { type: 'string' },
      base: { type: 'string', default: miniLmFolder() },
      dtype: { type: 'string', default: 'float32' },
    },
  })
  const parts = chosenParts(values.parts, allParts)
  const rounds = Number(values.rounds)
  expectDtype(values.dtype)
  if (!smoke && !existsSync(values.base))
    throw new Error(
      `Expected MiniLM-L6 in ${values.base}, found nothing. Run \`npx vitest run tests/checkpoint/sentences.test.ts\`, which fetches it, or name a folder with --base.`,
    )
  const python = smoke ? undefined : peersPython()
  if (python === undefined && !smoke)
    console.log('SKIPPED the Python peers: no environment. Make it with `node bench/peers/setup.mjs`.')
  const data = smoke ? bundledData() : dataFolder()
  const work = mkdtempSync(join(tmpdir(), 'tunesmith-finetune-'))
  const own = new Map<string, number>()
  try {
    for (const name of values.jobs.split(',') as JobName[]) {
      const job = smoke ? smallened(jobNamed(name)) : jobNamed(name)
      const named: Named = { name, job, folder: join(work, name), smoke, dtype: values.dtype }
      const facts = await prepare(job, data, smoke ? undefined : values.base, named.folder)
      const share = ((100 * facts.trained) / facts.parameters).toFixed(2)
      console.log(
        `${name}: ${(facts.parameters / 1e6).toFixed(1)}M parameters, ${facts.trained} trained (${share} %), ${facts.examples} examples; padded batches are ${(100 * facts.fill).toFixed(0)} % full`,
      )
      if (parts.includes('loss')) await compareLoss(python, named)
      if (parts.includes('train')) {
        const steps = values.steps === undefined ? job.steps : Number(values.steps)
        const ways = waysOf<TrainRun>(python, named, 'trainer', steps)
        const measured = new Map([...(await inTurn(name, ways, rounds))].map(([way, all]) => [way, trained(all)]))
        console.log(
          `\nTraining ${name}, ${job.batch} examples a step, ${values.dtype}, ${rounds} round(s) of ${steps} steps`,
        )
        show(measured, 'step', (way) => (way.endsWith('installed') ? job.wanted.installed : job.wanted.tuned))
        own.set(name, (measured.get('Tunesmith') as Measured).examplesPerSecond)
      }
      if (parts.includes('evaluate') && job.adapter.type === 'full') {
        const ways = waysOf<EvaluationRun>(python, named, 'evaluate', 1)
        const measured = new Map([...(await inTurn(name, ways, rounds))].map(([way, all]) => [way, evaluated(all)]))
        console.log(
          `\nEvaluation of ${name}: logits of the examples for validation, ${values.dtype}, ${rounds} round(s)`,
        )
        show(measured, 'pass', () => 3)
      }
      rmSync(named.folder, { recursive: true, force: true })
    }
    for (const [name, speed] of own) {
      const whole = own.get(`${name.split('-')[0]}-full`)
      if (whole !== undefined && !name.endsWith('-full'))
        console.log(
          `${name} learns ${(speed / whole).toFixed(2)}x as many examples a second as our own full fine-tuning`,
        )
    }
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}
