// The evaluation of a model as files beside it: scores with intervals, scores of references, the prediction for each record, and what its card
// says of it. Independent of what was learned; runs no model.
import { readFile, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { DataError, exists, formatCount } from '../../core/index.ts'
import { type ScoreIntervals, scoresOf, type TaskSummary } from '../../tasks/index.ts'
import {
  type CardData,
  type CardResult,
  type CardTable,
  isLowerBetter,
  licenseOf,
  type ModelCardInput,
  modelFiles,
  type RunCard,
  readRunCard,
  renderModelCard,
  runCardRows,
  runFiles,
} from '../../tracking/index.ts'
import type { RecordFacts } from '../examples/run-data.ts'
import type { FinalScores } from './run-kind.ts'

/** Scores of predictions that take no training, on the same records. */
export interface ReferenceScores {
  /** `majority class`, `untrained base` … */
  name: string
  metrics: ScoreIntervals
}

/** The content of evaluation.json. Equal runs give equal content: seconds are in timing.json. */
export interface Evaluation extends Omit<TaskSummary, 'seconds'> {
  /** Names of the head's labels, in the order of their ids. */
  labels?: string[]
  /** Of the scored records. */
  records?: RecordFacts
  parameters?: { trained: number; total: number }
  references?: ReferenceScores[]
}

/** The content of timing.json. */
interface EvaluationTiming {
  /** Encoding, model and decoding. */
  seconds: number
  examplesPerSecond: number
}

interface EvaluationFiles {
  result: TaskSummary
  /** Of the records that were scored. */
  records: RecordFacts
  /** Lines of JSON in the order of the records, in pieces. */
  predictions: AsyncIterable<string | Uint8Array>
  labels?: readonly string[]
  parameters: { trained: number; total: number }
  references: readonly ReferenceScores[]
}

const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`

/** Writes evaluation.json, timing.json and predictions.jsonl into the folder of a model. */
export const writeEvaluationFiles = async (
  folder: string,
  { result, records, predictions, labels, parameters, references }: EvaluationFiles,
): Promise<void> => {
  const { seconds, ...summary } = result
  const evaluation: Evaluation = {
    ...summary,
    labels: labels && [...labels],
    records,
    parameters,
    references: [...references],
  }
  const timing: EvaluationTiming = { seconds, examplesPerSecond: seconds > 0 ? summary.examples / seconds : 0 }
  await writeFile(join(folder, modelFiles.evaluation), json(evaluation))
  await writeFile(join(folder, modelFiles.timing), json(timing))
  await writeFile(join(folder, modelFiles.predictions), predictions)
}

/** The evaluation in the folder of a model; undefined if there is none. @throws DataError for a damaged file */
export const readEvaluation = async (folder: string): Promise<Evaluation | undefined> => {
  const path = join(folder, modelFiles.evaluation)
  const text = await readFile(path, 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  try {
    const evaluation = JSON.parse(text) as Evaluation
    // JSON writes NaN as null.
    for (const metrics of [evaluation.metrics, ...(evaluation.references ?? []).map((each) => each.metrics)])
      for (const interval of Object.values(metrics))
        for (const bound of ['value', 'low', 'high'] as const) interval[bound] ??= Number.NaN
    return evaluation
  } catch (error) {
    throw new DataError(`Expected an evaluation, got ${(error as Error).message}. Evaluate the model again.`, path)
  }
}

export const untrainedBase = 'untrained base'

interface Evaluated {
  metrics: ScoreIntervals
  mainMetric: string
}

const short = (value: number) => String(Number(value.toPrecision(4)))

/** Lines about references that the model does not beat: by a clear margin, or at all in the case of the base that it comes from. */
const notBeaten = ({ metrics, mainMetric }: Evaluated, references: readonly ReferenceScores[]): string[] => {
  const own = metrics[mainMetric]
  if (own === undefined || !Number.isFinite(own.value)) return []
  const lower = isLowerBetter(mainMetric)
  const beats = (value: number, reference: number) => (lower ? value < reference : value > reference)
  // The same records answer both for the base and for the model: the interval, which is over records, is too wide for this.
  const bound = lower ? own.high : own.low
  return references.flatMap(({ name, metrics: theirs }) => {
    const reference = theirs[mainMetric]?.value
    if (reference === undefined || !Number.isFinite(reference)) return []
    const scores = `${mainMetric} ${short(own.value)} is`
    if (!beats(own.value, reference))
      return [`${scores} not better than the baseline \`${name}\` (${short(reference)}).`]
    if (name === untrainedBase || !Number.isFinite(bound) || beats(bound, reference)) return []
    return [
      `${scores} not clearly better than the baseline \`${name}\` (${short(reference)}): with so few records, the interval reaches ${short(bound)}.`,
    ]
  })
}

/** @param more.advice what to look at if the model is no better than a reference; `warnings` of the task about the predictions */
export const finalScores = (
  evaluated: Evaluated,
  references: readonly ReferenceScores[],
  { advice, warnings = [] }: { advice: string; warnings?: readonly string[] },
): FinalScores => {
  const missed = notBeaten(evaluated, references)
  return {
    metrics: scoresOf(evaluated),
    mainMetric: evaluated.mainMetric,
    references: references.map(({ name, metrics }) => ({ name, metrics: scoresOf({ metrics }) })),
    warnings: [...missed, ...(missed.length === 0 ? [] : [advice]), ...warnings],
  }
}

interface CardRecipe {
  base?: string
  data?: unknown
  validation?: unknown
  task?: string
  variant?: string
}

const dataNames = (value: unknown, use: string): CardData[] =>
  [value].flat().flatMap((one: unknown) => {
    const path = typeof one === 'string' ? one : (one as { path?: unknown } | null)?.path
    return typeof path === 'string' ? [{ name: basename(path), use }] : []
  })

/** A Hub id, or the name of a folder: no path of this machine goes into a card. */
export const publicName = async (base: string): Promise<string> => ((await exists(base)) ? nameOfFolder(base) : base)

const nameOfFolder = (path: string): string =>
  basename(path) === runFiles.model ? basename(dirname(path)) : basename(path)

const readLicense = async (folder: string): Promise<string | undefined> => {
  for (const path of [join(folder, 'README.md'), join(folder, runFiles.model, 'README.md')]) {
    const found = licenseOf(await readFile(path, 'utf8').catch(() => ''))
    if (found !== undefined) return found
  }
  return undefined
}

/** Facts of a model, as far as its folder has them. */
export type CardFacts = Pick<
  ModelCardInput,
  'base' | 'relation' | 'license' | 'data' | 'results' | 'task' | 'tables' | 'limitations'
>

const referencesTable = (references: readonly ReferenceScores[], metric: string): CardTable[] => {
  const rows = references.flatMap(({ name, metrics }) =>
    metrics[metric] === undefined ? [] : [[name, short(metrics[metric].value)]],
  )
  const text = 'Scores without training, on the same records.'
  return rows.length === 0 ? [] : [{ title: 'References', text, header: ['reference', metric], rows }]
}

const costTable = (run: RunCard, variant: string | undefined, parameters: Evaluation['parameters']): CardTable => {
  const rows: string[][] = []
  if (variant !== undefined) rows.push(['Method', variant])
  if (parameters !== undefined)
    rows.push(['Trained parameters', `${formatCount(parameters.trained)} of ${formatCount(parameters.total)}`])
  return { title: 'Training and its cost', header: ['what', 'value'], rows: [...rows, ...runCardRows(run)] }
}

/** Reads what the folder of a model, and the run that it is in, say about it. */
export const readCardFacts = async (folder: string): Promise<CardFacts> => {
  const evaluation = await readEvaluation(folder)
  const run = basename(folder) === runFiles.model ? await readRunCard(dirname(folder)) : undefined
  const recipe = (run?.config ?? {}) as CardRecipe
  const results = Object.entries(evaluation?.metrics ?? {}).flatMap(([metric, { value, low, high }]): CardResult[] =>
    Number.isFinite(value) ? [{ metric, value, ...(Number.isFinite(low) ? { low, high } : {}) }] : [],
  )
  const validation = dataNames(recipe.validation, 'validation')
  const records = evaluation?.records?.count
  const isAdapter = await exists(join(folder, 'adapter_config.json'))
  const { base, task, variant } = recipe
  const held =
    validation.length > 0 || records === undefined ? validation : [{ name: 'a share of the data', use: 'validation' }]
  return {
    ...(base !== undefined && { base: await publicName(base), relation: isAdapter ? 'adapter' : 'finetune' }),
    license: (await readLicense(folder)) ?? (base === undefined ? undefined : await readLicense(base)),
    task,
    data: [...dataNames(recipe.data, 'training'), ...held.map((one) => ({ ...one, records }))],
    results,
    tables: [
      ...referencesTable(evaluation?.references ?? [], evaluation?.mainMetric ?? ''),
      ...(run === undefined ? [] : [costTable(run, variant, evaluation?.parameters)]),
    ],
    limitations: [...(run?.warnings ?? [])],
  }
}

const summaryOf = ({ task, base }: CardFacts): string => {
  if (task !== undefined) return `${base ?? 'A model'}, fine-tuned for ${task}.`
  return base === undefined ? 'A language model, pretrained from scratch.' : `${base}, trained further.`
}

export const runModelCard = async (folder: string, name: string): Promise<string> => {
  const facts = await readCardFacts(folder)
  return renderModelCard({
    ...facts,
    name,
    summary: summaryOf(facts),
    library: facts.relation === 'adapter' ? 'peft' : 'transformers',
    limitations: [
      ...(facts.limitations ?? []),
      'Measured on the records above only: other texts, languages and domains were not tested.',
    ],
  })
}
