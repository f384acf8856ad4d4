// What single methods of fine-tuning bring on a few hundred rows, each against plain fine-tuning with the same rows, rate, steps and seeds:
// SST-2 and the question types of MedQuAD with MiniLM-L6, and answers of MedQuAD with SmolLM2-135M. A run whose folder is finished is not
// repeated, so a study that was stopped continues: `npm run bench -- methods --out FOLDER --parts sst2,types,answers`. Knows rows, settings and
// intervals of the study; the rest is `finetune`.
// Options: --out FOLDER --parts … --seeds 0,1,2 --base FOLDER --generator FOLDER
import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { gunzipSync } from 'node:zlib'
import { createRandom } from '../src/core/index.ts'
import { finetune } from '../src/index.ts'
import { openScoredRuns, scoredRecords } from '../src/runs/index.ts'
import { findTask, quantile, type ScoredUnits, taskConfig } from '../src/tasks/index.ts'
import { modelFiles } from '../src/tracking/index.ts'
import { findSmolLm2 } from './generation/smollm2.ts'
import type { BenchOptions } from './main.ts'
import { prepareSmoke } from './sft/prepare.ts'
import { chosenParts, dataFolder, miniLmFolder, peersPython, printTable } from './side-by-side.ts'

type Row = { [column: string]: string }
type Part = 'sst2' | 'types' | 'answers'

/** Data with settings, and the methods that are tried on it; the first one is plain fine-tuning. */
interface Study {
  rows(smoke: boolean): Promise<{ train: Row[]; validation: Row[] }>
  metrics: readonly string[]
  recipe: object
  methods: Readonly<Record<string, object>>
}

const words = (text: string): string[] => text.split(/\s+/).filter((word) => word !== '')

const shuffled = <Item>(name: string, items: readonly Item[]): Item[] => {
  const all = [...items]
  createRandom(`bench/methods ${name}`).shuffle(all)
  return all
}

const tsv = (text: string): Row[] =>
  text
    .split('\n')
    .slice(1)
    .filter((line) => line.includes('\t'))
    .map((line) => {
      const [sentence, label] = line.split('\t')
      return { text: sentence.trim(), label: label.trim() === '1' ? 'positive' : 'negative' }
    })

/** Answers of MedQuAD with the type of their question, one of each document, so that no document is in both parts. */
const typedAnswers = (): Row[] => {
  const archive = gunzipSync(readFileSync(join(dataFolder(), 'medquad', 'MedQuAD-subset.tar.gz'))).toString('utf8')
  const documents = archive.split('<Document ').slice(1)
  const rows = shuffled('documents', documents).flatMap((document): Row[] => {
    const pairs = [...document.matchAll(/qtype="([^"]+)"[^>]*>[\s\S]*?<\/Question>\s*<Answer>([\s\S]*?)<\/Answer>/g)]
    const full = pairs.filter(([, , answer]) => words(answer).length >= 10)
    const [pair] = shuffled(`pairs ${document.slice(0, 40)}`, full)
    return pair === undefined ? [] : [{ text: words(pair[2]).slice(0, 48).join(' '), label: pair[1] }]
  })
  const counts = new Map<string, number>()
  for (const { label } of rows) counts.set(label, (counts.get(label) ?? 0) + 1)
  // Rarer types have no row in one of the parts.
  return rows.filter(({ label }) => (counts.get(label) as number) >= 12)
}

const encoder = {
  task: 'sequence-classification',
  variant: 'full',
  precision: 'bfloat16',
  learningRate: 5e-5,
  batch: { sequences: 32 },
  // That of MiniLM-L6, named as R-Drop needs some.
  dropout: 0.1,
}

const studies: Readonly<Record<Part, Study>> = {
  sst2: {
    async rows(smoke) {
      const read = (file: string) => readFileSync(join(dataFolder(), 'sst2', file))
      const train = shuffled('sst2', tsv(gunzipSync(read('train.tsv.gz')).toString('utf8')))
      const validation = tsv(read('dev.tsv').toString('utf8'))
      return { train: train.slice(0, smoke ? 32 : 300), validation: validation.slice(0, smoke ? 16 : undefined) }
    },
    metrics: ['accuracy'],
    recipe: { ...encoder, maxLength: 64, budget: { steps: 100 } },
    methods: {
      plain: {},
      'dropout 0.2, plain 0.1': { dropout: 0.2 },
      'mixout 0.7': { mixout: 0.7 },
      'FGM 0.5': { fgmEpsilon: 0.5 },
      'FGM 0.05': { fgmEpsilon: 0.05 },
      'R-Drop 1': { settings: { rDrop: 1 } },
      'label smoothing 0.1': { settings: { labelSmoothing: 0.1 } },
      'focal loss 2': { settings: { focalGamma: 2 } },
      'NEFTune 5': { neftuneAlpha: 5 },
    },
  },
  types: {
    async rows(smoke) {
      const rows = typedAnswers()
      const [train, validation] = smoke
        ? [rows.slice(0, 60), rows.slice(60, 80)]
        : [rows.slice(0, 300), rows.slice(300, 900)]
      return { train, validation }
    },
    metrics: ['f1Macro', 'accuracy'],
    recipe: { ...encoder, maxLength: 64, budget: { steps: 100 } },
    methods: {
      plain: {},
      'resampling balanced': { resample: 'balanced' },
      'resampling sqrt': { resample: 'sqrt' },
      'class weights balanced': { settings: { classWeights: 'balanced' } },
      'focal loss 2': { settings: { focalGamma: 2 } },
      'label smoothing 0.1': { settings: { labelSmoothing: 0.1 } },
    },
  },
  answers: {
    // One question of each page, and no answer twice; short answers, which are read whole.
    async rows(smoke) {
      const task = findTask('generative-qa')
      const path = join(dataFolder(), 'medquad', 'MedQuAD-subset.tar.gz')
      const { records } = await task.read(path, taskConfig(task, {}, 'medquad'))
      const pages = new Set<string>()
      const rows: Row[] = []
      for (const record of shuffled('answers', records)) {
        const { question, references } = record as unknown as { question: string; references: string[] }
        const [answer] = references.map((text) => words(text).join(' '))
        const length = words(answer).length
        if (pages.has(record.file) || pages.has(answer) || length < 10 || length > 60) continue
        pages.add(record.file).add(answer)
        rows.push({ question, answer })
      }
      return smoke
        ? { train: rows.slice(0, 16), validation: rows.slice(16, 20) }
        : { train: rows.slice(0, 96), validation: rows.slice(96, 144) }
    },
    metrics: ['perplexity'],
    recipe: {
      task: 'generative-qa',
      variant: 'lora',
      adapter: { rank: 8 },
      precision: 'bfloat16',
      learningRate: 5e-4,
      batch: { sequences: 8 },
      maxLength: 128,
      budget: { steps: 12 },
      answers: { duringTraining: 0, atEnd: 0, samples: 0 },
    },
    methods: { plain: {}, 'NEFTune 5': { neftuneAlpha: 5 } },
  },
}

const folderOf = (out: string, part: Part, method: string, seed: number): string =>
  join(out, part, `${method.replace(/[^A-Za-z0-9.]+/g, '-')}-seed-${seed}`)

const cpuFile = 'cpu-seconds.json'

const seconds = (): number => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

/** Trains what is not finished, and keeps the CPU seconds of each run beside it. */
const train = async (
  out: string,
  part: Part,
  base: string,
  seeds: readonly number[],
  smoke: boolean,
): Promise<void> => {
  const { rows, recipe, methods } = studies[part]
  const { train: own, validation } = await rows(smoke)
  const data = join(out, part)
  mkdirSync(data, { recursive: true })
  const write = (name: string, lines: readonly Row[]): string => {
    const file = join(data, `${name}.jsonl`)
    writeFileSync(file, lines.map((row) => `${JSON.stringify(row)}\n`).join(''))
    return file
  }
  const files = { data: write('train', own), validation: write('validation', validation) }
  console.log(`${part}: ${own.length} rows to train on, ${validation.length} to score`)
  // Seeds first, so that a study that is stopped has all methods with fewer seeds.
  for (const seed of seeds)
    for (const [method, settings] of Object.entries(methods)) {
      const folder = folderOf(out, part, method, seed)
      if (existsSync(join(folder, cpuFile))) continue
      const before = seconds()
      const input = {
        ...recipe,
        ...(smoke ? { budget: { steps: 2 } } : {}),
        ...settings,
        ...files,
        ...{ base, seed, out: folder, untrainedBaseline: false },
        // The last weights are scored, once.
        evaluate: { steps: 100_000 },
      }
      await finetune(input as unknown as Parameters<typeof finetune>[0])
      writeFileSync(join(folder, cpuFile), JSON.stringify(seconds() - before))
    }
}

interface Scored {
  units: ScoredUnits
  cpuSeconds: number
}

const scored = async (folder: string): Promise<Scored> => {
  const [run] = await openScoredRuns(folder)
  const records = await scoredRecords(run, folder)
  const predictions = await run.comparison.predictions(join(run.model, modelFiles.predictions), records, run.recipe)
  const units = run.comparison.score(records, predictions, run.recipe, run.evaluation.labels)
  return { units, cpuSeconds: JSON.parse(readFileSync(join(folder, cpuFile), 'utf8')) as number }
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length

/** Mean difference of two methods over the seeds, with the 95 % interval of resampled seeds and rows, the same for both. */
const differenceOf = (own: readonly Scored[], plain: readonly Scored[], metric: string) => {
  const random = createRandom('bench/methods intervals')
  const { units } = own[0].units
  const of = (counts: Uint32Array | undefined, seeds: readonly number[]): number =>
    mean(seeds.map((i) => own[i].units.scores(counts)[metric] - plain[i].units.scores(counts)[metric]))
  const all = own.map((_, i) => i)
  const drawn = Float64Array.from({ length: 1000 }, () => {
    const counts = new Uint32Array(units)
    for (let i = 0; i < units; i++) counts[random.integer(units)]++
    return of(
      counts,
      all.map(() => random.integer(all.length)),
    )
  }).sort()
  return { value: of(undefined, all), low: quantile(drawn, 0.025), high: quantile(drawn, 0.975) }
}

const report = async (out: string, part: Part, seeds: readonly number[]): Promise<void> => {
  const { methods, metrics } = studies[part]
  const names = Object.keys(methods)
  const found = new Map<string, Scored[]>()
  for (const name of names)
    found.set(name, await Promise.all(seeds.map((seed) => scored(folderOf(out, part, name, seed)))))
  const plain = found.get(names[0]) as Scored[]
  const cpu = (all: readonly Scored[]): number => mean(all.map(({ cpuSeconds }) => cpuSeconds))
  for (const metric of metrics) {
    const text = (value: number) => value.toFixed(metric === 'perplexity' ? 3 : 4)
    const rows = names.map((name) => {
      const own = found.get(name) as Scored[]
      const values = own.map(({ units }) => units.scores()[metric])
      const { value, low, high } = differenceOf(own, plain, metric)
      return [
        name,
        values.map(text).join(', '),
        text(mean(values)),
        name === names[0] ? '' : `${text(value)} [${text(low)}, ${text(high)}]`,
        cpu(own).toFixed(1),
        (cpu(own) / cpu(plain)).toFixed(2),
      ]
    })
    console.log(`\n${part}, ${metric}, seeds ${seeds.join(', ')}`)
    printTable([['method', 'by seed', 'mean', 'difference to plain', 'CPU s', 'of plain'], ...rows])
  }
}

/** Runs the parts that `--parts` names. */
export const run = async ({ smoke, rest }: BenchOptions): Promise<void> => {
  const { values } = parseArgs({
    args: rest,
    options: {
      out: { type: 'string' },
      parts: { type: 'string', default: Object.keys(studies).join() },
      seeds: { type: 'string', default: smoke ? '0,1' : '0,1,2' },
      base: { type: 'string' },
      generator: { type: 'string' },
    },
  })
  const out = values.out ?? mkdtempSync(join(tmpdir(), 'tunesmith-methods-'))
  const seeds = values.seeds.split(',').map(Number)
  const smokeBase = smoke ? await prepareSmoke(join(out, 'base')) : undefined
  for (const part of chosenParts(values.parts, Object.keys(studies)) as Part[]) {
    const base =
      smokeBase ??
      (part === 'answers'
        ? (values.generator ?? findSmolLm2(peersPython() ?? 'python3'))
        : (values.base ?? miniLmFolder()))
    await train(out, part, base, seeds, smoke)
    await report(out, part, seeds)
  }
}
