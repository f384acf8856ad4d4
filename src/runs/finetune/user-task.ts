// A task with the reader, the loss and the metrics of a user's recipe in place of its own, or beside them.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ConfigError, DataError, show } from '../../core/index.ts'
import type { Model } from '../../models/index.ts'
import type { Batch, Criterion, LossTerm } from '../../objectives/index.ts'
import {
  GrowingList,
  type PreparedTask,
  type ScoredUnits,
  type TaskDefinition,
  type TaskPrediction,
  type TaskRecord,
} from '../../tasks/index.ts'
import { Tensor } from '../../tensor/index.ts'
import { registerMetricInfo } from '../../tracking/index.ts'
import { callableOf, functionOf } from '../engine/recipe-functions.ts'
import { callAndWait, callNow, callOf } from '../engine/user-code.ts'

/** Reads a path: rows with the columns that the settings of the task name. */
export type RecipeReader = (path: string) => readonly object[] | Promise<readonly object[]>

type LossOf = Criterion['loss']

/** The loss of a batch; `standard` computes that of the task. Terms are sums, which the loop divides by their weights. */
export type RecipeLoss = (model: Model, batch: Batch, standard: () => ReturnType<LossOf>) => ReturnType<LossOf>

/** The score of a prediction for a record; the metric is the mean. */
type ScorePrediction = (record: never, prediction: never) => number

/** A metric of a recipe: a function, whose name it has, of which higher is better, or an object that says more. */
export type RecipeMetric = ScorePrediction | { name: string; direction?: 'higher' | 'lower'; score: ScorePrediction }

interface UserTaskRecipe {
  out: string
  recipeFile?: string | undefined
  callbackSeconds: number
  loss?: unknown
  read?: unknown
  metrics: readonly unknown[]
}

const nameOf = (input: unknown): string => String((input as { name?: unknown }).name)

/** Reads rows through the task, which checks their columns, and names them by the path and their number. */
const readWith =
  (task: TaskDefinition, recipe: UserTaskRecipe): TaskDefinition['read'] =>
  async (path, config, options) => {
    const read = callableOf<RecipeReader>(recipe.read, 'read', recipe.out)
    const rows = await callAndWait(callOf('reader', recipe.read, recipe), () => read(path))
    if (!Array.isArray(rows) || rows.length === 0)
      throw new DataError(`Expected rows from the reader \`${nameOf(recipe.read)}\`, got ${show(rows)}.`, path)
    const folder = await mkdtemp(join(tmpdir(), 'tunesmith-rows-'))
    const file = join(folder, 'rows.jsonl')
    try {
      await writeFile(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
      const { records, report } = await task.read(file, { ...config, format: 'auto' }, options)
      return { records: records.map((record) => ({ ...record, file: path })), report: { ...report, files: [path] } }
    } catch (error) {
      if (!(error instanceof DataError)) throw error
      throw new DataError(error.message.replaceAll(file, `${path} (rows of the reader)`))
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  }

/** @throws ConfigError for what the loop cannot use as a loss */
const expectLoss = (input: unknown, name: string): ReturnType<LossOf> => {
  const { terms, metrics } = (input ?? {}) as Partial<ReturnType<LossOf>>
  const isTerm = ({ sum, weight, scale }: Partial<LossTerm>) =>
    sum instanceof Tensor && Number.isFinite(weight) && Number.isFinite(scale)
  if (
    Array.isArray(terms) &&
    terms.length > 0 &&
    terms.every(isTerm) &&
    typeof metrics === 'object' &&
    metrics !== null
  )
    return { terms, metrics }
  throw new ConfigError(
    `Expected \`terms\` (each with \`sum\`, a tensor, \`weight\` and \`scale\`) and \`metrics\` from the loss \`${name}\` of the recipe, got ${input instanceof Promise ? 'a promise' : show(input)}. Return what \`standard()\` returns, with other terms.`,
  )
}

const prepareWith =
  (task: TaskDefinition, recipe: UserTaskRecipe): TaskDefinition['prepare'] =>
  (...parts) => {
    const prepared = task.prepare(...parts)
    const { criterion } = prepared
    const loss: LossOf = (model, batch, how) => {
      const own = callableOf<RecipeLoss>(recipe.loss, 'loss', recipe.out)
      const standard = () => criterion.loss(model, batch, how)
      const found: unknown = callNow(callOf('loss', recipe.loss, recipe), () => own(model, batch, standard))
      return expectLoss(found, nameOf(recipe.loss))
    }
    // What a task counts while it encodes are getters, which a spread would read only once.
    const own = Object.getOwnPropertyDescriptors(prepared)
    const replaced = { ...own, criterion: { value: { ...criterion, loss }, enumerable: true } }
    return Object.defineProperties({}, replaced) as PreparedTask
  }

interface OwnMetric {
  name: string
  score: (record: TaskRecord, prediction: TaskPrediction) => number
  values: GrowingList
}

/** The mean of each metric over any resample of the records. */
const withMetrics = (units: ScoredUnits, metrics: readonly OwnMetric[]): ScoredUnits => ({
  units: units.units,
  details: () => units.details(),
  scores(counts) {
    const own = metrics.map(({ name, values }): [string, number] => {
      let [sum, weight] = [0, 0]
      values.values().forEach((value, i) => {
        const count = counts === undefined ? 1 : counts[i]
        sum += count * value
        weight += count
      })
      return [name, sum / weight]
    })
    return { ...units.scores(counts), ...Object.fromEntries(own) }
  },
})

const scorerWith =
  (task: TaskDefinition, recipe: UserTaskRecipe): TaskDefinition['scorer'] =>
  (config, labels) => {
    const scorer = task.scorer(config, labels)
    const metrics = recipe.metrics.map((input): OwnMetric => {
      const given = functionOf(input, 'metrics', recipe.out) as RecipeMetric
      const { name } = given
      const score = callableOf<(record: TaskRecord, prediction: TaskPrediction) => unknown>(
        input,
        'metrics',
        recipe.out,
      )
      registerMetricInfo({ name, direction: (typeof given === 'function' ? undefined : given.direction) ?? 'higher' })
      return {
        name,
        score(record, prediction) {
          const found = callNow(callOf('metric', input, recipe), () => score(record, prediction))
          if (typeof found === 'number' && Number.isFinite(found)) return found
          throw new ConfigError(
            `Expected a finite number from the metric \`${name}\` of the recipe, got ${show(found)}.`,
          )
        },
        values: new GrowingList(),
      }
    })
    let records = 0
    return {
      add(record, prediction) {
        scorer.add(record, prediction)
        records++
        for (const { score, values } of metrics) values.push(score(record, prediction))
      },
      units() {
        const units = scorer.units()
        if (units.units !== records)
          throw new ConfigError(
            `The metric \`${metrics[0].name}\` needs a prediction for each record, which ${task.type} does not have.`,
          )
        return withMetrics(units, metrics)
      },
      warnings: () => scorer.warnings?.() ?? [],
    }
  }

/** The task of a recipe with the user's code. The functions are looked up when they are called. */
export const withUserCode = (task: TaskDefinition, recipe: UserTaskRecipe): TaskDefinition => {
  const { loss, read, metrics } = recipe
  if (loss === undefined && read === undefined && metrics.length === 0) return task
  return {
    ...task,
    ...(read === undefined ? {} : { read: readWith(task, recipe) }),
    ...(loss === undefined ? {} : { prepare: prepareWith(task, recipe) }),
    ...(metrics.length === 0
      ? {}
      : {
          scorer: scorerWith(task, recipe),
          // A baseline has no probabilities that a metric could read.
          baselineScorer: task.scorer,
          metricNames: (config: object) => [...task.metricNames(config), ...metrics.map(nameOf)],
        }),
  }
}
