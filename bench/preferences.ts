// What is learned from real preferences, beside TRL: reward models, DPO and KTO on both sides, ORPO and SimPO on ours. Equal rows as equal token ids, the
// recipes' settings (LoRA of rank 16 in all linear layers, one epoch, cosine schedule), AdamW, fp32 or all in bf16, a run for each seed. Every outcome is
// appended to --out as soon as it is there, and what is there is not run again.
// Options: --data hh-rlhf,dpo-mix --objectives reward,dpo,kto,orpo,simpo --seeds 0,1,2 --train N --validation N --length N --batch N
// --learning-rate N --dtype bfloat16 --template NAME --base FOLDER --out FILE --sides tunesmith,trl
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import dpoChat from '../recipes/dpo-chat.ts'
import ktoRatings from '../recipes/kto-ratings.ts'
import rewardModel from '../recipes/reward-model.ts'
import { align, finetune } from '../src/index.ts'
import { findSmolLm2 } from './generation/smollm2.ts'
import type { BenchOptions } from './main.ts'
import {
  accuracies,
  margins,
  type Outcome,
  type PairSizes,
  promptLength,
  withInterval,
  writePairs,
} from './preferences/pairs.ts'
import { dataFolder, expectDtype, peersPython, printTable, runJson } from './side-by-side.ts'

interface Result extends Outcome {
  side: 'tunesmith' | 'trl'
  data: string
  objective: string
  seed: number
  peakMb: number
}

const sources: Record<string, string[]> = {
  'hh-rlhf': ['hh-rlhf', 'harmless-base', 'test.first1600.jsonl.gz'],
  'dpo-mix': ['dpo-mix-sample', 'dpo_en_demo.first200.json.gz'],
}

/** What objectives differ in from the recipes, and whether TRL has them. */
const objectives: Record<string, { settings: object; peer: boolean }> = {
  reward: { settings: {}, peer: true },
  dpo: { settings: { beta: 0.1 }, peer: true },
  kto: { settings: { beta: 0.1 }, peer: true },
  orpo: { settings: {}, peer: false },
  simpo: { settings: {}, peer: false },
}

interface Setting {
  folder: string
  base: string
  sizes: PairSizes
  batch: number
  learningRate: number
  dtype: 'float32' | 'bfloat16'
}

interface PredictionLine {
  logits?: number[]
  completions?: { logProb: number; base: number }[]
}

/** Of each pair the score of the chosen answer less that of the rejected one. */
const differencesIn = (out: string, paired: boolean): number[] => {
  const lines = readFileSync(join(out, 'model', 'predictions.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
  const scores = lines.map((line) => {
    const { logits, completions } = JSON.parse(line) as PredictionLine
    return logits ?? completions?.map(({ logProb, base }) => logProb - base) ?? []
  })
  if (paired) return scores.map(([chosen, rejected]) => chosen - rejected)
  return Array.from({ length: scores.length / 2 }, (_, i) => scores[2 * i][0] - scores[2 * i + 1][0])
}

/** One run of ours by the recipe, whose rows, base and sizes are replaced. */
const runOwn = async (name: string, seed: number, setting: Setting): Promise<Outcome> => {
  const { folder, base, sizes, batch, learningRate, dtype } = setting
  const out = join(folder, `${name}-${seed}`)
  const rated = name === 'kto'
  const file = (part: string) => join(folder, `${part}${rated ? '-ratings' : ''}.jsonl`)
  const { template, maxLength } = sizes
  const common = {
    ...{
      base,
      out,
      seed,
      learningRate,
      maxLength,
      precision: dtype,
      data: file('train'),
      validation: file('validation'),
    },
    batch: { sequences: rated ? 2 * batch : batch, microTokens: 4096 },
    budget: { epochs: 1 },
    schedule: { type: 'cosine', warmupShare: 0.1 },
  } as const
  const from = process.cpuUsage()
  if (name === 'reward') {
    const settings = { centering: 0, onFault: 'skip', template, maxPromptLength: promptLength(sizes) } as const
    await finetune({ ...rewardModel, ...common, dataset: undefined, settings } as Parameters<typeof finetune>[0])
  } else {
    const { settings } = objectives[name]
    const recipe = rated ? ktoRatings : dpoChat
    await align({
      ...recipe,
      ...common,
      ...{ objective: name, settings, template, tooLong: 'truncate', maxPromptLength: promptLength(sizes) },
    } as Parameters<typeof align>[0])
  }
  const { user, system } = process.cpuUsage(from)
  const differences = differencesIn(out, !rated)
  rmSync(out, { recursive: true, force: true })
  return { differences, cpuSeconds: (user + system) / 1e6 }
}

const runPeer = (python: string, name: string, seeds: readonly number[], setting: Setting) => {
  const { folder, base, batch, learningRate, dtype } = setting
  return runJson<{ runs: (Outcome & { seed: number })[]; peakMb: number }>(python, [
    'bench/peers/preferences.py',
    ...[folder, '--model', base, '--objective', name, '--seeds', seeds.join()],
    ...['--batch', String(batch), '--learning-rate', String(learningRate)],
    ...(dtype === 'bfloat16' ? ['--bf16'] : []),
  ])
}

const shown = (values: readonly number[], digits: number) => {
  const { mean, low, high } = withInterval(values)
  return `${mean.toFixed(digits)} [${low.toFixed(digits)}, ${high.toFixed(digits)}]`
}

const report = (results: readonly Result[]): void => {
  const rows = [
    ['data', 'objective', 'side', 'seeds', 'pairs', 'accuracy', 'margin', 'accuracy by seed', 'CPU s a run'],
  ]
  const keys = new Set(results.map(({ data, objective, side }) => [data, objective, side].join('\t')))
  for (const key of [...keys].sort()) {
    const [data, objective, side] = key.split('\t')
    const own = results.filter((one) => [one.data, one.objective, one.side].join('\t') === key)
    const mean = own.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0) / own.length
    const each = own.map((run) => withInterval(accuracies([run])).mean.toFixed(3))
    rows.push([
      ...[data, objective, side, `${own.length}`, `${own[0].differences.length}`],
      ...[shown(accuracies(own), 3), shown(margins(own), 3), each.join(' '), mean.toFixed(1)],
    ])
    const ours = results.filter((one) => one.data === data && one.objective === objective && one.side === 'tunesmith')
    if (side !== 'trl' || ours.length === 0) continue
    const [a, b] = [accuracies(ours), accuracies(own)]
    rows.push([
      data,
      objective,
      'difference',
      '',
      '',
      shown(
        a.map((value, i) => value - b[i]),
        3,
      ),
      '',
      '',
      '',
    ])
  }
  printTable(rows)
}

export const run = async ({ smoke, rest }: BenchOptions): Promise<void> => {
  const { values } = parseArgs({
    args: rest,
    options: {
      data: { type: 'string', default: smoke ? 'hh-rlhf' : Object.keys(sources).join() },
      objectives: { type: 'string', default: Object.keys(objectives).join() },
      sides: { type: 'string', default: 'tunesmith,trl' },
      seeds: { type: 'string', default: smoke ? '0' : '0,1,2' },
      train: { type: 'string', default: smoke ? '4' : '100' },
      validation: { type: 'string', default: smoke ? '4' : '100' },
      length: { type: 'string', default: '256' },
      batch: { type: 'string', default: smoke ? '2' : '8' },
      'learning-rate': { type: 'string', default: '1e-4' },
      dtype: { type: 'string', default: 'float32' },
      template: { type: 'string' },
      base: { type: 'string' },
      out: { type: 'string' },
    },
  })
  expectDtype(values.dtype)
  const python = peersPython()
  const base = values.base ?? (python === undefined ? undefined : findSmolLm2(python))
  if (base === undefined) throw new Error('Expected a base, got none. Name a folder with --base.')
  const results: Result[] =
    values.out === undefined || !existsSync(values.out)
      ? []
      : readFileSync(values.out, 'utf8')
          .trimEnd()
          .split('\n')
          .map((line) => JSON.parse(line) as Result)
  const add = (result: Result) => {
    results.push(result)
    if (values.out !== undefined) appendFileSync(values.out, `${JSON.stringify(result)}\n`)
    const { side, data, objective, seed, differences, cpuSeconds } = result
    const { mean } = withInterval(accuracies([result]))
    console.log(
      `${data}, ${objective}, seed ${seed}, ${side}: accuracy ${mean.toFixed(3)} on ${differences.length} pairs, ${cpuSeconds.toFixed(1)} CPU s`,
    )
  }
  const seeds = values.seeds.split(',').map(Number)
  const work = mkdtempSync(join(tmpdir(), 'tunesmith-preferences-'))
  try {
    for (const data of values.data.split(',')) {
      const folder = join(work, data)
      const maxLength = Number(values.length)
      const counts = { train: Number(values.train), validation: Number(values.validation) }
      const sizes = { ...counts, maxLength, template: values.template }
      await writePairs(join(dataFolder(), ...sources[data]), base, folder, sizes)
      const setting = {
        folder,
        base,
        sizes,
        batch: Number(values.batch),
        learningRate: Number(values['learning-rate']),
        dtype: values.dtype as Setting['dtype'],
      }
      for (const objective of values.objectives.split(',')) {
        const missing = (side: Result['side']) =>
          seeds.filter(
            (seed) =>
              !results.some(
                (one) => one.side === side && one.data === data && one.objective === objective && one.seed === seed,
              ),
          )
        if (values.sides.includes('tunesmith'))
          for (const seed of missing('tunesmith')) {
            const outcome = await runOwn(objective, seed, setting)
            add({ side: 'tunesmith', data, objective, seed, peakMb: process.resourceUsage().maxRSS / 1024, ...outcome })
          }
        const open = missing('trl')
        if (!objectives[objective].peer || !values.sides.includes('trl') || python === undefined || open.length === 0)
          continue
        const { runs, peakMb } = await runPeer(python, objective, open, setting)
        for (const one of runs) add({ side: 'trl', data, objective, peakMb, ...one })
      }
    }
    console.log('')
    report(results)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}
