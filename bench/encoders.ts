// An encoder in 8 bits beside onnxruntime's: sentences of SST-2 of mixed lengths through MiniLM-L6 to vectors, and how well a logistic
// regression on the vectors predicts the label. Sides: ours in int8, Q8_0 and float32, and onnxruntime with the files that `export --to onnx`
// and `onnx:q8` write, sorted by length in padded batches. The sides run in turns, each in a process of its own.
// Options: --n training sentences, --rounds, --threads, --batch rows of onnxruntime's batches, --model, --files name=FILE.onnx,…: more
// files for onnxruntime, such as those of its own quantisation.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { createRandom } from '../src/core/index.ts'
import { exportModel } from '../src/export/index.ts'
import { logisticRegression } from '../src/features/learners/logistic-regression.ts'
import { Tensor } from '../src/tensor/index.ts'
import { type LabelledText, sst2 } from './encoders/sst2.ts'
import type { BenchOptions } from './main.ts'
import { median, miniLmFolder, printTable, runOurs } from './side-by-side.ts'

/** What a side measured; seconds are of one pass over the training texts. */
export interface EncoderRun {
  seconds: number
  cpuSeconds: number
  /** Elements of a vector. */
  width: number
}

/** How many times faster than onnxruntime in 8 bits it is to be, and the points of accuracy that may be lost. */
const [wanted, points] = [1.5, 0.5]

/** Accuracy on the vectors of the validation texts, in percent. */
const accuracyOf = async (
  vectors: Float32Array,
  width: number,
  { train, dev }: { train: LabelledText[]; dev: LabelledText[] },
): Promise<number> => {
  const rows = (from: number, count: number) =>
    Tensor.from(vectors.subarray(from * width, (from + count) * width), { shape: [count, width] })
  const answers = Float64Array.from(train, ({ label }) => label)
  const config = logisticRegression.config.parse({})
  const features = rows(0, train.length).keep()
  const fitted = await logisticRegression.fit({ kind: 'class', outputs: 2, features, answers }, config, { seed: 0 })
  const scores = fitted.scores(rows(train.length, dev.length)).toFloat32Array()
  const right = dev.filter(({ label }, i) => Number(scores[2 * i + 1] > scores[2 * i]) === label).length
  return (100 * right) / dev.length
}

export const run = async ({ smoke, rest }: BenchOptions): Promise<void> => {
  const { values } = parseArgs({
    args: rest,
    options: {
      n: { type: 'string', default: '4000' },
      rounds: { type: 'string', default: '3' },
      threads: { type: 'string', default: String(cpus().length) },
      batch: { type: 'string', default: '32' },
      model: { type: 'string', default: miniLmFolder() },
      files: { type: 'string', default: '' },
    },
  })
  const { model, threads, batch } = values
  if (!existsSync(model)) throw new Error(`Expected MiniLM-L6 in ${model}, got none. Name its folder with --model.`)
  const [count, rounds] = smoke ? [64, 1] : [Number(values.n), Number(values.rounds)]
  const folder = mkdtempSync(join(tmpdir(), 'tunesmith-encoders-'))
  try {
    const all = sst2('train')
    const train = createRandom('bench/encoders').shuffle(all).slice(0, count)
    const dev = sst2('dev').slice(0, smoke ? 16 : undefined)
    const texts = join(folder, 'texts.json')
    writeFileSync(texts, JSON.stringify([...train, ...dev].map(({ text }) => text)))
    const { files } = await exportModel({ model, to: ['onnx', 'onnx:q8'], out: join(folder, 'onnx'), prove: false })
    const written = (end: string) =>
      join(folder, 'onnx', files.map(({ name }) => name).find((name) => name.endsWith(end)) ?? '')
    const ours = (weights: string) => (out: string) =>
      runOurs<EncoderRun>('bench/encoders/ours.ts', [model, texts, out, String(count), threads, weights])
    const theirs = (file: string) => (out: string) =>
      runOurs<EncoderRun>('bench/encoders/onnx.ts', [file, texts, out, String(count), threads, batch, model])
    const more = values.files === '' ? [] : values.files.split(',').map((one) => one.split('=') as [string, string])
    const sides: [name: string, start: (out: string) => Promise<EncoderRun>][] = [
      ['Tunesmith, int8', ours('int8')],
      ['onnxruntime, int8', theirs(written('model_quantized.onnx'))],
      ...more.map(([name, file]): [string, ReturnType<typeof theirs>] => [`onnxruntime, ${name}`, theirs(file)]),
      ['Tunesmith, Q8_0', ours('q8_0')],
      ['Tunesmith, float32', ours('float32')],
      ['onnxruntime, float32', theirs(written('model.onnx'))],
    ]
    const runs = sides.map((): EncoderRun[] => [])
    const out = (i: number) => join(folder, `vectors-${i}`)
    for (let round = 0; round < rounds; round++)
      for (const [i, [, start]] of sides.entries()) runs[i].push(await start(out(i)))
    const accuracies: number[] = []
    for (const [i, [{ width }]] of runs.entries()) {
      const bytes = readFileSync(out(i))
      const vectors = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)
      accuracies.push(await accuracyOf(vectors, width, { train, dev }))
    }
    const ratios = (i: number, key: 'seconds' | 'cpuSeconds') =>
      `${median(runs[i].map((one, round) => one[key] / runs[0][round][key])).toFixed(2)}x`
    console.log(
      `\n${count} sentences of SST-2, MiniLM-L6, ${threads} threads, median of ${rounds}; wanted: ${wanted}x of int8, ${points} points`,
    )
    printTable([
      ['', 'texts/s', 'CPU ms each', 'ours in int8 is', 'in CPU time', 'accuracy, %'],
      ...sides.map(([name], i) => [
        name,
        (count / median(runs[i].map(({ seconds }) => seconds))).toFixed(0),
        ((1000 * median(runs[i].map(({ cpuSeconds }) => cpuSeconds))) / count).toFixed(2),
        ...(i === 0 ? ['', ''] : [ratios(i, 'seconds'), ratios(i, 'cpuSeconds')]),
        accuracies[i].toFixed(2),
      ]),
    ])
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
