// Scores of several tasks as those of one run: `sentiment/accuracy`, and the mean of the main metrics. Runs no model.
import { isLowerBetter, metricOfTask } from '../../tracking/index.ts'
import type { FinalScores } from '../engine/run-kind.ts'

/** The mean of the tasks' main metrics. */
export const meanMetric = 'mean'

/** Scores of a task. */
export interface TaskScores {
  name: string
  metrics: Record<string, number>
  mainMetric: string
}

/** The mean of the main metrics; undefined where a lower value of one of them is better, or one is not known. */
const meanOf = (tasks: readonly TaskScores[]): number | undefined => {
  const values = tasks.map(({ metrics, mainMetric }) => metrics[mainMetric])
  const isMean = tasks.every(({ mainMetric }, i) => !isLowerBetter(mainMetric) && values[i] !== undefined)
  return isMean ? values.reduce((sum, value) => sum + value, 0) / values.length : undefined
}

/** The scores of all tasks by `task/metric`, with their mean. */
export const joinScores = (tasks: readonly TaskScores[]): Record<string, number> => {
  const mean = meanOf(tasks)
  const own = tasks.flatMap(({ name, metrics }) =>
    Object.entries(metrics).map(([metric, value]): [string, number] => [metricOfTask(name, metric), value]),
  )
  return { ...(mean === undefined ? {} : { [meanMetric]: mean }), ...Object.fromEntries(own) }
}

/** The final scores of a run from those of its tasks. */
export const joinFinalScores = (tasks: readonly { name: string; scores: FinalScores }[]): FinalScores => {
  const partsOf = (of: (scores: FinalScores) => Record<string, number> | undefined) =>
    tasks.flatMap(({ name, scores }): TaskScores[] => {
      const metrics = of(scores)
      return metrics === undefined ? [] : [{ name, metrics, mainMetric: scores.mainMetric ?? '' }]
    })
  const metrics = joinScores(partsOf((scores) => scores.metrics))
  const [first] = tasks
  const mainMetric =
    metrics[meanMetric] === undefined ? metricOfTask(first.name, first.scores.mainMetric ?? '') : meanMetric
  const names = new Set(tasks.flatMap(({ scores }) => (scores.references ?? []).map(({ name }) => name)))
  // A reference that some tasks do not have has no mean over all. The evaluation of each task has its own.
  const references = [...names].flatMap((name) => {
    const theirs = partsOf((scores) => scores.references?.find((one) => one.name === name)?.metrics)
    const joined = joinScores(theirs)
    return joined[mainMetric] === undefined || (mainMetric === meanMetric && theirs.length < tasks.length)
      ? []
      : [{ name, metrics: joined }]
  })
  return {
    metrics,
    mainMetric,
    references,
    warnings: tasks.flatMap(({ name, scores }) => (scores.warnings ?? []).map((line) => `${name}: ${line}`)),
  }
}
