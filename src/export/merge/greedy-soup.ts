// `greedySoup`: the mean of those models that improve it on validation data, tried from the best one down. Merging and
// scoring are `mergeModels` and `evaluate`. @source arXiv:2203.05482, recipe 1
import { cp, mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { resolveModel } from '../../checkpoint/index.ts'
import { ConfigError, didYouMean, exists, writeFolderAtomic } from '../../core/index.ts'
import { evaluate } from '../../inference/index.ts'
import { fineTunedTask } from '../../runs/index.ts'
import { findTask } from '../../tasks/index.ts'
import { metricDirection } from '../../tracking/index.ts'
import { type MergeHooks, mergeModels } from './merge-models.ts'

/** Which models are tried, and on what. */
export interface GreedyInput {
  models: readonly string[]
  out: string
  /** Validation data of the models' task. */
  data: readonly string[]
  /** Metric that decides (default: the main metric of the task). */
  metric?: string
}

/** A model that was tried. */
export interface SoupTrial {
  model: string
  /** Of the model alone. */
  score: number
  /** Of the mean with it, if there was one before. */
  mean?: number
  kept: boolean
}

/** A greedy soup. */
export interface GreedySoup {
  metric: string
  /** Models of the mean, the best first. */
  models: string[]
  /** Validation score of the mean. */
  score: number
  /** Number of its parameters. */
  parameters: number
  /** All models, the best first. */
  trials: SoupTrial[]
}

/** The main metric of the task that a model was fine-tuned on. @throws ConfigError for a model without one */
const mainMetricOf = async (model: string): Promise<string> => {
  const recorded = await fineTunedTask(model, await resolveModel(model))
  if (recorded === undefined)
    throw new ConfigError(
      `\`greedy\` needs models that were fine-tuned on a task, whose metric decides, got ${model}. Average without it.`,
    )
  return findTask(recorded.task).mainMetric(recorded.settings)
}

/** A metric of a model on data. @throws ConfigError for a metric that the task does not have */
const scoreOf = async (
  model: string,
  { data }: Pick<GreedyInput, 'data'>,
  metric: string,
  signal: AbortSignal | undefined,
): Promise<number> => {
  const { metrics = {} } = await evaluate({ model, data }, signal === undefined ? {} : { signal })
  const found = (metrics as Record<string, { value: number }>)[metric]
  if (found !== undefined) return found.value
  const names = Object.keys(metrics as object)
  throw new ConfigError(
    `Expected one of ${names.join(', ')} for \`metric\`, got "${metric}".${didYouMean(metric, names)}`,
  )
}

/** Whether a score is as good as another one, or better. */
const atLeast = (metric: string): ((score: number, other: number) => boolean) =>
  metricDirection(metric) === 'lower' ? (score, other) => score <= other : (score, other) => score >= other

/**
 * Averages models greedily: from the best one down, each stays in the mean if the mean is then no worse on the data.
 * @throws ConfigError for fewer than two models, models without a task, or another metric; DataError with file and line
 */
export const greedySoup = async (
  { models, out, data, metric: given }: GreedyInput,
  { signal, onProgress }: MergeHooks = {},
): Promise<GreedySoup> => {
  if (models.length < 2) throw new ConfigError(`Expected two or more models to average, got ${models.length}.`)
  if (await exists(out)) throw new ConfigError(`Expected a folder that does not exist for \`out\`, got ${out}.`)
  const metric = given ?? (await mainMetricOf(models[0]))
  const isAtLeast = atLeast(metric)
  const alone: SoupTrial[] = []
  for (const model of models) {
    signal?.throwIfAborted()
    const score = await scoreOf(model, { data }, metric, signal)
    onProgress?.(`${model}: ${metric} ${score}`)
    alone.push({ model, score, kept: false })
  }
  const trials = alone.sort((a, b) => (a.score === b.score ? 0 : isAtLeast(a.score, b.score) ? -1 : 1))
  trials[0].kept = true
  let { score } = trials[0]
  let parameters = 0
  const work = await mkdtemp(join(dirname(resolve(out)), '.soup-'))
  // The card names a model by its folder.
  const [best, tried] = ['best', 'tried'].map((name) => join(work, name, basename(out)))
  try {
    for (const trial of trials.slice(1)) {
      const kept = trials.flatMap(({ model, kept }) => (kept ? [model] : []))
      const { parameters: count } = await mergeModels(
        { models: [...kept, trial.model], method: 'linear', out: tried },
        { signal },
      )
      parameters = count
      trial.mean = await scoreOf(tried, { data }, metric, signal)
      trial.kept = isAtLeast(trial.mean, score)
      onProgress?.(`with ${trial.model}: ${metric} ${trial.mean}, ${trial.kept ? 'kept' : 'left out'}`)
      if (trial.kept) {
        score = trial.mean
        await rm(best, { recursive: true, force: true })
        await mkdir(dirname(best), { recursive: true })
        await rename(tried, best)
      } else await rm(tried, { recursive: true })
    }
    const made = (await exists(best)) ? best : await resolveModel(trials[0].model)
    await writeFolderAtomic(out, (folder) => cp(made, folder, { recursive: true }))
  } finally {
    await rm(work, { recursive: true, force: true })
  }
  return { metric, models: trials.flatMap(({ model, kept }) => (kept ? [model] : [])), score, parameters, trials }
}
