// Checks before the first step that the metric of `keep.best` will be measured, so that a mistyped name does not cost the best checkpoint.
import { ConfigError, didYouMean } from '../../core/index.ts'
import type { BuiltRun } from './run-kind.ts'

/** @throws ConfigError for `keep.best` or `patience` that would have no effect */
export const checkBestMetric = async ({ recipe, evaluate, metrics }: BuiltRun): Promise<void> => {
  const { keep, patience } = recipe
  if (keep.best === undefined) {
    if (patience === undefined) return
    throw new ConfigError('`patience` needs a metric to watch: set `keep.best`, for instance to loss.')
  }
  if (evaluate === undefined || metrics === undefined)
    throw new ConfigError(
      '`keep.best` needs validation data: encode the corpus with a validation split (`--validation 0.05`), and leave `validationExamples` above 0.',
    )
  if (Object.values(recipe.evaluate).every((value) => value === undefined))
    throw new ConfigError('`keep.best` needs evaluations: set `evaluate.steps`.')
  if (metrics.known.includes(keep.best)) return
  const names = await metrics.measure()
  if (names.includes(keep.best)) return
  throw new ConfigError(
    `Expected a metric of this run for \`keep.best\` (${names.join(', ')}), got ${keep.best}.${didYouMean(keep.best, names)}`,
  )
}
