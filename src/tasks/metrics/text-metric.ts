// What a metric of generated texts is: a few numbers for each pair of prediction and references, which are summed over any sample
// of pairs, and scores from the sums. So corpus metrics, such as BLEU, have bootstrap intervals as any mean has.
import type { MetricDirection } from '../../tracking/index.ts'
import type { Scores } from './scored-units.ts'

/** A predicted text with its references. */
export interface TextPair {
  prediction: string
  /** At least one. */
  references: readonly string[]
}

/** Options that metrics of texts share. */
export interface MetricOptions {
  /** ROUGE: compare stems of English words. */
  stemming: boolean
  /** `exactMatch`: compare in lower case, without punctuation and articles. */
  normalized: boolean
}

/** Sums of a metric over pairs. */
export interface MetricAccumulator {
  /** Numbers per pair that are summed. */
  width: number
  /** The numbers of one pair: [width]. */
  measure(pair: TextPair): ArrayLike<number>
  /** Scores from the sums [width] over `units` pairs; the main value has the name of the metric. */
  scores(sums: Float64Array, units: number): Scores
  /** Precision, recall, signatures and the like, reported beside the scores. */
  details?(sums: Float64Array, units: number): { [name: string]: unknown }
}

/** A metric of generated texts, as `defineMetric` takes it. */
export interface MetricDefinition<Name extends string = string> {
  /** As in a task's `metrics` and in evaluation files. */
  readonly name: Name
  /** Whether a higher or a lower value is better. */
  readonly direction: MetricDirection
  /** `share` (0 to 1), `percent` (0 to 100) … */
  readonly unit: string
  /** One line for lists of metrics. */
  readonly summary: string
  /** Where it is published. */
  readonly source: string
  /** Names of further scores that it gives, with the same direction and unit. */
  readonly otherScores?: readonly string[]
  create(options: MetricOptions): MetricAccumulator
}

/** Declares a metric of generated texts; `registerMetric` makes it known to tasks, checkpoints and reports. */
export const defineMetric = <const Name extends string>(definition: MetricDefinition<Name>): MetricDefinition<Name> =>
  definition
