// Models against transformers: opening a 124M checkpoint, and an encoder (MiniLM-L6's shape) over batches of one length and of the lengths
// that questions and passages have. Both sides run the same files and ids, and must give the same numbers.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { saveModel } from '../src/checkpoint/index.ts'
import { buildModel, type HeadType, type ModelDefinition, models } from '../src/models/index.ts'
import { Generator } from '../src/tensor/index.ts'
import type { BenchOptions } from './main.ts'
import { makeBatches } from './models/batches.ts'
import { chosenParts, median, peersPython, printTable, runJson, runOurs } from './side-by-side.ts'

interface LoadRun {
  loadMs: number
  firstLogitsMs: number
  sample: number[]
  peakMb: number
}

interface EncodeRun {
  seconds: number[]
  cpuSeconds: number[]
  examples: number
  sample: number[]
}

const agree = (ours: readonly number[], theirs: readonly number[], what: string): void => {
  const worst = Math.max(...ours.map((value, i) => Math.abs(value - theirs[i])))
  if (!(worst < 1e-3)) throw new Error(`${what}: the sides differ by ${worst}, so their times mean nothing`)
}

const writeModel = async (entry: unknown, changes: Record<string, unknown>, head: HeadType, folder: string) => {
  const definition = entry as ModelDefinition
  const model = buildModel(definition, definition.adjust({}, changes), head)
  await saveModel(model.initialize({ std: 0.02, generator: new Generator(1) }), folder)
}

const loading = async (
  name: string,
  { folder, threads, rounds }: { folder: string; threads: string; rounds: number },
  python: string | undefined,
) => {
  const ours: LoadRun[] = []
  const theirs: LoadRun[] = []
  for (let round = 0; round < rounds; round++) {
    ours.push(await runOurs<LoadRun>('bench/models/load.ts', [folder, threads]))
    if (python !== undefined) theirs.push(await runJson(python, ['bench/peers/models.py', 'load', folder, threads]))
  }
  if (theirs.length > 0) agree(ours[0].sample, theirs[0].sample, 'loading')
  console.log(`\nOpening ${name}, float32, files in the page cache, median of ${rounds}`)
  const row = (title: string, key: 'loadMs' | 'firstLogitsMs' | 'peakMb') => {
    const [own, peer] = [ours, theirs].map((runs) => median(runs.map((run) => run[key])))
    return [title, own.toFixed(0), peer?.toFixed(0) ?? '-', peer === undefined ? '-' : `${(peer / own).toFixed(2)}x`]
  }
  printTable([
    ['', 'Tunesmith', 'transformers', 'transformers / Tunesmith'],
    row('load, ms', 'loadMs'),
    row('load to first logits, ms', 'firstLogitsMs'),
    row('peak memory, MB', 'peakMb'),
  ])
}

/** What each batch is run as: ours, and the ways of transformers that it stands beside. */
const matches = [
  { name: '32 x 128', ours: 'fixed', theirs: ['fixed'] },
  { name: 'mixed lengths, padded', ours: 'padded', theirs: ['padded', 'sorted'] },
  { name: 'mixed lengths, unpadded', ours: 'packed', theirs: ['padded', 'sorted'] },
]
const theirNames: Record<string, string> = {
  fixed: 'sdpa',
  padded: 'sdpa, padded to the longest',
  sorted: 'sdpa, sorted by length first',
}

const encoding = async (
  folder: string,
  { threads, runs, rounds, batches }: { threads: string; runs: string; rounds: number; batches: number },
  python: string | undefined,
) => {
  const file = join(folder, 'batches.json')
  const data = await makeBatches(batches)
  writeFileSync(file, JSON.stringify(data))
  const lengths = data.mixed.flat().map((ids) => ids.length)
  const tokens = lengths.reduce((sum, length) => sum + length)
  const padded = data.mixed.reduce((sum, rows) => sum + rows.length * Math.max(...rows.map((ids) => ids.length)), 0)
  const found = new Map<string, EncodeRun[]>()
  const add = (key: string, run: EncodeRun) => found.set(key, [...(found.get(key) ?? []), run])
  for (let round = 0; round < rounds; round++) {
    for (const mode of ['fixed', 'padded', 'packed'])
      add(`ours ${mode}`, await runOurs<EncodeRun>('bench/models/encode.ts', [folder, file, mode, runs, threads]))
    if (python !== undefined)
      for (const mode of ['fixed', 'padded', 'sorted'])
        add(mode, await runJson(python, ['bench/peers/models.py', 'encode', folder, file, mode, runs, threads]))
  }
  const best = (key: string, field: 'seconds' | 'cpuSeconds'): number =>
    Math.min(...(found.get(key) ?? []).map((run) => median(run[field]) / run.examples))
  const rows: string[][] = [
    [
      'batch',
      'Tunesmith, examples/s',
      'CPU ms each',
      'transformers',
      'examples/s',
      'CPU ms each',
      'Tunesmith is',
      'in CPU time',
    ],
  ]
  for (const { name, ours, theirs } of matches)
    for (const mode of python === undefined ? [] : theirs) {
      const [own, peer] = [`ours ${ours}`, mode].map((key) => ({
        wall: best(key, 'seconds'),
        cpu: best(key, 'cpuSeconds'),
      }))
      agree(found.get(`ours ${ours}`)![0].sample, found.get(mode)![0].sample, name)
      rows.push([
        name,
        (1 / own.wall).toFixed(1),
        (own.cpu * 1000).toFixed(2),
        theirNames[mode],
        (1 / peer.wall).toFixed(1),
        (peer.cpu * 1000).toFixed(2),
        `${(peer.wall / own.wall).toFixed(2)}x`,
        `${(peer.cpu / own.cpu).toFixed(2)}x`,
      ])
    }
  if (python === undefined)
    for (const { name, ours } of matches)
      rows.push([
        name,
        (1 / best(`ours ${ours}`, 'seconds')).toFixed(1),
        (best(`ours ${ours}`, 'cpuSeconds') * 1000).toFixed(2),
      ])
  console.log(
    `\nEncoder of MiniLM-L6's shape, float32, ${threads} threads, batches of 32; mixed: ${lengths.length} questions and passages, ` +
      `${(tokens / lengths.length).toFixed(0)} tokens on average, ${((1 - tokens / padded) * 100).toFixed(0)} % padding when padded to the longest`,
  )
  printTable(rows)
}

const allParts = ['loading', 'encoding']

export const run = async ({ smoke, rest }: BenchOptions): Promise<void> => {
  const { values } = parseArgs({
    args: rest,
    options: {
      parts: { type: 'string', default: allParts.join() },
      threads: { type: 'string', default: String(cpus().length) },
      rounds: { type: 'string', default: '3' },
      runs: { type: 'string', default: '3' },
      batches: { type: 'string', default: '8' },
    },
  })
  const parts = chosenParts(values.parts, allParts)
  const python = smoke ? undefined : peersPython()
  if (python === undefined)
    console.log('SKIPPED the Python peers: no environment. Make it with `node bench/peers/setup.mjs`.')
  const folder = mkdtempSync(join(tmpdir(), 'tunesmith-models-'))
  const rounds = smoke ? 1 : Number(values.rounds)
  try {
    if (parts.includes('loading')) {
      const preset = (large: object, small: object) => ({ ...(smoke ? small : large) })
      const { gpt2, bert } = models
      const sizes = { folder: join(folder, 'gpt2'), threads: values.threads, rounds }
      await writeModel(gpt2, preset(gpt2.presets.small, gpt2.presets.test), 'causal-lm', sizes.folder)
      // Its files hold matrices the other way round: products read them as they lie.
      await loading('GPT-2 small (124M)', sizes, python)
      await writeModel(bert, preset(bert.presets.base, bert.presets.test), 'masked-lm', join(folder, 'bert'))
      await loading('BERT base (110M)', { ...sizes, folder: join(folder, 'bert') }, python)
    }
    if (parts.includes('encoding')) {
      const where = join(folder, 'minilm')
      const shape = { hiddenSize: 384, numLayers: smoke ? 1 : 6, numHeads: 12, intermediateSize: 1536 }
      await writeModel(models.bert, shape, 'embedding', where)
      const sizes = smoke ? { runs: '1', batches: 1 } : { runs: values.runs, batches: Number(values.batches) }
      await encoding(where, { ...sizes, threads: values.threads, rounds }, python)
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
