// Pretraining beside Hugging Face's Trainer: GPT-2-small, a 10M GPT, BERT-base and BERT-mini from equal weights and rows, both sides
// in fp32, in turn and several times in one run. Also checkpoints of GPT-2-small, and how long a first step takes to come.
// Options: --parts loss,train,checkpoint,start --models a,b --rounds N --steps N --engines trainer,compile
// Rows of BERT are paragraphs: Trainer pads them to the longest of a batch, and scores every position, as its collator has it.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { bundledData } from './book-lines.ts'
import type { BenchOptions } from './main.ts'
import { type Job, type JobName, jobNamed, jobs, smallened } from './pretrain/jobs.ts'
import { type Prepared, prepare } from './pretrain/prepare.ts'
import {
  chosenParts,
  dataFolder,
  median,
  peersPython,
  printTable,
  runJson,
  runOurs,
  tunedEnvironment,
} from './side-by-side.ts'

interface Step {
  ms: number
  cpuMs: number
  tokens: number
  loss: number
  dataShare?: number
}
interface TrainRun {
  steps: Step[]
  peakMb: number
}

/** What one way of training came to over all rounds; the first step of each warms up. */
interface Measured {
  tokensPerSecond: number
  msPerStep: number
  cpuMsPerStep: number
  peakMb: number
  dataShare: number
  firstLoss: number
}

const summary = (runs: readonly TrainRun[]): Measured => {
  const steps = runs.flatMap(({ steps: all }) => all.slice(all.length > 1 ? 1 : 0))
  return {
    tokensPerSecond: median(steps.map(({ tokens, ms }) => (1000 * tokens) / ms)),
    msPerStep: median(steps.map(({ ms }) => ms)),
    cpuMsPerStep: median(steps.map(({ cpuMs }) => cpuMs)),
    peakMb: Math.max(...runs.map(({ peakMb }) => peakMb)),
    dataShare: median(steps.map(({ dataShare = Number.NaN }) => dataShare)),
    firstLoss: runs[0].steps[0].loss,
  }
}

const peerArguments = (job: Job, folder: string, engine: string, steps: number): string[] => [
  'bench/peers/pretrain.py',
  folder,
  ...['--job', job.objective, '--batch', String(job.batch), '--learning-rate', String(job.learningRate)],
  ...['--engine', engine, '--steps', String(steps)],
]

const ourArguments = (name: string, folder: string, steps: number, smoke: boolean): string[] => [
  folder,
  name,
  String(steps),
  ...(smoke ? ['--smoke'] : []),
]

/** The mean loss of the first batch without dropout, the same ids and labels on both sides: ours without padding, theirs with it. */
const compareLoss = async (python: string | undefined, name: string, job: Job, folder: string, smoke: boolean) => {
  const ours = await runOurs<{ loss: number }>('bench/pretrain/train.ts', [
    ...ourArguments(name, folder, 0, smoke),
    '--check',
  ])
  if (!Number.isFinite(ours.loss)) throw new Error(`${name}: the loss is not finite.`)
  if (python === undefined) return console.log(`  ${name}: loss of the first batch ${ours.loss.toFixed(5)}`)
  const theirs = await runJson<{ loss: number }>(python, peerArguments(job, folder, 'check', 1))
  const difference = Math.abs(ours.loss - theirs.loss)
  console.log(
    `  ${name}: loss of the first batch ${ours.loss.toFixed(5)}, transformers ${theirs.loss.toFixed(5)}, difference ${difference.toExponential(1)}`,
  )
  if (difference > 1e-3) throw new Error(`${name}: Expected losses within 1e-3, got ${ours.loss} and ${theirs.loss}.`)
}

interface TrainOptions {
  rounds: number
  steps?: number
  engines: string[]
  smoke: boolean
}

const trainBeside = async (
  python: string | undefined,
  name: string,
  job: Job,
  folder: string,
  options: TrainOptions,
) => {
  const steps = options.steps ?? job.steps
  const ways = new Map<string, () => Promise<TrainRun>>()
  ways.set('Tunesmith', () =>
    runOurs<TrainRun>('bench/pretrain/train.ts', ourArguments(name, folder, steps, options.smoke)),
  )
  if (python !== undefined)
    for (const engine of options.engines) {
      if (engine === 'compile' && !job.compiled) continue
      const called = engine === 'compile' ? 'torch.compile' : 'Trainer'
      const go = (environment: Record<string, string>) => () =>
        runJson<TrainRun>(python, peerArguments(job, folder, engine, steps), environment)
      if (engine === 'trainer') ways.set(`${called}, as installed`, go({}))
      ways.set(`${called}, tuned`, go(tunedEnvironment()))
    }
  const runs = new Map<string, TrainRun[]>([...ways.keys()].map((way) => [way, []]))
  for (let round = 0; round < options.rounds; round++)
    for (const [way, go] of ways) {
      const run = await go()
      runs.get(way)?.push(run)
      console.log(`  ${name}, round ${round + 1}, ${way}: ${run.steps.map(({ ms }) => ms.toFixed(0)).join(' ')} ms`)
    }
  const measured = new Map([...runs].map(([way, all]) => [way, summary(all)]))
  const ours = measured.get('Tunesmith') as Measured
  if (!Number.isFinite(ours.firstLoss)) throw new Error(`${name}: the loss is not finite.`)
  const wanted = (way: string) =>
    way.startsWith('torch') ? job.wanted.compiled : way.endsWith('tuned') ? job.wanted.tuned : job.wanted.installed
  const rows: (string | number)[][] = [
    ['run', 'tokens/s', 'ms/step', 'CPU ms/step', 'peak MB', 'data', 'Tunesmith is', 'by CPU time', 'wanted', 'memory'],
  ]
  for (const [way, row] of measured)
    rows.push([
      way,
      row.tokensPerSecond.toFixed(0),
      row.msPerStep.toFixed(0),
      row.cpuMsPerStep.toFixed(0),
      row.peakMb.toFixed(0),
      way === 'Tunesmith' ? `${(100 * row.dataShare).toFixed(2)} %` : '',
      ...(way === 'Tunesmith'
        ? []
        : [
            `${(ours.tokensPerSecond / row.tokensPerSecond).toFixed(2)}x`,
            `${(row.cpuMsPerStep / ours.cpuMsPerStep).toFixed(2)}x`,
            `${wanted(way) ?? '-'}x`,
            `${(ours.peakMb / row.peakMb).toFixed(2)}x`,
          ]),
    ])
  console.log(
    `\n${name}, ${job.batch} rows of up to ${job.length} tokens a step, medians of ${options.rounds} round(s) of ${steps - 1} steps`,
  )
  printTable(rows)
  console.log('')
}

interface Saved {
  seconds: number[]
  syncedSeconds?: number[]
  megabytes: number
}

const checkpoints = async (python: string | undefined, name: string, job: Job, folder: string, smoke: boolean) => {
  const repeats = smoke ? 2 : 3
  const ours = await runOurs<Saved>('bench/pretrain/checkpoint.ts', ourArguments(name, folder, repeats, smoke))
  const seconds = (values: readonly number[]) => `${median(values).toFixed(2)} s`
  console.log(`\nCheckpoint of ${name}, weights and optimizer, ${ours.megabytes.toFixed(0)} MB`)
  const rows = [
    ['run', 'median', 'what it includes'],
    ['Tunesmith', seconds(ours.seconds), 'on disk, hashed'],
  ]
  if (python !== undefined) {
    const theirs = await runJson<Saved>(python, peerArguments(job, folder, 'save', repeats))
    rows.push(['Trainer', seconds(theirs.seconds), 'handed to the system'])
    rows.push(['Trainer and sync', seconds(theirs.syncedSeconds ?? []), 'on disk'])
  }
  printTable(rows)
}

/** From the start of a process until the first step is done, and what of that the step itself took. */
const starts = async (python: string | undefined, name: string, job: Job, folder: string, smoke: boolean) => {
  const rounds = smoke ? 1 : 3
  const timed = async (go: () => Promise<TrainRun>) => {
    const started = performance.now()
    const run = await go()
    return (performance.now() - started - run.steps[0].ms) / 1000
  }
  const ours: number[] = []
  const theirs: number[] = []
  for (let round = 0; round < rounds; round++) {
    ours.push(await timed(() => runOurs<TrainRun>('bench/pretrain/train.ts', ourArguments(name, folder, 1, smoke))))
    if (python !== undefined)
      theirs.push(await timed(() => runJson<TrainRun>(python, peerArguments(job, folder, 'trainer', 1))))
  }
  console.log(
    `\nStart of a process to its end after one step of ${name}, without that step: Tunesmith ${median(ours).toFixed(2)} s${python === undefined ? '' : `, Trainer ${median(theirs).toFixed(2)} s`}`,
  )
}

const allParts = ['loss', 'train', 'checkpoint', 'start']

export const run = async ({ smoke, rest }: BenchOptions): Promise<void> => {
  const { values } = parseArgs({
    args: rest,
    options: {
      parts: { type: 'string', default: allParts.join() },
      models: { type: 'string', default: Object.keys(jobs).join(',') },
      engines: { type: 'string', default: 'trainer,compile' },
      rounds: { type: 'string', default: smoke ? '1' : '2' },
      steps: { type: 'string' },
    },
  })
  const parts = chosenParts(values.parts, allParts)
  const python = smoke ? undefined : peersPython()
  if (python === undefined && !smoke)
    console.log('SKIPPED the Python peers: no environment. Make it with `node bench/peers/setup.mjs`.')
  const data = smoke ? bundledData() : dataFolder()
  const work = mkdtempSync(join(tmpdir(), 'tunesmith-pretrain-'))
  try {
    const options = {
      rounds: Number(values.rounds),
      steps: values.steps === undefined ? undefined : Number(values.steps),
      engines: values.engines.split(','),
      smoke,
    }
    const names = values.models.split(',') as JobName[]
    for (const name of names) {
      const job = smoke ? smallened(jobNamed(name)) : jobNamed(name)
      const folder = join(work, name)
      const { rows, parameters, fill }: Prepared = await prepare(job, data, folder, smoke ? 0.2 : 4)
      console.log(
        `${name}: ${(parameters / 1e6).toFixed(1)}M parameters, ${rows} rows; padded batches are ${(100 * fill).toFixed(0)} % full`,
      )
      if (parts.includes('loss')) await compareLoss(python, name, job, folder, smoke)
      if (parts.includes('train')) await trainBeside(python, name, job, folder, options)
      if (parts.includes('checkpoint') && (name === 'gpt2-small' || (smoke && name === names[0])))
        await checkpoints(python, name, job, folder, smoke)
      if (parts.includes('start') && name === names.at(-1)) await starts(python, name, job, folder, smoke)
      rmSync(folder, { recursive: true, force: true })
    }
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}
