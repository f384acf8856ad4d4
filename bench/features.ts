// Features of a frozen encoder against transformers and scikit-learn: SST-2 sentences through MiniLM-L6, mean pooling, logistic regression.
// Both sides read the same texts and must give the same features and the same accuracy.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { createRandom } from '../src/core/index.ts'
import { sst2 } from './encoders/sst2.ts'
import type { BenchOptions } from './main.ts'
import {
  expectDtype,
  median,
  miniLmFolder,
  peersPython,
  printTable,
  runJson,
  runOurs,
  tunedEnvironment,
} from './side-by-side.ts'

/** What a side measured; seconds are of one pass over the training texts. */
export interface FeatureRun {
  encodeSeconds: number
  encodeCpuSeconds: number
  /** The same once more, where a side keeps features. */
  cachedSeconds?: number
  fitSeconds: number
  accuracy: number
  peakMb: number
  /** First values of the features of the first texts. */
  sample: number[][]
}

/** How many times faster than the peer it is to be. */
const wanted = 3

export const run = async ({ smoke, rest }: BenchOptions): Promise<void> => {
  const { values } = parseArgs({
    args: rest,
    options: {
      n: { type: 'string', default: '8000' },
      rounds: { type: 'string', default: '3' },
      dtype: { type: 'string', default: 'float32' },
      threads: { type: 'string', default: String(cpus().length) },
      model: { type: 'string', default: miniLmFolder() },
    },
  })
  const { model } = values
  expectDtype(values.dtype)
  if (!existsSync(model)) {
    console.log(`SKIPPED: no MiniLM-L6 in ${model}. Name its folder with --model.`)
    return
  }
  const python = smoke ? undefined : peersPython()
  if (python === undefined)
    console.log('SKIPPED the Python peers: no environment. Make it with `node bench/peers/setup.mjs`.')
  const folder = mkdtempSync(join(tmpdir(), 'tunesmith-features-'))
  const [count, rounds] = smoke ? [64, 1] : [Number(values.n), Number(values.rounds)]
  try {
    const train = createRandom('bench/features').shuffle(sst2('train')).slice(0, count)
    const dev = sst2('dev').slice(0, smoke ? 16 : undefined)
    const file = join(folder, 'texts.json')
    writeFileSync(file, JSON.stringify({ train, dev }))
    const sides: [name: string, start: (round: number) => Promise<FeatureRun>][] = [
      [
        'Tunesmith',
        (round) =>
          runOurs('bench/features/extract.ts', [
            model,
            file,
            join(folder, `cache-${round}`),
            values.threads,
            values.dtype,
          ]),
      ],
    ]
    if (python !== undefined) {
      const peer = ['bench/peers/features.py', model, file, values.threads, values.dtype]
      sides.push(['transformers, as installed', () => runJson(python, peer)])
      sides.push(['transformers, tuned', () => runJson(python, peer, tunedEnvironment())])
    }
    const runs = sides.map((): FeatureRun[] => [])
    for (let round = 0; round < rounds; round++)
      for (const [i, [, start]] of sides.entries()) runs[i].push(await start(round))
    const own = runs[0]
    for (const [i, [name]] of sides.entries()) agree(own[0], runs[i][0], name, values.dtype === 'float32' ? 1e-3 : 3e-2)
    const middle = (of: readonly FeatureRun[], key: 'encodeSeconds' | 'encodeCpuSeconds' | 'fitSeconds' | 'peakMb') =>
      median(of.map((one) => one[key]))
    console.log(
      `\n${count} sentences of SST-2, MiniLM-L6, ${values.dtype}, ${values.threads} threads, median of ${rounds}`,
    )
    printTable([
      ['', 'texts/s', 'CPU ms each', 'Tunesmith is', 'in CPU time', 'wanted', 'fit, s', 'accuracy', 'peak, MB'],
      ...sides.map(([name], i) => {
        const ratio = (key: 'encodeSeconds' | 'encodeCpuSeconds') =>
          i === 0 ? '' : `${(middle(runs[i], key) / middle(own, key)).toFixed(2)}x`
        return [
          name,
          (count / middle(runs[i], 'encodeSeconds')).toFixed(0),
          ((1000 * middle(runs[i], 'encodeCpuSeconds')) / count).toFixed(2),
          ratio('encodeSeconds'),
          ratio('encodeCpuSeconds'),
          i === 0 ? '' : `${wanted}x`,
          middle(runs[i], 'fitSeconds').toFixed(2),
          runs[i][0].accuracy.toFixed(4),
          middle(runs[i], 'peakMb').toFixed(0),
        ]
      }),
    ])
    console.log(
      `From the cache, checked and read again: ${median(own.map(({ cachedSeconds = Number.NaN }) => cachedSeconds)).toFixed(3)} s.`,
    )
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const agree = (ours: FeatureRun, theirs: FeatureRun, name: string, bound: number): void => {
  const worst = Math.max(...ours.sample.flatMap((row, i) => row.map((x, k) => Math.abs(x - theirs.sample[i][k]))))
  if (!(worst < bound)) throw new Error(`${name}: features differ by ${worst}, so the times mean nothing`)
  const apart = Math.abs(ours.accuracy - theirs.accuracy)
  if (!(apart <= 0.005)) throw new Error(`${name}: accuracies differ by ${apart}, so the times mean nothing`)
}
