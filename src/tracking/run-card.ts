// The run card: data, config, versions, machine, time, energy and results of a run.
import { arch, availableParallelism, cpus, platform, totalmem } from 'node:os'
import { join } from 'node:path'
import { formatBytes, formatCount, formatDuration, writeFileAtomic } from '../core/index.ts'

import { runFiles } from './run-files.ts'
import { compareCosts, type RunMeasurement, type RunPrediction } from './run-prediction.ts'

/** The machine of a run. */
export interface Hardware {
  cpu: string
  arch: string
  platform: string
  /** Threads that this process may use. */
  threads: number
  memoryBytes: number
  /** Names of the graphics cards in use. */
  gpus: string[]
}

/** What a run card is made from. */
export interface RunCardInput {
  name: string
  seed: number | string
  /** Versions of Tunesmith, Node, libtorch and other software. */
  versions: Record<string, string>
  /** SHA-256 by its source: shard manifest, tokenizer, base model. */
  dataHashes: Record<string, string>
  /** The recipe with every default filled in. */
  config: unknown
  hardware?: Hardware
  steps: number
  /** Step of the finished model's weights: the best by `keep.best`, or the last. */
  modelStep?: number
  tokens: number
  /** Examples trained on, counted in every epoch. */
  examples?: number
  /** Wall time of all sessions. */
  wallSeconds: number
  /** User and system time of all threads. */
  cpuSeconds: number
  parameters?: number
  /** Estimated floating-point operations of the whole run. */
  flops?: number
  /** Share of the texts whose features an earlier run had computed: time and operations leave out what they cost. */
  cachedShare?: number
  /** Measured energy of the processor. */
  energyJoules?: number
  /** Price of the machine, in any currency. */
  pricePerHour?: number
  currency?: string
  /** Final or best results by metric. */
  results?: Record<string, number>
  /** The metric that tells the model from the references. */
  mainMetric?: string
  /** Scores of predictions that take no training, on the same records. */
  references?: { name: string; metrics: Record<string, number> }[]
  /** Sentences about results that show that the model learned little. */
  warnings?: string[]
  /** What the plan predicted before the first step. */
  prediction?: RunPrediction
  /** What the training steps took. */
  measured?: RunMeasurement
  /** How often the run was resumed. */
  resumed?: number
}

/** The content of run-card.json. */
export interface RunCard extends Omit<RunCardInput, 'pricePerHour' | 'currency'> {
  hardware: Hardware
  cost?: { amount: number; currency: string; pricePerHour: number }
}

/** The machine that this process runs on. */
export const inspectHardware = (gpus: string[] = []): Hardware => ({
  cpu: cpus()[0]?.model.trim() || 'unknown',
  arch: arch(),
  platform: platform(),
  threads: availableParallelism(),
  memoryBytes: totalmem(),
  gpus,
})

/** Makes a run card, with the cost if a price is known. */
export const makeRunCard = ({ pricePerHour, currency = 'USD', ...input }: RunCardInput): RunCard => ({
  ...input,
  hardware: input.hardware ?? inspectHardware(),
  ...(pricePerHour !== undefined && {
    cost: { amount: (input.wallSeconds / 3600) * pricePerHour, currency, pricePerHour },
  }),
})

/** Writes run-card.json and run-card.md into a folder. */
export const writeRunCard = async (folder: string, card: RunCard): Promise<void> => {
  await writeFileAtomic(join(folder, runFiles.card), `${JSON.stringify(card, null, 2)}\n`)
  await writeFileAtomic(join(folder, runFiles.cardText), renderRunCard(card))
}

/** The rows of a card as pairs of name and text; unknown values are left out. */
export const runCardRows = (card: RunCard): [name: string, value: string][] => {
  const { hardware, flops, energyJoules, cost } = card
  const rows: [string, string | undefined][] = [
    ['Seed', String(card.seed)],
    ['Steps', card.steps.toLocaleString('en')],
    ['Tokens', formatCount(card.tokens)],
    ['Examples', card.examples === undefined ? undefined : formatCount(card.examples)],
    ['Parameters', card.parameters === undefined ? undefined : formatCount(card.parameters)],
    ['Wall time', formatDuration(card.wallSeconds * 1000)],
    ['CPU time', formatDuration(card.cpuSeconds * 1000)],
    ['Resumed', card.resumed ? `${card.resumed} times` : undefined],
    ['Compute (estimate)', flops === undefined ? undefined : describeFlops(flops, card.wallSeconds)],
    [
      'Energy of the processor',
      energyJoules === undefined ? undefined : describeEnergy(energyJoules, card.wallSeconds),
    ],
    ['Cost', cost && `${cost.amount.toFixed(2)} ${cost.currency} at ${cost.pricePerHour} ${cost.currency} per hour`],
    ['Processor', `${hardware.cpu}, ${hardware.threads} threads (${hardware.platform} ${hardware.arch})`],
    ['Memory', formatBytes(hardware.memoryBytes)],
    ['Graphics cards', hardware.gpus.length === 0 ? undefined : hardware.gpus.join(', ')],
    ...Object.entries(card.versions).map(([name, version]): [string, string] => [`Version of ${name}`, version]),
  ]
  return rows.filter((row): row is [string, string] => row[1] !== undefined)
}

const describeFlops = (flops: number, seconds: number) =>
  `${flops.toExponential(2)} FLOPs${seconds > 0 ? `, ${Number((flops / seconds / 1e9).toPrecision(3))} GFLOP/s` : ''}`

const describeEnergy = (joules: number, seconds: number) =>
  `${(joules / 3.6e6).toPrecision(3)} kWh${seconds > 0 ? `, ${(joules / seconds).toFixed(1)} W` : ''}`

/** The card as Markdown. */
export const renderRunCard = (card: RunCard): string => {
  const results = Object.entries(card.results ?? {}).map(([name, value]): [string, string] => [
    name,
    String(Number(value.toPrecision(6))),
  ])
  const config = JSON.stringify(card.config, null, 2) ?? 'null'
  // A fence longer than any run of backticks inside.
  const fence = '`'.repeat(Math.max(3, ...[...config.matchAll(/`+/g)].map(([ticks]) => ticks.length + 1)))
  return [
    `# ${card.name.replace(/\s+/g, ' ')}`,
    markdownTable(['What', 'Value'], runCardRows(card)),
    ...(results.length === 0 ? [] : ['## Results', markdownTable(['Metric', 'Value'], results)]),
    ...predictionSection(card),
    '## Data',
    markdownTable(['What', 'SHA-256'], Object.entries(card.dataHashes)),
    '## Configuration',
    `${fence}json\n${config}\n${fence}`,
    '',
  ].join('\n\n')
}

/** What the plan predicted beside what was measured; empty for runs without a plan. */
const predictionSection = ({ prediction, measured }: RunCard): string[] => {
  if (prediction === undefined) return []
  const rows = compareCosts(prediction, measured).map(({ name, predicted, measured: taken, difference }) => [
    name,
    predicted,
    taken,
    difference,
  ])
  return ['## Plan', markdownTable(['What', 'Predicted', 'Measured', 'Difference'], rows)]
}

const markdownTable = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows].map((row) => `| ${row.map(cell).join(' | ')} |`).join('\n')

const cell = (text: string) => text.replace(/\|/g, '\\|').replace(/\s*\n\s*/g, ' ')

/** What the lines are made from. */
export type Verdict = Pick<RunCard, 'results' | 'mainMetric' | 'references' | 'warnings'>

/** A number that is not finite is null in the card's JSON. */
const short = (value: number | null | undefined) =>
  typeof value === 'number' && Number.isFinite(value) ? String(Number(value.toPrecision(4))) : '–'

/** `accuracy 0.91 (majority class 0.505, untrained base 0.49)`; undefined without references. */
export const describeReferences = ({ results = {}, mainMetric, references = [] }: Verdict): string | undefined => {
  if (mainMetric === undefined || references.length === 0) return undefined
  const others = references.map(({ name, metrics }) => `${name} ${short(metrics[mainMetric])}`)
  return `${mainMetric} ${short(results[mainMetric])} (${others.join(', ')})`
}

/** The lines of a verdict: the comparison with the references, then the warnings. */
export const verdictLines = (verdict: Verdict): string[] => {
  const compared = describeReferences(verdict)
  return [
    ...(compared === undefined ? [] : [compared]),
    ...(verdict.warnings ?? []).map((warning) => `warning: ${warning}`),
  ]
}

/** Rows of a table of all metrics: the model first, then each reference. */
export const verdictTable = ({ results = {}, references = [] }: Verdict): { head: string[]; rows: string[][] } => {
  const names = Object.keys(results)
  const row = (name: string, metrics: Record<string, number>) => [
    name,
    ...names.map((metric) => short(metrics[metric])),
  ]
  if (references.length === 0) return { head: [], rows: [] }
  return {
    head: ['predictions of', ...names],
    rows: [row('this model', results), ...references.map(({ name, metrics }) => row(name, metrics))],
  }
}
