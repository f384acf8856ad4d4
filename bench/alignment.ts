// Alignment beside TRL: a reward model and DPO on hh-rlhf (4 pairs a step), GRPO and RLOO (2 prompts with 4 answers of exactly 32 tokens, rewarded
// for vowels), SmolLM2-135M with LoRA of rank 16 in all linear layers, in turn and several times in one run. Both sides start from
// equal weights, adapters and token ids, and their losses and gradient norms of the first step must agree before anything is timed.
// TRL as installed has gradient checkpointing; tuned has none, and a faster allocator. Its default is `--dtype bfloat16` (autocast), which a
// CPU without bf16 arithmetic takes hundreds of times as long for.
// While others use the machine, CPU time is what can be compared; the run says so.
// Options: --parts loss,train --jobs reward,dpo,grpo,rloo --dtype bfloat16 --rounds N --steps N --threads N --batch N --length N
// --base FOLDER --recompute all (of ours: activations of all layers, as TRL as installed recomputes them)
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Job, jobNamed, jobs, sized, smallened } from './alignment/jobs.ts'
import { prepare } from './alignment/prepare.ts'
import { bundledData } from './book-lines.ts'
import { findSmolLm2 } from './generation/smollm2.ts'
import type { BenchOptions } from './main.ts'
import {
  chosenParts,
  dataFolder,
  expectDtype,
  peersPython,
  printTable,
  runJson,
  runOurs,
  tunedEnvironment,
} from './side-by-side.ts'

interface Step {
  ms: number
  cpuMs: number
  loss: number
  gradientNorm: number
  parts?: { generation: number; scoring: number; training: number }
}
interface Run {
  steps: Step[]
  peakMb: number
  /** Of the first step of a peer that samples, with --check. */
  answers?: { prompt: number[]; completion: number[] }[]
}

interface Named {
  name: string
  job: Job
  folder: string
  smoke: boolean
  threads: string
  dtype: string
  /** Of our side. */
  recompute: string
}

const warmUp = 1
/** Largest differences of a first step: products in bfloat16 are rounded in other places on both sides. */
const most: Record<string, number> = { float32: 1e-3, bfloat16: 5e-2 }

const ours = ({ name, job, folder, smoke, threads, dtype, recompute }: Named, steps: number, ...more: string[]) =>
  runOurs<Run>(
    'bench/alignment/train.ts',
    [
      folder,
      name,
      String(steps),
      '--threads',
      threads,
      '--batch',
      String(job.batch),
      '--dtype',
      dtype,
      '--recompute',
      recompute,
      ...(smoke ? ['--smoke'] : []),
      ...more,
    ],
    { OMP_NUM_THREADS: threads },
  )

const theirs = (
  python: string,
  { name, job, folder, threads, dtype }: Named,
  steps: number,
  { tuned, check = false }: { tuned: boolean; check?: boolean },
) => {
  const { beta } = job.settings as { beta?: number }
  const options = {
    job: name,
    batch: job.batch,
    length: job.length,
    answers: job.answers,
    new: job.newTokens,
    'learning-rate': job.learningRate,
    ...(beta === undefined ? {} : { beta }),
    steps,
    threads,
  }
  return runJson<Run>(
    python,
    [
      'bench/peers/alignment.py',
      folder,
      ...Object.entries(options).flatMap(([key, value]) => [`--${key}`, String(value)]),
      ...(tuned ? ['--tuned'] : []),
      ...(dtype === 'bfloat16' ? ['--bf16'] : []),
      ...(check ? ['--check'] : []),
    ],
    { OMP_NUM_THREADS: threads, ...(tuned ? tunedEnvironment() : {}) },
  )
}

/** Loss and gradient norm of the first step, from equal weights, rows and answers. @throws where they differ */
const compareFirstStep = async (python: string | undefined, named: Named): Promise<void> => {
  const { name, folder, dtype } = named
  if (python === undefined) {
    const [{ loss }] = (await ours(named, 1)).steps
    if (!Number.isFinite(loss)) throw new Error(`${name}: the loss is not finite.`)
    return console.log(`  ${name}: loss of the first step ${loss.toFixed(6)}`)
  }
  const peer = await theirs(python, named, 1, { tuned: true, check: true })
  const file = join(folder, 'answers.json')
  writeFileSync(file, JSON.stringify(peer.answers))
  const own = await ours(named, 1, ...((peer.answers?.length ?? 0) > 0 ? ['--answers', file] : []))
  for (const key of ['loss', 'gradientNorm'] as const) {
    const [a, b] = [own.steps[0][key], peer.steps[0][key]]
    const difference = Math.abs(a - b)
    console.log(
      `  ${name}: ${key} of the first step ${a.toFixed(6)}, TRL ${b.toFixed(6)}, difference ${difference.toExponential(1)}`,
    )
    if (!(difference <= most[dtype] * Math.max(1, Math.abs(b))))
      throw new Error(
        `${name}: Expected a ${key} within ${most[dtype]} of TRL's ${b}, got ${a}. Their times cannot be compared.`,
      )
  }
}

const mean = (numbers: readonly number[]): number => numbers.reduce((sum, one) => sum + one, 0) / numbers.length

interface Measured {
  seconds: number
  cpuSeconds: number
  peakMb: number
  loss: number
  parts?: Step['parts']
}

/** Batches differ in length: the mean over the same steps of all rounds. */
const measure = (runs: readonly Run[]): Measured => {
  const steps = runs.flatMap(({ steps: all }) => all.slice(all.length > warmUp ? warmUp : 0))
  const part = (key: keyof NonNullable<Step['parts']>) => mean(steps.map(({ parts }) => parts?.[key] ?? Number.NaN))
  return {
    seconds: mean(steps.map(({ ms }) => ms)) / 1000,
    cpuSeconds: mean(steps.map(({ cpuMs }) => cpuMs)) / 1000,
    peakMb: Math.max(...runs.map(({ peakMb }) => peakMb)),
    loss: mean(runs.map(({ steps: all }) => all[all.length - 1].loss)),
    ...(steps[0].parts === undefined
      ? {}
      : { parts: { generation: part('generation'), scoring: part('scoring'), training: part('training') } }),
  }
}

const sharesOf = (parts: Step['parts']): string[] => {
  if (parts === undefined) return []
  const values = Object.values(parts)
  const total = values.reduce((sum, one) => sum + one, 0)
  return values.map((one) => `${((100 * one) / total).toFixed(0)} %`)
}

const show = (measured: ReadonlyMap<string, Measured>, { wanted, data }: Job): void => {
  const own = measured.get('Tunesmith') as Measured
  const rows: (string | number)[][] = [
    [
      ...['run', 's/step', 'CPU s/step', 'peak MB', 'last loss', 'Tunesmith is', 'by CPU time', 'wanted'],
      ...['memory', 'wanted'],
      ...(data === 'prompts' ? ['generation', 'scoring', 'training'] : []),
    ],
  ]
  for (const [way, row] of measured)
    rows.push([
      way,
      row.seconds.toFixed(2),
      row.cpuSeconds.toFixed(2),
      row.peakMb.toFixed(0),
      row.loss.toFixed(4),
      ...(row === own
        ? ['', '', '', '', '']
        : [
            `${(row.seconds / own.seconds).toFixed(2)}x`,
            `${(row.cpuSeconds / own.cpuSeconds).toFixed(2)}x`,
            `${wanted}x`,
            `${(own.peakMb / row.peakMb).toFixed(2)}x`,
            '0.5x',
          ]),
      ...sharesOf(row.parts),
    ])
  printTable(rows)
}

const timed = async (python: string | undefined, named: Named, steps: number, rounds: number): Promise<void> => {
  const ways = new Map<string, () => Promise<Run>>([['Tunesmith', () => ours(named, steps)]])
  if (python !== undefined) {
    ways.set('TRL, as installed', () => theirs(python, named, steps, { tuned: false }))
    ways.set('TRL, tuned', () => theirs(python, named, steps, { tuned: true }))
  }
  const runs = new Map<string, Run[]>([...ways.keys()].map((way) => [way, []]))
  let busiest = 0
  for (let round = 0; round < rounds; round++)
    for (const [way, go] of ways) {
      const run = await go()
      runs.get(way)?.push(run)
      busiest = Math.max(busiest, loadavg()[0])
      const { cpuSeconds, seconds } = measure([run])
      console.log(
        `  ${named.name}, round ${round + 1} of ${rounds}, ${way}: ${cpuSeconds.toFixed(2)} CPU s/step, ${seconds.toFixed(2)} s/step`,
      )
    }
  const { batch, answers, newTokens, data } = named.job
  const size = data === 'pairs' ? `${batch} pairs` : `${batch} prompts with ${answers} answers of ${newTokens} tokens`
  console.log(
    `\n${named.name}: ${size} a step, ${named.dtype}, ${named.threads} thread(s), ${rounds} round(s) of ${steps} steps, the first of each left out`,
  )
  if (busiest > Number(named.threads) + 0.6)
    console.log(`Others used the machine (load average up to ${busiest.toFixed(1)}): compare CPU time, not seconds.`)
  show(new Map([...runs].map(([way, all]) => [way, measure(all)])), named.job)
  console.log('')
}

const allParts = ['loss', 'train']

export const run = async ({ smoke, rest }: BenchOptions): Promise<void> => {
  const { values } = parseArgs({
    args: rest,
    options: {
      parts: { type: 'string', default: allParts.join() },
      jobs: { type: 'string', default: Object.keys(jobs).join() },
      rounds: { type: 'string', default: smoke ? '1' : '2' },
      steps: { type: 'string' },
      threads: { type: 'string', default: '1' },
      dtype: { type: 'string', default: 'float32' },
      batch: { type: 'string' },
      length: { type: 'string' },
      base: { type: 'string' },
      recompute: { type: 'string', default: 'none' },
    },
  })
  expectDtype(values.dtype)
  const parts = chosenParts(values.parts, allParts)
  const python = smoke ? undefined : peersPython()
  if (python === undefined && !smoke)
    console.log('SKIPPED the Python peers: no environment. Make it with `node bench/peers/setup.mjs`.')
  if (python === undefined && !smoke && values.base === undefined)
    throw new Error('Expected SmolLM2-135M, which the Python peers convert, got none. Name a folder with --base.')
  const base = smoke ? undefined : (values.base ?? findSmolLm2(python as string))
  const data = smoke ? bundledData() : dataFolder()
  const work = mkdtempSync(join(tmpdir(), 'tunesmith-alignment-'))
  try {
    for (const name of values.jobs.split(',')) {
      const job = sized(smoke ? smallened(jobNamed(name)) : jobNamed(name), values)
      const { threads, dtype, recompute } = values
      const named: Named = { name, job, folder: join(work, name), smoke, threads, dtype, recompute }
      const facts = await prepare(job, data, base, named.folder)
      console.log(
        `${name}: ${(facts.parameters / 1e6).toFixed(1)}M parameters, ${facts.trained} trained, ${facts.rows} ${job.data}; about ${facts.tokens} tokens a step, padded batches are ${(100 * facts.fill).toFixed(0)} % full`,
      )
      if (parts.includes('loss')) await compareFirstStep(python, named)
      const steps = values.steps === undefined ? job.steps : Number(values.steps)
      if (parts.includes('train')) await timed(python, named, steps, Number(values.rounds))
      rmSync(named.folder, { recursive: true, force: true })
    }
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}
