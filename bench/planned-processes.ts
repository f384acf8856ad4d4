// What plans say of training on many cards that nobody here has: memory of a card, bytes on the wire and time of a step. Simulated.
// Options: --counts 8,64,512 --only TEXT
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { formatBytes, formatDuration } from '../src/core/index.ts'
import { encodeShards } from '../src/data/index.ts'
import { type PlanOptions, planRun } from '../src/runs/index.ts'
import { trainTokenizer, writeTokenizerFolder } from '../src/tokenizers/index.ts'
import type { BenchOptions } from './main.ts'
import { printTable } from './side-by-side.ts'

interface Case {
  name: string
  model: { config?: object; type: string; preset?: string }
  objective: string
  vocabulary: number
  /** Tokens of a row, and rows of each card. */
  length: number
  rows: number
  shard: string
}

const llama = { numLayers: 32, hiddenSize: 4096, numHeads: 32, numKvHeads: 32, intermediateSize: 11008 }
const cases: Case[] = [
  {
    name: 'GPT-2 small',
    model: { type: 'gpt2', preset: 'small' },
    objective: 'causal-lm',
    vocabulary: 50257,
    ...{ length: 1024, rows: 32, shard: 'none' },
  },
  {
    name: 'GPT-2 small, ZeRO-2',
    model: { type: 'gpt2', preset: 'small' },
    objective: 'causal-lm',
    vocabulary: 50257,
    ...{ length: 1024, rows: 32, shard: 'gradients' },
  },
  {
    name: 'BERT-base',
    model: { type: 'bert', preset: 'base' },
    objective: 'masked-lm',
    vocabulary: 30522,
    ...{ length: 512, rows: 64, shard: 'none' },
  },
  {
    name: 'Llama 7B, ZeRO-3',
    model: { type: 'llama', config: { ...llama, tiedEmbeddings: false, maxPositions: 4096 } },
    objective: 'causal-lm',
    vocabulary: 32000,
    ...{ length: 4096, rows: 2, shard: 'parameters' },
  },
]

/** The network between cards: NVLink within a machine of 8, InfiniBand of 400 Gb/s for each card between machines. */
const networkOf = (count: number): PlanOptions => (count <= 8 ? {} : { interconnect: 'infiniband-400' })

/** Shards of a small tokenizer: plans need sizes only, and the vocabulary is the recipe's. */
const makeData = async (root: string, { objective }: Case): Promise<{ data: string; tokenizer: string }> => {
  const type = objective === 'masked-lm' ? 'wordpiece' : 'bpe'
  const [tokenizer, data] = [join(root, `tokenizer-${type}`), join(root, `shards-${type}`)]
  const paths = { data, tokenizer }
  if (existsSync(data)) return paths
  const documents = Array.from({ length: 400 }, (_, i) =>
    `the river and the old stone number ${i} sleep in the rain `.repeat(40),
  )
  const { files } = await trainTokenizer(documents, { type, vocabSize: 300 }, { workers: 1 })
  await writeTokenizerFolder(tokenizer, files)
  await encodeShards(documents, tokenizer, data, { validation: 0.1 }, { workers: 1 })
  return paths
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`

const rowOf = async (one: Case, paths: object, count: number): Promise<string[]> => {
  const started = performance.now()
  const { objective, length, rows, shard } = one
  const model = { ...one.model, config: { ...one.model.config, vocabSize: one.vocabulary } }
  const recipe = {
    command: 'pretrain',
    ...{
      model,
      objective: { type: objective },
      ...paths,
      out: 'planned',
      maxLength: length,
      precision: 'bfloat16',
    },
    ...{ batch: { sequences: rows * count, microTokens: rows * length }, budget: { steps: 1000 }, shard, evaluate: {} },
  }
  const { rows: planned } = await planRun(recipe, { gpu: 'h100', count, story: false, ...networkOf(count) })
  const [{ memory, processes, step, parameters }] = planned
  if (processes === undefined || step === undefined) throw new Error('Expected a plan of several processes.')
  const sent = processes.collectives.reduce((sum, { sentBytes }) => sum + sentBytes, 0)
  const calls = processes.collectives.reduce((sum, { kind, calls: own }) => sum + (kind === 'message' ? 0 : own), 0)
  const steps = memory.phases.filter(({ phase }) => !['', 'evaluation'].includes(phase))
  return [
    one.name,
    String(count),
    `${(parameters / 1e6).toFixed(0)}M`,
    formatBytes(memory.peakBytes),
    formatBytes(Math.max(...steps.map(({ peakBytes }) => peakBytes))),
    formatBytes(sent),
    calls.toFixed(0),
    formatDuration(1000 * step.seconds),
    percent(step.communicating / step.seconds),
    percent(step.waiting / step.seconds),
    `${((performance.now() - started) / 1000).toFixed(1)} s`,
  ]
}

export const run = async ({ smoke, rest }: BenchOptions): Promise<void> => {
  const { values } = parseArgs({
    args: rest,
    options: { counts: { type: 'string', default: '8,64,512' }, only: { type: 'string', default: '' } },
  })
  const root = mkdtempSync(join(tmpdir(), 'tunesmith-processes-'))
  try {
    const rows: string[][] = []
    for (const one of cases.filter(({ name }) => name.includes(values.only)).slice(0, smoke ? 1 : undefined)) {
      const paths = await makeData(root, one)
      for (const count of values.counts
        .split(',')
        .map(Number)
        .slice(0, smoke ? 1 : undefined))
        rows.push(await rowOf(one, paths, count))
    }
    const head = ['model', 'cards', 'parameters', 'peak', 'peak of steps', 'sent a step', 'calls', 'step']
    printTable([[...head, 'communicating', 'waiting', 'planned in'], ...rows])
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}
