// Generalist against specialist: the base and every specialist on every task, and what fine-tuning cost the base on its corpus.
// Runs the models; scores that a run has in its files are not computed again.
import { basename, resolve } from 'node:path'
import { ConfigError, DataError, TunesmithError } from '../../core/index.ts'
import { LanguageHead } from '../../models/index.ts'
import {
  dataSetsOf,
  fineTunedTask,
  openScoredRuns,
  type ScoredRun,
  scoredRecords,
  shortNames,
} from '../../runs/index.ts'
import {
  evaluateLanguageModelling,
  evaluateTask,
  findTask,
  type Interval,
  type ScoredModel,
  type TaskRecord,
  taskConfig,
} from '../../tasks/index.ts'
import { isLowerBetter } from '../../tracking/index.ts'
import type { EvaluateHooks } from '../evaluations/evaluation.ts'
import { dataHash } from '../evaluations/evaluation.ts'
import { openLanguageSource } from '../evaluations/language-modelling.ts'
import { type InferenceModel, loadForInference, loadLanguageModel } from '../load.ts'
import { type KeptScores, modelHash, openKeptScores } from './kept-scores.ts'

/** What is compared. */
export interface MatrixInput {
  /** Folders of finished fine-tuning runs. */
  runs: readonly string[]
  /** Text of the base's corpus: token shards, a corpus or files, for the perplexity before and after fine-tuning. */
  corpus?: string | undefined
  /** Tokens of the corpus to score (default: all). */
  corpusTokens?: number | undefined
  /** Validation records of each task to score, spread evenly (default: all, with the scores that runs have in their files). */
  limit?: number | undefined
  /** Dtype of the weights (default: that of the files). With one, scores that runs have in their files are computed again. */
  dtype?: 'float32' | 'bfloat16' | undefined
  resamples?: number | undefined
  seed?: number | undefined
  /** File in which finished scores are kept: a comparison that was stopped continues with them. */
  keep?: string | undefined
}

/** A score with its interval, or why there is none. */
export type MatrixCell = Interval | { missing: string }

/** A model as a row. */
export interface MatrixRow {
  name: string
  kind: 'base' | 'specialist'
  /** Task of the specialist. */
  task?: string
  /** By column. */
  cells: MatrixCell[]
  /** Perplexity on the corpus of the base. */
  perplexity?: MatrixCell
  /** Perplexity divided by that of the base, minus 1: what was forgotten. */
  forgetting?: number
}

/** A task as a column. */
export interface MatrixColumn {
  name: string
  task: string
  metric: string
  lowerIsBetter: boolean
  records: number
}

/** Every model on every task. */
export interface TaskMatrix {
  columns: MatrixColumn[]
  rows: MatrixRow[]
  corpus?: string
}

interface MatrixTask extends MatrixColumn {
  run: ScoredRun
  key: string
  settings: Record<string, unknown>
  maxLength: number | undefined
  labels: readonly string[] | undefined
  /** All of them, or some. */
  data: readonly TaskRecord[]
}

/** The file of a run's validation data, or of each of its data sets. */
const nameOfData = ({ recipe: { validation, data } }: ScoredRun): string =>
  validation === undefined
    ? dataSetsOf(data)
        .map(({ path }) => basename(path))
        .join(' + ')
    : basename(validation)

/** So many items, spread evenly over all: the first ones of a sorted file may have one label. */
const spread = <Item>(items: readonly Item[], count: number): readonly Item[] =>
  items.length <= count ? items : Array.from({ length: count }, (_, i) => items[Math.floor((i * items.length) / count)])

const openTask = async (run: ScoredRun, name: string, limit: number | undefined): Promise<MatrixTask> => {
  const { folder, model, evaluation } = run
  const recorded = await fineTunedTask(folder, model)
  if (recorded === undefined)
    throw new DataError(
      `${folder}: Expected a fine-tuning run of a task for the matrix, got another run. Leave it out.`,
    )
  const records = await scoredRecords(run, name)
  const data = limit === undefined ? records : spread(records, limit)
  const { mainMetric: metric, labels } = evaluation
  return {
    run,
    key: `${recorded.task}\0${evaluation.records?.sha256 ?? name}`,
    name: nameOfData(run),
    task: recorded.task,
    settings: (recorded.settings ?? {}) as Record<string, unknown>,
    maxLength: recorded.maxLength,
    labels,
    metric,
    lowerIsBetter: isLowerBetter(metric),
    records: data.length,
    data,
  }
}

/** Why a model cannot do a task; undefined for one that can. */
const obstacle = ({ model }: InferenceModel, { task, labels }: MatrixTask): string | undefined => {
  const heads = [findTask(task).head].flat()
  if (!heads.includes(model.headType)) return `has no head for ${task}`
  const own = model.headOptions.labels
  if (labels === undefined || own === undefined) return undefined
  const same = labels.length === own.length && labels.every((label) => own.includes(label))
  return same ? undefined : `has other labels: ${own.slice(0, 4).join(', ')}${own.length > 4 ? ' …' : ''}`
}

/** Called while a matrix is computed. */
export interface MatrixHooks extends EvaluateHooks {
  /** At the end: how many scores came from the file `keep`. */
  onKept?(scores: number): void
}
type BootstrapSettings = Pick<MatrixInput, 'resamples' | 'seed'>

/** Where scores of a model are kept. */
interface RowScores {
  /** The score on a column: from the file, or computed and written there. */
  on(column: MatrixTask, compute: () => Promise<MatrixCell>): Promise<MatrixCell>
  /** The perplexity on the corpus. */
  onCorpus(corpus: string, compute: () => Promise<MatrixCell>): Promise<MatrixCell>
}

/** The scores of a model, which also depend on the base. */
const scoresOfRow = (kept: KeptScores, input: MatrixInput, base: string, model: string, task?: string): RowScores => {
  const { corpusTokens, limit, dtype, resamples, seed } = input
  let hashes: Promise<[string, string]> | undefined
  const common = async () => {
    hashes ??= (async () => {
      const ofBase = await modelHash(base)
      return [ofBase, model === base ? ofBase : await modelHash(model)]
    })()
    return [...(await hashes), task, dtype, resamples, seed]
  }
  const who = [resolve(model), task].filter((part) => part !== undefined).join('/')
  return {
    on: ({ key, settings, maxLength, labels, metric }, compute) =>
      kept.take(
        `${who} on ${key.replace('\0', ' ')}`,
        async () => [...(await common()), key, settings, maxLength, labels, metric, limit],
        compute,
      ),
    onCorpus: (corpus, compute) =>
      kept.take(
        `${who} on the corpus`,
        async () => [...(await common()), await dataHash([corpus]), corpusTokens],
        compute,
      ),
  }
}

const measure = async (
  loaded: InferenceModel,
  column: MatrixTask,
  who: string,
  intervals: BootstrapSettings,
  { onProgress, signal, group }: MatrixHooks,
): Promise<MatrixCell> => {
  const missing = obstacle(loaded, column)
  if (missing !== undefined) return { missing }
  const task = findTask(column.task)
  const config = taskConfig(task, column.settings)
  const { metrics } = await evaluateTask(loaded.model, loaded.tokenizer, task, column.data, config, {
    maxLength: column.maxLength,
    ...intervals,
    signal,
    group,
    onProgress: ({ examples, of }) =>
      onProgress?.({ label: `${who} on ${column.name}`, unit: 'examples', done: examples, of }),
  })
  // A stopped evaluation may have scored a part only.
  signal?.throwIfAborted()
  return metrics[column.metric] ?? { missing: `has no ${column.metric}` }
}

/** The perplexity of a body on the corpus, with its own output layer or else that of the base. */
const perplexityOf = async (
  { model }: InferenceModel,
  base: InferenceModel,
  { corpus, corpusTokens, ...intervals }: MatrixInput & { corpus: string },
  who: string,
  { onProgress, signal, group }: MatrixHooks,
): Promise<MatrixCell> => {
  if (model.facts.vocabSize !== base.model.facts.vocabSize) return { missing: 'has another vocabulary' }
  const scored: ScoredModel =
    model.head instanceof LanguageHead
      ? model
      : {
          body: model.body,
          head: base.model.head,
          facts: base.model.facts,
          training: false,
          ready: () => model.ready(),
          train: () => model.train(),
          eval: () => model.eval(),
        }
  const { source, close } = await openLanguageSource([corpus], 'validation', signal)
  try {
    const { resamples, seed } = intervals
    const { metrics } = await evaluateLanguageModelling(
      scored,
      base.tokenizer,
      source,
      {
        maxTokens: corpusTokens,
        ...(resamples === undefined ? {} : { resamples }),
        ...(seed === undefined ? {} : { seed }),
      },
      {
        signal,
        group,
        onProgress: ({ tokens, totalTokens }) =>
          onProgress?.({ label: `${who} on its corpus`, unit: 'tokens', done: tokens, of: totalTokens }),
      },
    )
    signal?.throwIfAborted()
    return metrics.perplexity ?? metrics.maskedPerplexity ?? { missing: 'has no perplexity' }
  } finally {
    close()
  }
}

/** Whether scores that runs have in their files are those of this matrix: of all records, by weights of the same dtype. */
const usesRecorded = ({ limit, dtype }: MatrixInput): boolean => limit === undefined && dtype === undefined

/** The base on a task: with its own head where that will do, else the score that a run recorded for the untrained base. */
const baseCell = async (
  base: InferenceModel | undefined,
  column: MatrixTask,
  name: string,
  input: MatrixInput,
  kept: RowScores,
  hooks: MatrixHooks,
): Promise<MatrixCell> => {
  if (base !== undefined && obstacle(base, column) === undefined) {
    const intervals = { resamples: input.resamples, seed: input.seed }
    return kept.on(column, () => measure(base, column, name, intervals, hooks))
  }
  const reference = column.run.evaluation.references?.find((one) => one.name === 'untrained base')
  const recorded = resolve(column.run.recipe.base) === resolve(name) ? reference?.metrics[column.metric] : undefined
  if (recorded !== undefined && usesRecorded(input)) return recorded
  return { missing: `has no head for ${column.task}` }
}

const knownValue = (cell: MatrixCell | undefined): number | undefined =>
  cell !== undefined && 'value' in cell ? cell.value : undefined

/**
 * Scores the base and every specialist on every task of the runs.
 * @throws DataError for folders without a finished fine-tuning run, and for validation data that has changed
 */
export const compareMatrix = async (input: MatrixInput, hooks: MatrixHooks = {}): Promise<TaskMatrix> => {
  const { corpus, limit } = input
  if (input.runs.length === 0) throw new ConfigError('`compare` needs at least one run: pass its folder.')
  if (input.corpusTokens !== undefined && corpus === undefined)
    throw new ConfigError('`corpusTokens` has no effect without `corpus`: set both or neither.')
  const folders = [...new Set(input.runs)]
  const short = shortNames(folders)
  const { onProgress: _, signal: __, group, onKept, ...others } = hooks
  const loading = { ...others, dtype: input.dtype }
  const kept = await openKeptScores(input.keep, group)
  const all: MatrixTask[] = []
  const names: string[] = []
  for (const [i, folder] of folders.entries())
    for (const run of await openScoredRuns(folder)) {
      names.push(run.task === undefined ? short[i] : `${short[i]}/${run.task}`)
      all.push(await openTask(run, names[names.length - 1], limit))
    }
  const columns = all.filter(({ key }, i) => all.findIndex((other) => other.key === key) === i)
  const alike = new Set(columns.map(({ name }) => name)).size < columns.length
  for (const column of columns) if (alike) column.name = `${column.name} (${names[all.indexOf(column)]})`
  const rows: MatrixRow[] = []
  for (const basePath of [...new Set(all.map(({ run }) => run.recipe.base))]) {
    // The base of a classifier may have no language head, which is then no error.
    const base = await loadLanguageModel({ model: basePath }, loading).catch((error: unknown) => {
      if (error instanceof TunesmithError && corpus === undefined) return undefined
      throw error
    })
    const ofBase = scoresOfRow(kept, input, basePath, basePath)
    const cells: MatrixCell[] = []
    for (const column of columns) cells.push(await baseCell(base, column, basePath, input, ofBase, hooks))
    const before =
      corpus === undefined || base === undefined
        ? undefined
        : await ofBase.onCorpus(corpus, () => perplexityOf(base, base, { ...input, corpus }, basename(basePath), hooks))
    rows.push({
      name: basename(basePath),
      kind: 'base',
      cells,
      ...(before === undefined ? {} : { perplexity: before }),
    })
    for (const [i, own] of all.entries()) {
      if (own.run.recipe.base !== basePath) continue
      const loaded = await loadForInference({ model: own.run.folder, task: own.run.task }, loading)
      const ofRun = scoresOfRow(kept, input, basePath, own.run.model, own.run.task)
      const intervals = { resamples: input.resamples, seed: input.seed }
      const scores: MatrixCell[] = []
      for (const column of columns) {
        const recorded =
          column.key === own.key && usesRecorded(input) ? own.run.evaluation.metrics[own.metric] : undefined
        scores.push(recorded ?? (await ofRun.on(column, () => measure(loaded, column, names[i], intervals, hooks))))
      }
      const after =
        corpus === undefined || base === undefined
          ? undefined
          : await ofRun.onCorpus(corpus, () => perplexityOf(loaded, base, { ...input, corpus }, names[i], hooks))
      const [was, is] = [knownValue(before), knownValue(after)]
      rows.push({
        name: names[i],
        kind: 'specialist',
        task: own.task,
        cells: scores,
        ...(after === undefined ? {} : { perplexity: after }),
        ...(was === undefined || is === undefined ? {} : { forgetting: is / was - 1 }),
      })
    }
  }
  if (input.keep !== undefined) onKept?.(kept.taken)
  return {
    columns: columns.map(({ name, task, metric, lowerIsBetter, records }) => ({
      name,
      task,
      metric,
      lowerIsBetter,
      records,
    })),
    rows,
    ...(corpus === undefined ? {} : { corpus }),
  }
}
