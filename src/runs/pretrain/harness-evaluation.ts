// Benchmarks during pretraining: their metrics beside those of the validation examples, in each evaluation.
import { resolve } from 'node:path'
import { z } from 'zod'
import { resolveData } from '../../checkpoint/index.ts'
import { ConfigError } from '../../core/index.ts'
import type { ProcessGroup } from '../../distributed/index.ts'
import { continuesText, type Model } from '../../models/index.ts'
import {
  benchmarkNames,
  findHarnessTasks,
  harnessMetricName,
  harnessSchema,
  hubBenchmarks,
  isTaskFile,
  prepareHarness,
} from '../../tasks/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'

const { limit, fewShot, fewShotSeed } = harnessSchema.shape

/** The schema of `harness` in a recipe. */
export const harnessEvaluationSchema = z.strictObject({
  tasks: z
    .array(z.string())
    .default([])
    .describe(`benchmarks that each evaluation scores, by name (${benchmarkNames().join(', ')}), or task files`),
  data: z.string().optional().describe('folder with a folder for each benchmark, or hub: to download them'),
  limit,
  fewShot,
  fewShotSeed,
})
/** The checked `harness` of a recipe. */
export type HarnessEvaluationSettings = z.output<typeof harnessEvaluationSchema>

/** The settings with absolute paths. */
export const absoluteHarness = ({ tasks, data, ...rest }: HarnessEvaluationSettings): HarnessEvaluationSettings => ({
  ...rest,
  tasks: tasks.map((name) => (isTaskFile(name) ? resolve(name) : name)),
  ...(data === undefined ? {} : { data: data === hubBenchmarks ? data : resolve(data) }),
})

/** Benchmarks that are ready to be evaluated. */
export interface HarnessEvaluation {
  /** Names of all metrics, such as `arc_easy.acc`. */
  names: string[]
  /** Metrics of the current weights. The processes of a group divide the work, and all get the result. */
  measure(group?: ProcessGroup): Promise<Record<string, number>>
}

/**
 * Reads the benchmarks of a recipe; undefined for a recipe without any.
 * @throws ConfigError for a model that is not causal and settings without effect, DataError for data that cannot be read
 */
export const openHarness = async (
  { tasks: names, data, ...settings }: HarnessEvaluationSettings,
  model: Model,
  tokenizer: Tokenizer,
): Promise<HarnessEvaluation | undefined> => {
  if (names.length === 0) {
    const given = data !== undefined || settings.limit !== undefined || settings.fewShot !== undefined
    if (given) throw new ConfigError('`harness` needs `harness.tasks`: name the benchmarks.')
    return undefined
  }
  if (!continuesText(model))
    throw new ConfigError(
      `\`harness.tasks\` needs a causal language model, got ${model.definition.type} with the head ${model.headType}. Remove it.`,
    )
  const tasks = await findHarnessTasks(names)
  // No interval of a metric is shown during training.
  const prepared = await prepareHarness(tasks, { folder: data, resolve: resolveData }, { ...settings, resamples: 1 })
  const measure = async (group?: ProcessGroup): Promise<Record<string, number>> => {
    const results = await prepared.run(model, tokenizer, { group })
    const values = Object.entries(results).flatMap(([task, { metrics }]) =>
      Object.entries(metrics).map(([name, { value }]) => [harnessMetricName(task, name), value] as const),
    )
    return Object.fromEntries(values)
  }
  return {
    names: tasks.flatMap(({ name, metrics }) => metrics.map((metric) => harnessMetricName(name, metric.name))),
    measure,
  }
}
