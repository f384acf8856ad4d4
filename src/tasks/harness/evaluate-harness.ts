// Runs benchmarks: reads their rows, writes the prompts, scores them, and computes metrics with confidence intervals.

import { z } from 'zod'
import { byCodeUnits, ConfigError, parseConfig } from '../../core/index.ts'
import type { Model } from '../../models/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'
import { type BootstrapOptions, bootstrapFields } from '../metrics/bootstrap.ts'
import { type ScoreIntervals, scoreIntervals } from '../metrics/resampling.ts'
import type { ScoredUnits } from '../metrics/scored-units.ts'
import type { WorkHooks } from '../task.ts'
import type { ExampleOutcome, HarnessMetric, PromptedRow } from './kinds/kind.ts'
import { type HarnessRow, type HarnessSource, promptRows, readTask } from './rows.ts'
import type { HarnessTask } from './task-file.ts'

/** Settings of `evaluateHarness`. */
export const harnessSchema = z.strictObject({
  limit: z
    .int()
    .positive()
    .optional()
    .describe('first examples of each task to evaluate, or of each group of a task with groups (default: all)'),
  fewShot: z
    .int()
    .nonnegative()
    .optional()
    .describe('few-shot examples before each prompt (default: as the task says)'),
  fewShotSeed: z
    .int()
    .default(1234)
    .describe("seed of the choice of few-shot examples; the default is lm-eval's, and gives its examples"),
  maxLength: z
    .int()
    .positive()
    .optional()
    .describe(
      'maximum tokens of context; longer prompts are truncated at the beginning (default: the context length of the model)',
    ),
  batchTokens: z.int().positive().default(8192).describe('tokens per batch'),
  ...bootstrapFields,
})
/** Settings of `evaluateHarness`, as given. */
export type HarnessSettings = z.input<typeof harnessSchema>

/** A scored example, as a line of the file of results. */
export interface HarnessExample {
  task: string
  /** Number of the example in its task, from 0. */
  index: number
  group?: string
  /** One, or one for each choice. */
  prompts: readonly string[]
  scores: { [metric: string]: number }
  /** Target, log-likelihoods, answer …, by the kind of the task. */
  [field: string]: unknown
}

/** The metrics of a benchmark. */
export interface HarnessTaskResult {
  metrics: ScoreIntervals
  examples: number
  fewShot: number
  /** By group, such as a subject of MMLU. */
  groups?: { [group: string]: ScoreIntervals }
  /** Examples whose prompt was truncated at the beginning. */
  truncated: number
  /** What could not be checked and is in no metric, by its name. */
  unchecked?: { [name: string]: number }
  seconds: number
}

/** Progress, results and cancellation. */
export interface HarnessHooks extends WorkHooks {
  onProgress?(done: { task: string; examples: number; of: number }): void
  /** Called with the examples of each task when it is done. */
  onExamples?(examples: readonly HarnessExample[]): void | Promise<void>
}

/** Scores of outcomes over any sample of them. */
const unitsOf = (metrics: readonly HarnessMetric[], outcomes: readonly ExampleOutcome[]): ScoredUnits => {
  const columns = metrics.map(({ name, ofMean = (mean: number) => mean }) => ({
    name,
    ofMean,
    sums: outcomes.map(({ scores }) => scores[name] ?? 0),
    weights: outcomes.map(({ scores, weights }) => (scores[name] === undefined ? 0 : (weights?.[name] ?? 1))),
  }))
  return {
    units: outcomes.length,
    scores: (counts) =>
      Object.fromEntries(
        columns.map(({ name, ofMean, sums, weights }) => {
          let [sum, weight] = [0, 0]
          for (let i = 0; i < sums.length; i++) {
            const count = counts === undefined ? 1 : counts[i]
            sum += count * sums[i]
            weight += count * weights[i]
          }
          return [name, ofMean(sum / weight)]
        }),
      ),
    details: () => ({}),
  }
}

const groupScores = (
  { metrics }: HarnessTask,
  rows: readonly HarnessRow[],
  outcomes: readonly ExampleOutcome[],
  intervals: BootstrapOptions,
): HarnessTaskResult['groups'] => {
  const groups = new Map<string, ExampleOutcome[]>()
  for (const [i, { group }] of rows.entries())
    if (group !== undefined) groups.set(group, [...(groups.get(group) ?? []), outcomes[i]])
  if (groups.size === 0) return undefined
  return Object.fromEntries(
    [...groups]
      .sort(([a], [b]) => byCodeUnits(a, b))
      .map(([group, own]) => [group, scoreIntervals(unitsOf(metrics, own), intervals)]),
  )
}

/** Benchmarks whose rows are read and whose prompts are written. */
export interface PreparedHarness {
  /** Evaluates a causal language model on them. @throws ConfigError for another model */
  run(model: Model, tokenizer: Tokenizer, hooks?: HarnessHooks): Promise<{ [task: string]: HarnessTaskResult }>
}

/**
 * Reads the rows of benchmarks and writes their prompts, so that a fault of the last task is found before the first is run.
 * @throws ConfigError for settings that do not fit, DataError for data that cannot be read
 */
export const prepareHarness = async (
  tasks: readonly HarnessTask[],
  source: HarnessSource,
  settings: HarnessSettings = {},
): Promise<PreparedHarness> => {
  const { limit, fewShot, fewShotSeed, maxLength, batchTokens, ...intervals } = parseConfig(
    harnessSchema,
    settings,
    'harness',
  )
  if (tasks.length === 0) throw new ConfigError('`harness` needs at least one task.')
  const prepared: { task: HarnessTask; shots: number; rows: HarnessRow[]; prompted: PromptedRow[] }[] = []
  for (const task of tasks) {
    const shots = fewShot ?? task.fewShot.count
    const read = await readTask(task, source, { limit, shots })
    prepared.push({ task, shots, rows: read.rows, prompted: promptRows(task, read, { shots, seed: fewShotSeed }) })
  }
  return {
    async run(model, tokenizer, { onProgress, onExamples, signal, group } = {}) {
      const results: { [task: string]: HarnessTaskResult } = {}
      for (const { task, shots, rows, prompted } of prepared) {
        const started = performance.now()
        const {
          outcomes,
          truncated,
          unchecked = {},
        } = await task.run(prompted, {
          model,
          tokenizer,
          maxLength,
          batchTokens,
          signal,
          group,
          onProgress: (examples) => onProgress?.({ task: task.name, examples, of: rows.length }),
        })
        await onExamples?.(examplesOf(task.name, rows, prompted, outcomes))
        const groups = groupScores(task, rows, outcomes, intervals)
        results[task.name] = {
          metrics: scoreIntervals(unitsOf(task.metrics, outcomes), intervals),
          examples: rows.length,
          fewShot: shots,
          ...(groups === undefined ? {} : { groups }),
          truncated,
          ...(Object.keys(unchecked).length === 0 ? {} : { unchecked }),
          seconds: (performance.now() - started) / 1000,
        }
      }
      return results
    },
  }
}

const examplesOf = (
  task: string,
  rows: readonly HarnessRow[],
  prompted: readonly PromptedRow[],
  outcomes: readonly ExampleOutcome[],
): HarnessExample[] =>
  outcomes.map(({ scores, detail }, index) => ({
    task,
    index,
    ...(rows[index].group === undefined ? {} : { group: rows[index].group }),
    prompts: prompted[index].prompts,
    ...detail,
    scores,
  }))

/**
 * Evaluates a causal language model on benchmarks, by their names.
 * @throws ConfigError for a model that is not causal, or settings that do not fit; DataError for data that cannot be read
 */
export const evaluateHarness = async (
  model: Model,
  tokenizer: Tokenizer,
  tasks: readonly HarnessTask[],
  source: HarnessSource,
  settings: HarnessSettings = {},
  hooks: HarnessHooks = {},
): Promise<{ [task: string]: HarnessTaskResult }> => {
  const prepared = await prepareHarness(tasks, { signal: hooks.signal, ...source }, settings)
  return prepared.run(model, tokenizer, hooks)
}
