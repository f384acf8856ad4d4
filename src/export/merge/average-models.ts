// `greedySoup`: the mean of those models that improve it on validation data, tried from the best one down (@source arXiv:2203.05482,
// recipe 1). `averageModels`: the mean of whole models, or of the newest checkpoints of runs, or of those of them that improve it.
import { cp, mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { z } from 'zod'
import { resolveModel } from '../../checkpoint/index.ts'
import { ConfigError, didYouMean, exists, parseConfig, writeFolderAtomic } from '../../core/index.ts'
import { evaluate } from '../../inference/index.ts'
import { fineTunedTask } from '../../runs/index.ts'
import { findTask } from '../../tasks/index.ts'
import { checkpointFiles, metricDirection } from '../../tracking/index.ts'
import { listSnapshots } from '../../training/index.ts'
import { type MergeHooks, type MergeInput, type MergeResult, mergeModels, mergeSchema } from './merge-models.ts'

/** Which models are tried, and on what. */
interface GreedyInput {
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
const greedySoup = async (
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

/** Settings of an average. */
export const averageModelsSchema = z.strictObject({
  last: z
    .int()
    .positive()
    .optional()
    .describe('newest checkpoints of each run to average, in place of its finished model'),
  weights: mergeSchema.shape.weights.describe('weight of each model (default: all alike)'),
  greedy: z
    .boolean()
    .default(false)
    .describe('greedy soup: try the models from the best one down, and keep those with which the mean is no worse'),
  data: z
    .union([z.string().transform((path) => [path]), z.array(z.string()).min(1)])
    .optional()
    .describe('greedy: validation data of the task that the models were fine-tuned on'),
  metric: z.string().optional().describe("greedy: metric that decides (default: the task's main metric)"),
})

/** Which models are averaged, and where to. */
export interface AverageInput extends Pick<MergeInput, 'models' | 'out'>, z.input<typeof averageModelsSchema> {}

/** What was averaged. */
export interface AverageResult extends MergeResult {
  /** What was tried, with `greedy`. */
  soup?: GreedySoup
}

/** @throws ConfigError for settings that do not fit each other */
const expectFitting = ({ greedy, data, metric, weights }: z.output<typeof averageModelsSchema>): void => {
  if (greedy && data === undefined) throw new ConfigError('`greedy` needs data to try models on: set `data`.')
  if (greedy && weights !== undefined)
    throw new ConfigError(
      '`weights` has no effect with `greedy`, where all models that stay count alike: leave it out.',
    )
  for (const [name, value] of Object.entries({ data, metric }))
    if (!greedy && value !== undefined) throw new ConfigError(`\`${name}\` has no effect without \`greedy\`: set it.`)
}

/** The newest checkpoints of a run, as folders of whole models. @throws ConfigError for a run that kept fewer */
const newestOf = async (run: string, count: number): Promise<string[]> => {
  const found = await listSnapshots(run)
  if (found.length < count)
    throw new ConfigError(
      `Expected a run with ${count} checkpoints for \`last\`, got ${run} with ${found.length}. Train it with \`keep.last\` ${count}, or lower \`last\`.`,
    )
  return found.slice(0, count).map(({ path }) => join(path, checkpointFiles.model))
}

/**
 * Averages the weights of whole models of one architecture (model soup), in float32.
 * @throws ConfigError for models that differ in architecture, size or tokenizer, for adapters, for fewer than two models, and
 *   for `greedy` without data or with models that have no task
 */
export const averageModels = async (
  { models, out, ...rest }: AverageInput,
  hooks: MergeHooks = {},
): Promise<AverageResult> => {
  const settings = parseConfig(averageModelsSchema, rest, 'average')
  expectFitting(settings)
  const { last, weights, greedy, data = [], metric } = settings
  const all: string[] = []
  for (const model of models) all.push(...(last === undefined ? [model] : await newestOf(model, last)))
  if (greedy) {
    const soup = await greedySoup({ models: all, out, data, ...(metric && { metric }) }, hooks)
    return { out, method: 'greedy', models: soup.models, parameters: soup.parameters, soup }
  }
  return mergeModels({ models: all, method: 'linear', out, ...(weights && { weights }) }, hooks)
}
