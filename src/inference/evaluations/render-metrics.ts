// Lines of evaluations for a terminal.
import { formatCount } from '../../core/index.ts'
import type { ReadReport, ScoreIntervals } from '../../tasks/index.ts'

/** A line for each metric, with its interval. */
export const renderMetrics = (metrics: ScoreIntervals): string[] =>
  Object.entries(metrics).map(
    ([name, { value, low, high }]) => `${name.padEnd(20)} ${value.toFixed(4)}  [${low.toFixed(4)}, ${high.toFixed(4)}]`,
  )

/** A line for each reason for which records were left out. */
export const renderSkipped = (skipped: ReadReport['skipped']): string[] =>
  Object.entries(skipped).map(
    ([reason, { count, first }]) => `skipped: ${formatCount(count)} ${reason}, first: ${first}`,
  )
