// Instruction tuning with LoRA beside TRL's SFTTrainer and PEFT: SmolLM2-135M, the Alpaca sample, 4 packed rows of 512 tokens a step, rank 16
// in all linear layers, both sides in fp32 or in bf16 (TRL: autocast), in turn and in one run. Also what the base takes when it is
// held quantised, and QLoRA in bf16 beside PEFT with bitsandbytes.
// Options: --dtype bfloat16 --model FOLDER --parts speed,frozen,qlora --packing bfd|none|wrapped --steps N --rounds N
// Losses are those of the peer: the mean over batches of the 32 held examples. In `none` the peer pads; ours has no padding in any.
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { quantizations } from '../src/nn/index.ts'
import type { BenchOptions } from './main.ts'
import { prepareAlpaca, prepareSmoke } from './sft/prepare.ts'
import {
  chosenParts,
  dataFolder,
  expectDtype,
  median,
  peersFolder,
  peersPython,
  printTable,
  runJson,
  runOurs,
  smolLm2Folder,
  tunedEnvironment,
} from './side-by-side.ts'

interface OurRun {
  steps: { ms: number; tokens: number; loss: number }[]
  lossBefore?: number
  lossAfter?: number
  peakMb: number
}
interface TheirRun {
  tokens_per_s: number
  eval_loss_before: number
  eval_loss_after: number
  peak_rss_mb: number
}

/** What one side came to. */
interface Measured {
  tokensPerSecond: number
  lossBefore?: number
  lossAfter?: number
  peakMb: number
}

/** Steps that warm up on both sides. */
const warmup = 3
const wanted = { installed: 3, tuned: 2, memory: 0.5 }

const ofOurs = ({ steps, lossBefore, lossAfter, peakMb }: OurRun): Measured => {
  const counted = steps.slice(steps.length > warmup ? warmup : 0)
  const sum = (of: (step: OurRun['steps'][number]) => number) => counted.reduce((total, step) => total + of(step), 0)
  return { tokensPerSecond: (1000 * sum(({ tokens }) => tokens)) / sum(({ ms }) => ms), lossBefore, lossAfter, peakMb }
}
const ofTheirs = (run: TheirRun): Measured => ({
  tokensPerSecond: run.tokens_per_s,
  lossBefore: run.eval_loss_before,
  lossAfter: run.eval_loss_after,
  peakMb: run.peak_rss_mb,
})

const together = (runs: readonly Measured[]): Measured => ({
  ...runs[0],
  tokensPerSecond: median(runs.map(({ tokensPerSecond }) => tokensPerSecond)),
  peakMb: Math.max(...runs.map(({ peakMb }) => peakMb)),
})

const shown = (loss: number | undefined) => loss?.toFixed(4) ?? ''

interface Job {
  folder: string
  model: string
  steps: number
  rounds: number
  packing: string
  dtype: string
  smoke: boolean
}

const small = ['--batch', '2', '--length', '96', '--held', '8', '--template', 'plain']

const ours = ({ folder, model, steps, smoke }: Job, ...more: string[]) =>
  runOurs<OurRun>('bench/sft/train.ts', [folder, model, String(steps), ...(smoke ? small : []), ...more])

/** Runs all sides one after another, some rounds long. */
const inTurn = async (
  ways: ReadonlyMap<string, () => Promise<Measured>>,
  rounds: number,
): Promise<Map<string, Measured>> => {
  const runs = new Map<string, Measured[]>([...ways.keys()].map((way) => [way, []]))
  for (let round = 0; round < rounds; round++)
    for (const [way, go] of ways) {
      const run = await go()
      runs.get(way)?.push(run)
      console.log(
        `  round ${round + 1}, ${way}: ${run.tokensPerSecond.toFixed(1)} tokens/s, ${run.peakMb.toFixed(0)} MB`,
      )
    }
  return new Map([...runs].map(([way, all]) => [way, together(all)]))
}

const besidePeer = async (job: Job, python: string | undefined, data: string): Promise<void> => {
  const ways = new Map<string, () => Promise<Measured>>([
    ['Tunesmith', async () => ofOurs(await ours(job, '--dtype', job.dtype))],
  ])
  if (python !== undefined) {
    const args = [
      join(peersFolder(), 'sft.py'),
      '--data',
      data,
      '--model',
      job.model,
      ...(job.dtype === 'float32' ? ['--fp32'] : []),
    ]
    const all = [...args, '--packing', job.packing, '--steps', String(job.steps)]
    const go = (environment: Record<string, string>) => async () =>
      ofTheirs(await runJson<TheirRun>(python, all, environment))
    ways.set('SFTTrainer + PEFT, as installed', go({}))
    ways.set('SFTTrainer + PEFT, tuned', go(tunedEnvironment()))
  }
  const measured = await inTurn(ways, job.rounds)
  const own = measured.get('Tunesmith') as Measured
  if (!Number.isFinite(own.lossAfter ?? Number.NaN)) throw new Error('Expected a finite loss after training.')
  const rows: (string | number)[][] = [
    ['run', 'tokens/s', 'peak MB', 'loss before', 'loss after', 'Tunesmith is', 'wanted', 'memory', 'wanted'],
  ]
  for (const [way, row] of measured)
    rows.push([
      way,
      row.tokensPerSecond.toFixed(1),
      row.peakMb.toFixed(0),
      shown(row.lossBefore),
      shown(row.lossAfter),
      ...(way === 'Tunesmith'
        ? []
        : [
            `${(own.tokensPerSecond / row.tokensPerSecond).toFixed(2)}x`,
            `${way.endsWith('tuned') ? wanted.tuned : wanted.installed}x`,
            `${(own.peakMb / row.peakMb).toFixed(2)}x`,
            `${wanted.memory}x`,
          ]),
    ])
  console.log(
    `\nLoRA of rank 16, ${job.dtype}, ${job.steps} steps, ${job.packing === 'none' ? 'the peer pads' : `packed (${job.packing})`}`,
  )
  printTable(rows)
}

/** The same run over a base quantised: memory, speed, and how far the losses of the steps go from those over float32. */
const frozenBases = async (job: Job): Promise<void> => {
  const rows: (string | number)[][] = [['base in', 'peak MB', 'tokens/s', 'loss before', 'loss after', 'steps apart']]
  let plain: OurRun | undefined
  for (const held of ['float32', ...quantizations]) {
    const run = await ours(job, '--frozen', held)
    plain ??= run
    const apart = run.steps.map(({ loss }, i) => Math.abs(loss - (plain as OurRun).steps[i].loss))
    const { tokensPerSecond, peakMb, lossBefore, lossAfter } = ofOurs(run)
    rows.push([
      held,
      peakMb.toFixed(0),
      tokensPerSecond.toFixed(1),
      shown(lossBefore),
      shown(lossAfter),
      `${(apart.reduce((sum, one) => sum + one, 0) / apart.length).toFixed(4)} in the mean, ${Math.max(...apart).toFixed(4)} at most`,
    ])
  }
  console.log('\nThe base held quantised, the same rows')
  printTable(rows)
}

/** QLoRA in bf16, in turn: ours, and PEFT with bitsandbytes. Each side packs the conversations in its own way. */
const besideBitsandbytes = async (job: Job, python: string | undefined): Promise<void> => {
  const peer = [new URL('./peers/qlora.py', import.meta.url).pathname, job.folder, job.model]
  const rows: (string | number)[][] = [['base in', 'run', 'tokens/s', 'peak MB', 'Tunesmith is']]
  for (const held of ['nf4', 'int8']) {
    const ways = new Map<string, () => Promise<Measured>>([
      ['Tunesmith', async () => ofOurs(await ours(job, '--dtype', 'bfloat16', '--frozen', held))],
    ])
    const go = (environment: Record<string, string>) => async () =>
      ofTheirs(
        await runJson<TheirRun>(python as string, [...peer, '--frozen', held, '--steps', `${job.steps}`], environment),
      )
    if (python !== undefined) {
      ways.set('PEFT + bitsandbytes, as installed', go({}))
      ways.set('PEFT + bitsandbytes, tuned', go(tunedEnvironment()))
    }
    const measured = await inTurn(ways, job.rounds)
    const own = measured.get('Tunesmith') as Measured
    for (const [way, { tokensPerSecond, peakMb }] of measured)
      rows.push([
        held,
        way,
        tokensPerSecond.toFixed(1),
        peakMb.toFixed(0),
        way === 'Tunesmith' ? '' : `${(own.tokensPerSecond / tokensPerSecond).toFixed(2)}x`,
      ])
  }
  console.log(`\nQLoRA of rank 16 in bfloat16, ${job.steps} steps`)
  printTable(rows)
}

const allParts = ['speed', 'frozen', 'qlora']

export const run = async ({ smoke, rest }: BenchOptions): Promise<void> => {
  const { values } = parseArgs({
    args: rest,
    options: {
      model: { type: 'string', default: smolLm2Folder() },
      parts: { type: 'string', default: allParts.join() },
      packing: { type: 'string', default: 'bfd' },
      dtype: { type: 'string', default: 'float32' },
      steps: { type: 'string', default: smoke ? '2' : '8' },
      rounds: { type: 'string', default: '1' },
    },
  })
  const parts = chosenParts(values.parts, allParts)
  expectDtype(values.dtype)
  const python = smoke ? undefined : peersPython()
  if (python === undefined && !smoke)
    console.log('SKIPPED the Python peer: no environment. Make it with `node bench/peers/setup.mjs`.')
  if (!smoke && !existsSync(join(values.model, 'config.json')))
    throw new Error(`Expected a folder with SmolLM2-135M-Instruct for --model, found none at ${values.model}.`)
  const folder = mkdtempSync(join(tmpdir(), 'tunesmith-sft-'))
  try {
    const data = dataFolder()
    const model = smoke ? await prepareSmoke(folder) : values.model
    if (!smoke) await prepareAlpaca(folder, data, python)
    const job: Job = {
      folder,
      model,
      steps: Number(values.steps),
      rounds: Number(values.rounds),
      packing: values.packing,
      dtype: values.dtype,
      smoke,
    }
    if (parts.includes('speed')) await besidePeer(job, python, data)
    if (parts.includes('frozen')) await frozenBases(job)
    if (parts.includes('qlora')) await besideBitsandbytes(job, python)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
