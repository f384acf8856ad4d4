// The registry of metrics of generated texts.
import { ConfigError } from '../../core/index.ts'
import { registerMetricInfo } from '../../tracking/index.ts'
import { bleu } from './bleu.ts'
import { chrf, chrfPlusPlus } from './chrf.ts'
import { rouge1, rouge2, rougeL, rougeLsum } from './rouge.ts'
import { exactMatch, numericMatch, tokenF1 } from './text-answers.ts'
import type { MetricDefinition } from './text-metric.ts'

const builtIn = [
  rouge1,
  rouge2,
  rougeL,
  rougeLsum,
  bleu,
  chrf,
  chrfPlusPlus,
  exactMatch,
  numericMatch,
  tokenF1,
] as const

/** Names of the built-in metrics; a registered one has any other name. */
export type TextMetric = (typeof builtIn)[number]['name']

const registry = new Map<string, MetricDefinition>()

/**
 * Makes a metric of generated texts known: a task's `metrics` may name it, and checkpoints, sweeps and reports know which value
 * is better. Registering the same object again changes nothing.
 * @throws ConfigError for a name that is registered, or known with another direction
 */
export const registerMetric = (metric: MetricDefinition): void => {
  const { name, direction, unit, summary, otherScores = [] } = metric
  if (registry.get(name) === metric) return
  if (registry.has(name))
    throw new ConfigError(`Expected a new \`name\` for a metric, got \`${name}\`, which is registered. Rename it.`)
  registerMetricInfo({ name, direction, unit, summary })
  for (const other of otherScores) registerMetricInfo({ name: other, direction, unit })
  registry.set(name, metric)
}

for (const metric of builtIn) registerMetric(metric)

/** Names of all metrics of generated texts. */
export const textMetricNames = (): string[] => [...registry.keys()]

/** The metric of this name, if there is one. */
export const findTextMetric = (name: string): MetricDefinition | undefined => registry.get(name)

/** Names of the scores that these metrics give. */
export const textScoreNames = (metrics: readonly string[]): string[] =>
  metrics.flatMap((name) => [name, ...(registry.get(name)?.otherScores ?? [])])
