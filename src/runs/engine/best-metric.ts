// Checks before the first step that the metric of `keep.best` will be measured, so that a mistyped name does not cost the best checkpoint.
import { ConfigError, didYouMean } from '../../core/index.ts'
import { metricDirection } from '../../tracking/index.ts'
import type { BuiltRun, CommonRecipe } from './run-kind.ts'

/** The parts of a run that the check needs. */
export interface MeasuredRun extends Pick<BuiltRun, 'evaluate' | 'metrics'> {
  recipe: Pick<CommonRecipe, 'evaluate' | 'keep' | 'patience' | 'plateau'>
}

/** @throws ConfigError for `keep.best`, `patience` or `plateau` that would have no effect */
export const checkBestMetric = async ({ recipe, evaluate, metrics }: MeasuredRun): Promise<void> => {
  const { keep, patience, plateau } = recipe
  if (keep.best === undefined) {
    if (patience === undefined && plateau === undefined) return
    const setting = patience === undefined ? 'plateau' : 'patience'
    throw new ConfigError(`\`${setting}\` needs a metric to watch: set \`keep.best\`, for instance to loss.`)
  }
  if (evaluate === undefined || metrics === undefined)
    throw new ConfigError(
      '`keep.best` needs validation data: encode the corpus with a validation split (`--validation 0.05`), and leave `validationExamples` above 0.',
    )
  if (Object.values(recipe.evaluate).every((value) => value === undefined))
    throw new ConfigError('`keep.best` needs evaluations: set `evaluate.steps`.')
  if (metrics.known.includes(keep.best) && metricDirection(keep.best) !== undefined) return
  const measured = await metrics.measure()
  const names = measured.filter((name) => metricDirection(name) !== undefined)
  if (names.includes(keep.best)) return
  if (measured.includes(keep.best))
    throw new ConfigError(
      `Expected a metric for \`keep.best\` of which higher or lower is better (${names.join(', ')}), got ${keep.best}. Choose one of them; a package declares its own with \`registerMetricInfo\` of tunesmith/tracking.`,
    )
  throw new ConfigError(
    `Expected a metric of this run for \`keep.best\` (${names.join(', ')}), got ${keep.best}.${didYouMean(keep.best, names)}`,
  )
}
