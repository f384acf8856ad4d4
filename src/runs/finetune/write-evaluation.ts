// The evaluation of a specialist in the folder of its model, from its predictions as they come, with the scores of predictions that take no
// training and what the task measures afterwards. Independent of the task; runs no model.
import { mkdirSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { createRandom, LineFile, programCall } from '../../core/index.ts'
import type { HeadOptions } from '../../models/index.ts'
import {
  type Baseline,
  type Measurement,
  type RecordSource,
  type RecordStatistics,
  type ScoreIntervals,
  type Scorer,
  scoreIntervalsByTurns,
  scoresWithoutIntervals,
  settingFlag,
  type TaskDefinition,
  type TaskPrediction,
  type TaskRecord,
  type TaskSummary,
} from '../../tasks/index.ts'
import { metricOfSet } from '../../tracking/index.ts'
import { dataSetsOf } from '../engine/data-sets.ts'
import { finalScores, type ReferenceScores, untrainedBase, writeEvaluationFiles } from '../engine/evaluation-files.ts'
import type { FinalScores } from '../engine/run-kind.ts'
import { RecordHash } from '../examples/run-data.ts'
import { type FinetuneRecipe, taskOf } from './recipe.ts'
import { turnsOf, type ValidationSet } from './several-sets.ts'

/** The words of a setting of the task; undefined for a value that no flag takes. */
const wordsOf = (name: string, value: unknown): string[] | undefined => {
  const flag = settingFlag('settings', name)
  if (value === true) return [flag]
  const values =
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.entries(value).map(([key, one]) => `${key}=${one}`)
      : [value].flat()
  return values.every((one) => typeof one === 'string' || typeof one === 'number')
    ? values.flatMap((one) => [flag, String(one)])
    : undefined
}

/** Longer training does not help a model whose targets do not fit its texts, which scores alone do not show. */
export const inspectAdvice = (recipe: FinetuneRecipe): string => {
  const [{ path, dataset = recipe.dataset, settings }] = dataSetsOf(recipe.data)
  const { dataSettings = [] } = taskOf(recipe).task
  const given = Object.entries({ ...recipe.settings, ...settings }).filter(
    ([name, value]) => value !== undefined && dataSettings.includes(name),
  )
  const words = given.map(([name, value]) => wordsOf(name, value))
  // Rows that a function of the recipe reads, and settings without a flag, are not what the command would read.
  if (recipe.read !== undefined || words.includes(undefined))
    return `Do the targets fit their texts? Read some records of ${path}, and look for equal texts with different targets.`
  const call = programCall(
    'inspect',
    path,
    ...['--task', recipe.task],
    ...(dataset === undefined ? [] : ['--dataset', dataset]),
    ...[recipe.use ?? []].flat().flatMap((one) => ['--use', one]),
    ...words.flatMap((one) => one ?? []),
  )
  return `Do the targets fit their texts? \`${call}\` shows records, and equal texts with different labels.`
}

interface ScoredData {
  task: TaskDefinition
  config: object
  /** The data sets that validation records are of; empty for a single one. */
  validationSets: readonly ValidationSet[]
  /** Of the head that predicts. */
  labels: readonly string[]
}

/** Scores predictions on the records of each data set, as they come. */
export class SetScores {
  readonly #sets: readonly { name: string; scorer: Scorer; records: number }[]
  readonly #turns: Iterator<number, void>

  constructor({ task, config, validationSets, labels }: ScoredData) {
    this.#sets = validationSets.map(({ name }) => ({ name, scorer: task.scorer(config, labels), records: 0 }))
    this.#turns = turnsOf(validationSets)
  }

  add(record: TaskRecord, prediction: TaskPrediction): void {
    const { value } = this.#turns.next()
    if (value === undefined) return
    this.#sets[value].records++
    this.#sets[value].scorer.add(record, prediction)
  }

  /** `accuracy/reviews`. Sets without a record have none. */
  async metrics({ intervals = true }: { intervals?: boolean } = {}): Promise<ScoreIntervals> {
    const found: ScoreIntervals = {}
    for (const { name, scorer, records } of this.#sets) {
      if (records === 0) continue
      const units = scorer.units()
      const own = intervals ? await scoreIntervalsByTurns(units) : scoresWithoutIntervals(units)
      for (const [metric, interval] of Object.entries(own)) found[metricOfSet(metric, name)] = interval
    }
    return found
  }
}

interface DraftInput extends ScoredData {
  trained: RecordStatistics
  /** Of the references that use random numbers. */
  seed: number | string
  /** Folder on the disk that predictions are kept on until they are written. */
  folder: string
  /** What to look at if the model is no better than a reference. */
  advice: string
  /** How many records are kept with their predictions, the first ones. */
  samples: number
}

export interface PredictedRecord {
  record: TaskRecord
  prediction: TaskPrediction
}

/** Predictions that are rewritten before others may work. */
const turnRecords = 64

/** Takes validation records with the predictions of a specialist, for the files of its model. Keeps neither in memory. */
export class EvaluationDraft {
  readonly samples: PredictedRecord[] = []
  /** Measures what is saved with the model; undefined where the task asks for nothing. */
  readonly measurement: Measurement | undefined
  readonly #input: DraftInput
  readonly #baselines: readonly { baseline: Baseline; scorer: Scorer; sets: SetScores }[]
  readonly #hash = new RecordHash()
  #predictions: LineFile<TaskPrediction>

  constructor(input: DraftInput) {
    const { task, config, labels, trained, seed, folder } = input
    mkdirSync(folder, { recursive: true })
    this.#input = input
    this.#predictions = new LineFile(folder)
    this.measurement = task.afterTraining?.(config)
    const plain = { ...task, scorer: task.baselineScorer ?? task.scorer }
    this.#baselines = (task.baselines?.(trained, config, createRandom(`baselines/${seed}`)) ?? []).map((baseline) => ({
      baseline,
      scorer: plain.scorer(config, labels),
      sets: new SetScores({ ...input, task: plain }),
    }))
  }

  add(record: TaskRecord, prediction: TaskPrediction): void {
    this.#hash.add(record)
    this.#predictions.add(prediction)
    this.measurement?.add(record, prediction)
    if (this.samples.length < this.#input.samples) this.samples.push({ record, prediction })
    for (const { baseline, scorer, sets } of this.#baselines) {
      const predicted = baseline.predict(record)
      scorer.add(record, predicted)
      sets.add(record, predicted)
    }
  }

  /** Puts other predictions in the place of those of all records. */
  async rewrite(
    records: RecordSource,
    change: (record: TaskRecord, prediction: TaskPrediction) => TaskPrediction,
  ): Promise<void> {
    const before = this.#predictions
    const after = new LineFile<TaskPrediction>(this.#input.folder)
    this.#predictions = after
    try {
      const predictions = before.items()
      for await (const chunk of records.chunks(1000))
        for (const [i, record] of chunk.entries()) {
          if (i % turnRecords === 0) await setImmediate()
          after.add(change(record, (await predictions.next()).value as TaskPrediction))
        }
    } finally {
      before.close()
    }
  }

  /** Writes evaluation.json, timing.json and predictions.jsonl into the folder of a model, and returns what they amount to. */
  async write(folder: string, { result, warnings, untrained, parameters }: EvaluationOutcome): Promise<FinalScores> {
    const references: ReferenceScores[] = []
    for (const { baseline, scorer, sets } of this.#baselines)
      references.push({
        name: baseline.name,
        metrics: { ...(await scoreIntervalsByTurns(scorer.units())), ...(await sets.metrics()) },
      })
    if (untrained !== undefined) references.push({ name: untrainedBase, metrics: untrained.metrics })
    await writeEvaluationFiles(folder, {
      result,
      records: this.#hash.facts(),
      predictions: this.#predictions.pieces(),
      labels: this.#input.labels,
      parameters,
      references,
    })
    return finalScores(result, references, { advice: this.#input.advice, warnings })
  }

  close(): void {
    this.#predictions.close()
  }
}

interface EvaluationOutcome {
  result: TaskSummary
  /** Of the task about the predictions. */
  warnings: readonly string[]
  /** Scores of the base before training, with a new head as it was initialised. */
  untrained?: Pick<TaskSummary, 'metrics'> | undefined
  parameters: { trained: number; total: number }
}

export interface FinalEvaluation {
  result: TaskSummary
  warnings: readonly string[]
  draft: EvaluationDraft
}

/** The result of a specialist with what the task measures on the validation records, which are read once more where predictions change. */
export const measureSpecialist = async (
  data: ScoredData & { validation: RecordSource },
  { result, warnings, draft }: FinalEvaluation,
): Promise<
  Omit<FinalEvaluation, 'draft'> & { config: object; headOptions?: Pick<HeadOptions, 'rewardScale'> | undefined }
> => {
  const { task, config, labels, validation } = data
  const measured = draft.measurement?.finish()
  if (measured === undefined) return { result, warnings, config }
  const { headOptions, settings, fitted, predict = (prediction: TaskPrediction) => prediction } = measured
  if (settings === undefined) {
    if (measured.predict !== undefined) await draft.rewrite(validation, (_, prediction) => predict(prediction))
    return { result, warnings, config, headOptions }
  }
  const own = { ...config, ...settings }
  const scorer = task.scorer(own, labels)
  const sets = new SetScores({ ...data, config: own })
  await draft.rewrite(validation, (record, prediction) => {
    const changed = predict(prediction)
    scorer.add(record, changed)
    sets.add(record, changed)
    return changed
  })
  const scored = scorer.units()
  return {
    result: {
      ...result,
      metrics: { ...(await scoreIntervalsByTurns(scored)), ...(await sets.metrics()) },
      details: { ...scored.details(), ...(fitted === undefined ? {} : { fitted }) },
    },
    warnings: scorer.warnings?.() ?? [],
    config: own,
    headOptions,
  }
}
