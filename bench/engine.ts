// The engine against PyTorch: call overhead, training steps of GPT-2-small and BERT-base beside eager, compiled and Hugging Face
// Trainer runs (as installed and with each tuned allocator), loss curves from equal weights and data, responsiveness.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { BenchOptions } from './main.ts'
import {
  chosenParts,
  dataFolder,
  peersFolder,
  peersPython,
  printTable,
  runJson,
  runOurs,
  tunings,
} from './side-by-side.ts'

interface OurRun {
  msPerStep: number
  tokensPerSecond: number
  gflopPerSecond: number
  ceilingShare?: number
  peakMb: number
  liveTensors: [number, number]
  losses: number[]
}

interface PeerRun {
  ms_per_step: number
  tokens_per_s: number
  peak_rss_mb: number
}

const scripts = {
  gpt2: ['clm.py', '--size', 'gpt2'],
  'bert-base': ['mlm.py', '--size', 'base', '--dropout', '0'],
} as const
type ModelName = keyof typeof scripts

const overhead = async (python: string | undefined) => {
  const ours = await runOurs<Record<string, number>>('bench/engine/overhead.ts')
  const peer =
    python === undefined ? undefined : await runJson<Record<string, number>>(python, ['bench/peers/overhead.py'])
  console.log('\nCall overhead, 2x2 tensors, 1 thread, ns')
  printTable([
    ['operator', 'Tunesmith', 'PyTorch', 'PyTorch / Tunesmith'],
    ...Object.entries(ours).map(([name, ns]) => [
      name,
      ns.toFixed(0),
      peer?.[name].toFixed(0) ?? '-',
      peer === undefined ? '-' : (peer[name] / ns).toFixed(2),
    ]),
  ])
}

const curves = async (python: string, model: string, steps: number, dtypes: readonly string[]) => {
  const folder = mkdtempSync(join(tmpdir(), 'tunesmith-curves-'))
  try {
    const args = [
      'bench/peers/curves.py',
      '--model',
      model,
      '--data',
      dataFolder(),
      '--out',
      folder,
      '--steps',
      String(steps),
    ]
    const theirs = await runJson<{ losses: number[] }>(python, args)
    const rows: (string | number)[][] = [['dtype', 'worst difference', 'at step', 'first', 'last', 'PyTorch fp32 last']]
    for (const dtype of dtypes) {
      const ours = await runOurs<OurRun>('bench/engine/train.ts', [
        '--model',
        model,
        '--dtype',
        dtype,
        '--steps',
        String(steps),
        '--from',
        folder,
      ])
      const differences = ours.losses.map((loss, i) => Math.abs(loss - theirs.losses[i]) / theirs.losses[i])
      const worst = Math.max(...differences)
      rows.push([
        dtype,
        `${(worst * 100).toFixed(3)} %`,
        differences.indexOf(worst) + 1,
        ours.losses[0].toFixed(4),
        ours.losses.at(-1)?.toFixed(4) ?? '',
        theirs.losses.at(-1)?.toFixed(4) ?? '',
      ])
    }
    console.log(`\nLoss curves of ${model} over ${steps} steps, from the weights and batches of PyTorch`)
    printTable(rows)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const training = async (
  python: string | undefined,
  model: ModelName,
  options: { engines: string[]; dtypes: string[]; steps: number; seconds: number; rounds: number },
) => {
  const ours = new Map<string, OurRun[]>()
  const peers = new Map<string, PeerRun[]>()
  for (let round = 0; round < options.rounds; round++) {
    for (const dtype of ['bfloat16', 'float32']) {
      const args = [
        '--model',
        model,
        '--dtype',
        dtype,
        '--steps',
        String(options.steps),
        ...(round === 0 ? ['--ceiling'] : []),
      ]
      ours.set(dtype, [...(ours.get(dtype) ?? []), await runOurs<OurRun>('bench/engine/train.ts', args)])
    }
    for (const engine of python === undefined ? [] : options.engines) {
      for (const dtype of options.dtypes)
        for (const [tuning, environment] of Object.entries({ 'as installed': {}, ...tunings })) {
          const [script, ...fixed] = scripts[model]
          const args = [
            join(peersFolder(), script),
            '--data',
            dataFolder(),
            ...fixed,
            '--engine',
            engine,
            '--steps',
            String(options.steps),
            '--warmup',
            '1',
            '--seconds',
            String(options.seconds),
          ]
          const key = `${engine} ${dtype}, ${tuning}`
          const row = await runJson<PeerRun>(
            python as string,
            [...args, ...(dtype === 'fp32' ? ['--fp32'] : [])],
            environment,
          )
          console.log(`  ${model} ${key}: ${row.ms_per_step.toFixed(0)} ms`)
          peers.set(key, [...(peers.get(key) ?? []), row])
        }
    }
  }
  const best = <Row>(rows: readonly Row[], cost: (row: Row) => number) => [...rows].sort((a, b) => cost(a) - cost(b))[0]
  const rows: (string | number)[][] = [
    ['run', 'ms/step', 'tokens/s', 'peak MB', 'share of ceiling', 'Tunesmith bf16 is', 'Tunesmith fp32 is'],
  ]
  const bf16 = best(ours.get('bfloat16') ?? [], (row) => row.msPerStep)
  const fp32 = best(ours.get('float32') ?? [], (row) => row.msPerStep)
  for (const [dtype, runs] of ours) {
    const row = best(runs, (candidate) => candidate.msPerStep)
    const share = runs.find((candidate) => candidate.ceilingShare !== undefined)?.ceilingShare
    rows.push([
      `Tunesmith ${dtype}`,
      row.msPerStep.toFixed(0),
      row.tokensPerSecond.toFixed(0),
      row.peakMb,
      share === undefined ? '-' : `${(share * 100).toFixed(0)} %`,
      '',
      '',
    ])
  }
  for (const [key, runs] of peers) {
    const row = best(runs, (candidate) => candidate.ms_per_step)
    rows.push([
      key,
      row.ms_per_step.toFixed(0),
      row.tokens_per_s.toFixed(0),
      row.peak_rss_mb,
      '-',
      `${(row.ms_per_step / bf16.msPerStep).toFixed(2)}x`,
      `${(row.ms_per_step / fp32.msPerStep).toFixed(2)}x`,
    ])
  }
  console.log(`\nTraining ${model}: best of ${options.rounds} round(s) of medians; peak memory of the whole process`)
  printTable(rows)
}

const responsiveness = async (smoke: boolean) => {
  const rows = await runOurs<Record<string, number | string>[]>(
    'bench/engine/responsiveness.ts',
    smoke ? ['--smoke'] : [],
  )
  console.log('\nResponsiveness: training in a worker, the main thread measured')
  printTable([Object.keys(rows[0]), ...rows.map((row) => Object.values(row))])
}

const allParts = ['overhead', 'curves', 'training', 'responsiveness']

export const run = async ({ smoke, rest }: BenchOptions): Promise<void> => {
  const { values } = parseArgs({
    args: rest,
    options: {
      models: { type: 'string', default: 'gpt2,bert-base' },
      engines: { type: 'string', default: 'eager,trainer,compile' },
      dtypes: { type: 'string', default: 'bf16,fp32' },
      steps: { type: 'string', default: '8' },
      seconds: { type: 'string', default: '150' },
      rounds: { type: 'string', default: '1' },
      parts: { type: 'string', default: allParts.join() },
    },
  })
  const parts = chosenParts(values.parts, allParts)
  const python = peersPython()
  if (python === undefined)
    console.log('SKIPPED the Python peers: no environment. Make it with `node bench/peers/setup.mjs`.')
  if (parts.includes('overhead')) await overhead(smoke ? undefined : python)
  if (smoke) {
    for (const model of ['tiny', 'tiny-bert'])
      for (const dtype of ['float32', 'bfloat16']) {
        const row = await runOurs<OurRun>('bench/engine/train.ts', [
          '--model',
          model,
          '--dtype',
          dtype,
          '--steps',
          '2',
          '--warmup',
          '0',
        ])
        console.log(`${model} ${dtype}: two steps, losses ${row.losses.map((loss) => loss.toFixed(4)).join(', ')}`)
        if (row.losses.some((loss) => !Number.isFinite(loss)))
          throw new Error(`${model} ${dtype}: a loss is not finite`)
      }
    await responsiveness(true)
    return
  }
  const models = values.models.split(',') as ModelName[]
  if (parts.includes('curves') && python !== undefined)
    for (const model of models) await curves(python, model, 20, ['bfloat16', 'float32'])
  if (parts.includes('training'))
    for (const model of models) {
      const engines = values.engines.split(',').filter((engine) => model === 'gpt2' || engine !== 'compile')
      await training(python, model, {
        engines,
        dtypes: values.dtypes.split(','),
        steps: Number(values.steps),
        seconds: Number(values.seconds),
        rounds: Number(values.rounds),
      })
    }
  if (parts.includes('responsiveness')) await responsiveness(false)
}
